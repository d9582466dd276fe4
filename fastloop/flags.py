"""What the commands share: a flag for every option, one line for what is wrong, how to serve."""

import contextlib
import gc
import logging
import signal
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import click

from fastloop import check
from fastloop._ffi import lib
from fastloop.config import Config
from fastloop.errors import ConfigError, StartupError
from fastloop.options import GIB, KIB, MIB
from fastloop.server import Server


class Group(click.Group):
    """Says what is wrong in one line: a configuration (ends with 2), or a startup (3)."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            click.echo(f"fastloop: {error}", err=True)
            ctx.exit(2)
        except StartupError as error:
            click.echo(f"fastloop: {error}", err=True)
            ctx.exit(3)


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
        flag = "--" + each.name.replace("_", "-")
        if kind == "FLAG":
            command = click.option(flag, is_flag=True, default=None, help=text)(command)
            continue
        if each.default is not None:
            text += f"  [{human(each.default, kind)}]"
        command = click.option(flag, metavar=kind, help=text)(command)
    return command


def load(options: Mapping[str, Any]) -> Config:
    """Reads the options of a server, and sets up logging as they say."""
    logging.basicConfig(format="%(levelname)-8s %(message)s", level=logging.INFO)
    config = Config.load(**options)
    logging.getLogger().setLevel(config.log_level.upper())
    if config.backend != "auto":
        why = check.backends().get(config.backend, check.OTHER_PLATFORM)
        if why is not None and not check.falls_back(config.backend, why):
            raise ConfigError(f"backend={config.backend!r} does not work here: {why}")
    return config


def run(server: Server, *, quiet: bool = False) -> None:
    """Serves until Ctrl-C or SIGTERM, after it said where, unless that is known."""

    def started() -> None:
        if not quiet:
            click.echo(listening(server.addresses))

    # Not before signals are handled: whoever reads it may send one.
    attended(lambda: server.run(started=started))


def attended(serve: Callable[[], object]) -> None:
    """Calls what serves, as the program that this process is for."""
    # In the moments when the server itself does not handle them, they end it just as quietly.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    spare_the_collector()
    lib.fl_keep_memory()
    with contextlib.suppress(KeyboardInterrupt):
        serve()


def listening(addresses: list[str]) -> str:
    """What most of them say."""
    return "\n".join(f"listening on {address}" for address in addresses)


def spare_the_collector() -> None:
    """Lets the garbage collector look at young objects only every 10,000 of them.

    A turn brings up to some thousand tuples (RESP commands), which die with the turn. At Python's
    default of 700 each such batch would be walked, for nothing. Only the command line does this:
    a process that is not ours keeps its own settings.
    """
    gc.set_threshold(max(10_000, gc.get_threshold()[0]), *gc.get_threshold()[1:])
