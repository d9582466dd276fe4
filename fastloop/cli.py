"""The command line: `fastloop serve`, `fastloop demo`, `fastloop check`."""

import contextlib
import gc
import json
import logging
import signal
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

import click

from fastloop import bind, check, demo, framing, target
from fastloop.config import GIB, KIB, MIB, PREFIX, Config
from fastloop.errors import ConfigError
from fastloop.runtime import Runtime
from fastloop.server import Server

SERVE_EPILOG = """\b
Examples:
  fastloop serve app:handle --bind tcp://127.0.0.1:7000 --framing line
  fastloop serve server.py:handle --bind tcp://:7000 --framing u32be --max-message 1m
  fastloop serve fastloop.examples.kv:handle --bind resp://127.0.0.1:6380
  fastloop serve "app:make_handler()" --bind tcp+unix:/run/app.sock --framing line

TIME is seconds, or 500ms, 10s, 5m; SIZE is bytes, or 64k, 16m. Every option can also be set in the
environment (FASTLOOP_IDLE_TIMEOUT=5m), and those from --backend on in a TOML file
(idle_timeout = "5m"). The command line wins over the environment, and that over the file.

Ctrl-C stops at once; SIGTERM lets connections take their last replies first.
"""


class Group(click.Group):
    """Says what is wrong with a configuration in one line, and ends with 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            click.echo(f"fastloop: {error}", err=True)
            ctx.exit(2)


def human(value: Any, kind: str) -> str:
    """A default as one would write it."""
    if kind == "SIZE" and value:
        for unit, letter in ((GIB, "g"), (MIB, "m"), (KIB, "k")):
            if value % unit == 0:
                return f"{value // unit}{letter}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds a flag for every option of Config, and --config.

    Their values arrive as strings and Config.load() reads them, environment included, so that there
    is one place that knows what is allowed and which source wins.
    """
    command = click.option(
        "--config", metavar="FILE", help="a TOML file with options; also FASTLOOP_CONFIG"
    )(command)
    for each in reversed(fields(Config)):
        kind = each.metadata["kind"]
        text = each.metadata["help"]
        if each.default is not None:
            text += f"  [{human(each.default, kind)}]"
        flag = "--" + each.name.replace("_", "-")
        command = click.option(flag, metavar=kind, help=text)(command)
    return command


def load(options: Mapping[str, str | None]) -> Config:
    """Reads the options of a server, and sets up logging as they say."""
    logging.basicConfig(format="%(levelname)-8s %(message)s", level=logging.INFO)
    config = Config.load(**options)
    logging.getLogger().setLevel(config.log_level.upper())
    if config.backend != "auto":
        why = check.backends().get(config.backend, "not of this platform")
        if why is not None:
            raise ConfigError(f"backend={config.backend!r} does not work here: {why}")
    return config


class Announced(Server):
    """A server that says where it listens, with the ports that were picked, as it begins."""

    def __init__(self, announce: Callable[[list[str]], str], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._announce = announce

    def _turns(self, runtime: Runtime) -> None:
        # Not before signals are handled: whoever reads it may send one.
        if runtime is self._runtimes[0]:
            click.echo(self._announce(self.addresses))
        super()._turns(runtime)

    def run(self) -> None:
        """Serves until Ctrl-C or SIGTERM."""
        # In the moments when the server itself does not handle them, they end it just as quietly.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        spare_the_collector()
        with contextlib.suppress(KeyboardInterrupt):
            super().run()


def spare_the_collector() -> None:
    """Lets the garbage collector look at young objects only every 10,000 of them.

    A turn brings up to some thousand tuples (RESP commands), which die with the turn. At Python's
    default of 700 each such batch would be walked, for nothing. Only the command line does this:
    a process that is not ours keeps its own settings.
    """
    gc.set_threshold(max(10_000, gc.get_threshold()[0]), *gc.get_threshold()[1:])


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
    help=f"where a message ends: {', '.join(framing.NAMES)}; resp:// addresses know theirs",
)
@click.option(
    "--delimiter",
    metavar="TEXT",
    envvar=PREFIX + "DELIMITER",
    help=r"what ends a line, as \0 or \r\n; by default LF, with or without a CR before it",
)
@config_options
def serve(
    handler: str, urls: tuple[str, ...], name: str | None, delimiter: str | None, **options: str
) -> None:
    """Serve TARGET: module:attr, path/file.py:attr, or module:factory().

    It is a function f(message) or f(connection, message), async or not, or an object with a method
    message(connection, message). What it returns is the reply.
    """
    config = load(options)
    if not urls:
        raise ConfigError("no address to listen on: add --bind tcp://127.0.0.1:7000")
    chosen: str | framing.Framing | None = name
    if delimiter is not None:
        chosen = framing.of(name or "line", delimiter=delimiter, max=config.max_message)
    framings: dict[str, str | framing.Framing] = {}
    for url in urls:
        if bind.parse(url).framing is None:
            if chosen is None:
                raise ConfigError(f"{url} needs --framing: one of {', '.join(framing.NAMES)}")
            framings[url] = chosen
    Announced(
        lambda addresses: "\n".join(f"listening on {address}" for address in addresses),
        target.load(handler),
        *urls,
        framing=framings,
        **asdict(config),
    ).run()


@main.command("demo")
@click.option("--host", default="127.0.0.1", show_default=True, help="the address to listen on")
@click.option(
    "--base-port",
    type=click.IntRange(1, 65000),
    metavar="N",
    help="the first of four ports in a row; by default 7001 to 7003, and 6380 for kv",
)
@config_options
def run_demo(host: str, base_port: int | None, **options: str) -> None:
    """Run the example servers, all in one process, and tell how to try each."""
    config = load(options)
    handlers, framings = demo.routes(host, base_port)
    try:
        Announced(demo.guide, handlers, framing=framings, **asdict(config)).run()
    except ConfigError as error:
        raise ConfigError(f"{error}; for other ports: fastloop demo --base-port 17001") from error


@main.command("check")
@click.option("--json", "as_json", is_flag=True, help="for programs")
def run_check(as_json: bool) -> None:
    """Tell what this machine offers and which backend auto picks; ends with 1 if none works."""
    found = check.report()
    click.echo(json.dumps(found, indent=2) if as_json else check.render(found))
    if found["auto"] is None:
        raise SystemExit(1)
