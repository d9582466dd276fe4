"""The command line: `fastloop serve`, `files`, `demo`, `compare` and `check`."""

import json
from dataclasses import asdict
from typing import Any

import click

from fastloop import bind, check, demo, framing, target
from fastloop.compare.command import compare
from fastloop.config import PREFIX
from fastloop.errors import ConfigError
from fastloop.flags import Group, attended, config_options, load, run
from fastloop.http.router import Router
from fastloop.reload import reload as watch
from fastloop.server import Server

SERVE_EPILOG = """\b
Examples:
  fastloop serve app:app --bind http://127.0.0.1:8000
  fastloop serve app:app --bind http://:8000 --static /assets=./assets --blocking 8
  fastloop serve app:handle --bind tcp://127.0.0.1:7000 --framing line
  fastloop serve server.py:handle --bind tcp://:7000 --framing u32be --max-message 1m
  fastloop serve fastloop.examples.kv:handle --bind resp://127.0.0.1:6380
  fastloop serve "app:make_handler()" --bind tcp+unix:/run/app.sock --framing line

TIME is seconds, or 500ms, 10s, 5m; SIZE is bytes, or 64k, 16m. Every option can also be set in the
environment (FASTLOOP_IDLE_TIMEOUT=5m), and those from --backend on in a TOML file
(idle_timeout = "5m"). The command line wins over the environment, and that over the file.

Ctrl-C stops at once; SIGTERM lets connections take their last replies first.
"""

FILES_EPILOG = """\b
Examples:
  fastloop files . --bind http://127.0.0.1:8000 --listing
  fastloop files dist --bind http://:8000 --cache-control max-age=60 --immutable "*-????????.js"
  curl -r 0-99 http://127.0.0.1:8000/big.iso

Ranges, conditional requests and precompressed files (page.html.br, .zst, .gz beside page.html) just
work. Symbolic links that lead out of DIR are not followed. TIME, SIZE, the environment and --config
are as in `fastloop serve --help`.
"""


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=check.DISTRIBUTION, message="fastloop %(version)s")
def main() -> None:
    """A network server core in C for people who write their logic in Python.

    Begin with `fastloop demo`.
    """


@main.command(epilog=SERVE_EPILOG)
@click.argument("handler", metavar="TARGET")
@click.option(
    "--bind",
    "urls",
    metavar="URL",
    multiple=True,
    envvar=PREFIX + "BIND",
    help="where to listen; may be given again: " + bind.FORMS,
)
@click.option(
    "--framing",
    "name",
    metavar="NAME",
    envvar=PREFIX + "FRAMING",
    help=f"where a message ends: {', '.join(framing.NAMES)}; http:// and resp:// know theirs",
)
@click.option(
    "--delimiter",
    metavar="TEXT",
    envvar=PREFIX + "DELIMITER",
    help=r"what ends a line, as \0 or \r\n; by default LF, with or without a CR before it",
)
@click.option(
    "--static",
    "directories",
    metavar="PREFIX=DIR",
    multiple=True,
    help="http: serve the files of a directory below a path, as /assets=./assets",
)
@click.option("--stream", is_flag=True, help="http: call TARGET before the body is read")
@click.option("--factory", is_flag=True, help="TARGET is a function that makes what is served")
@click.option(
    "--app-dir",
    metavar="DIR",
    default="",
    help="where modules are looked for first; by default the current directory",
)
@click.option(
    "--reload",
    is_flag=True,
    help="for development: serve anew when a source changes; needs watchfiles",
)
@click.option(
    "--reload-dir",
    "reload_dirs",
    metavar="DIR",
    multiple=True,
    help="where sources are that may change; by default --app-dir; may be given again",
)
@click.option("--reloaded", is_flag=True, hidden=True)
@config_options
def serve(
    handler: str,
    urls: tuple[str, ...],
    name: str | None,
    delimiter: str | None,
    directories: tuple[str, ...],
    stream: bool,
    factory: bool,
    app_dir: str,
    reload: bool,
    reload_dirs: tuple[str, ...],
    reloaded: bool,
    **options: Any,
) -> None:
    """Serve TARGET: module:attr, path/file.py:attr, or module:factory().

    For http:// it is a function f(request), async or not, a fastloop.Router, or an ASGI
    application; else a function f(message) or f(connection, message), or an object with a method
    message(connection, message). What it returns is the reply.
    """
    config = load(options)
    if not urls:
        raise ConfigError("no address to listen on: add --bind http://127.0.0.1:8000")
    chosen: str | framing.Framing | None = name
    if delimiter is not None:
        chosen = framing.of(name or "line", delimiter=delimiter, max=config.max_message)
    framings: dict[str, str | framing.Framing] = {}
    for url in urls:
        if bind.parse(url).framing is None:
            if chosen is None:
                raise ConfigError(f"{url} needs --framing: one of {', '.join(framing.NAMES)}")
            framings[url] = chosen
    if reload:
        watch(click.get_current_context(), urls, reload_dirs or (app_dir or ".",))
        return
    called = factory and not handler.endswith("()")
    server = Server(
        target.load(handler + "()" if called else handler, app_dir),
        *urls,
        framing=framings,
        static=dict(map(prefix_and_directory, directories)),
        stream=stream,
        **asdict(config),
    )
    run(server, quiet=reloaded)


def prefix_and_directory(text: str) -> tuple[str, str]:
    """Reads "/assets=./assets"."""
    prefix, equals, directory = text.partition("=")
    if not equals or not prefix.startswith("/"):
        raise ConfigError(f"--static {text}: write PREFIX=DIR, as in --static /assets=./assets")
    return prefix, directory


@main.command("files", epilog=FILES_EPILOG)
@click.argument("directory", metavar="DIR")
@click.option(
    "--bind",
    "urls",
    metavar="URL",
    multiple=True,
    envvar=PREFIX + "BIND",
    help="where to listen; may be given again: http://host:port, http+unix:/path, http+fd:number",
)
@click.option("--listing", is_flag=True, help="make a page for a directory that has no index")
@click.option(
    "--index",
    metavar="NAME",
    default="index.html",
    show_default=True,
    help="the file that stands for its directory; empty for none",
)
@click.option("--cache-control", metavar="TEXT", default="", help="this field, in every answer")
@click.option(
    "--immutable",
    metavar="PATTERN",
    default="",
    help="names of files that never change, which are cached for a year",
)
@click.option("--hidden", is_flag=True, help="serve also names that begin with a dot")
@config_options
def run_files(
    directory: str,
    urls: tuple[str, ...],
    listing: bool,
    index: str,
    cache_control: str,
    immutable: str,
    hidden: bool,
    **options: Any,
) -> None:
    """Serve the files of DIR, without any Python on the way."""
    config = load(options)
    if not urls:
        raise ConfigError("no address to listen on: add --bind http://127.0.0.1:8000")
    for url in urls:
        if bind.parse(url).scheme != "http":
            raise ConfigError(f"files are served by http:// addresses, not {url}")
    router = Router()
    router.static(
        "/",
        directory,
        listing=listing,
        index=index,
        cache_control=cache_control,
        immutable=immutable,
        hidden=hidden,
    )
    run(Server(router, *urls, **asdict(config)))


@main.command("demo")
@click.option("--host", default="127.0.0.1", show_default=True, help="the address to listen on")
@click.option(
    "--base-port",
    type=click.IntRange(1, 65000),
    metavar="N",
    help="the first of five ports in a row; by default 7001 to 7003, 6380 for kv, 8000 for web",
)
@config_options
def run_demo(host: str, base_port: int | None, **options: Any) -> None:
    """Run the example servers, all in one process, and tell how to try each."""
    config = load(options)
    try:
        attended(lambda: demo.run(host, base_port, config, click.echo))
    except ConfigError as error:
        raise ConfigError(f"{error}; for other ports: fastloop demo --base-port 17001") from error


main.add_command(compare)


@main.command("check")
@click.option("--json", "as_json", is_flag=True, help="for programs")
def run_check(as_json: bool) -> None:
    """Tell what this machine offers and which backend auto picks; ends with 1 if none works."""
    found = check.report()
    click.echo(json.dumps(found, indent=2) if as_json else check.render(found))
    if found["auto"] is None:
        raise SystemExit(1)
