"""`fastloop serve --reload`: serves in a child process, and in a new one whenever a source changes.

The parent listens and the children inherit its sockets: a client that comes in between waits in the
backlog and notices nothing. Only for development.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from fastloop.bind import Listener, listen
from fastloop.errors import ConfigError

log = logging.getLogger("fastloop")

DRAIN_SECONDS = 1.0
"""How long requests under way may take after a change, before they are broken off."""

GRACE_SECONDS = 5.0
"""... and how long the process may take then, before it is killed."""


def reload(context: click.Context, urls: Sequence[str], directories: Sequence[str]) -> None:
    """Runs the command of this context in children, without its ``--reload``, until a signal.

    Raises ConfigError if an address or a directory is no good, or watchfiles is not installed.
    """
    try:
        import watchfiles
    except ModuleNotFoundError:
        raise ConfigError(
            "--reload needs watchfiles: pip install 'fastloop-server[reload]'"
        ) from None
    for each in directories:
        if not Path(each).is_dir():
            raise ConfigError(f"--reload-dir {each}: there is no such directory")
    listeners: list[Listener] = []
    try:
        listeners += map(listen, urls)
        command = [sys.executable, "-m", "fastloop", *arguments(context, listeners)]
        click.echo("\n".join(f"listening on {listener.address}" for listener in listeners))
        over = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: over.set())
        changes = watchfiles.watch(
            *directories,
            watch_filter=watchfiles.PythonFilter(),
            stop_event=over,
            yield_on_timeout=True,
            rust_timeout=200,
            raise_interrupt=False,
        )
        fds = [listener.sockets[0].fileno() for listener in listeners]
        child = Child(command, fds)
        try:
            for changed in changes:
                if changed:
                    names = sorted({os.path.relpath(path) for _, path in changed})
                    log.info("%s changed: serving anew", ", ".join(names))
                    child.restart()
                child.look()
        finally:
            child.end()
    finally:
        for listener in listeners:
            listener.close()


def arguments(context: click.Context, listeners: Sequence[Listener]) -> list[str]:
    """The command line of a child: that of the parent, but for the addresses."""
    found = [str(context.command.name), "--reloaded"]
    for listener in listeners:
        scheme, fd = listener.bind.scheme, listener.sockets[0].fileno()
        path = "" if listener.bind.kind == "unix" else listener.bind.path
        found += ["--bind", f"{scheme}+fd:{fd}{path}"]
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if parameter.name in ("urls", "reload", "reload_dirs", "reloaded") or not value:
            continue
        found += _given(parameter, value)
    return found


def _given(parameter: click.Parameter, value: Any) -> list[str]:
    if isinstance(parameter, click.Argument):
        return [value]
    flag = parameter.opts[0]
    if value is True:
        return [flag]
    values = value if isinstance(value, tuple) else (value,)
    return [part for each in values for part in (flag, str(each))]


class Child:
    """The process that serves; it is replaced, and may be dead until the next change."""

    def __init__(self, command: list[str], fds: Sequence[int]) -> None:
        self._start: Callable[[], subprocess.Popen[bytes]] = lambda: subprocess.Popen(
            command, pass_fds=fds
        )
        self._process = self._start()
        self._told = False

    def restart(self) -> None:
        """Serves with what the sources say now."""
        self.end()
        self._process = self._start()
        self._told = False

    def look(self) -> None:
        """Logs its end, once, if nobody wanted that."""
        if self._process.poll() is not None and not self._told:
            self._told = True
            log.error("it ended with %d: waiting for a change", self._process.returncode)

    def end(self) -> None:
        """Ends it: gently, then at once, then by force."""
        process = self._process
        for number, seconds in ((signal.SIGTERM, DRAIN_SECONDS), (signal.SIGINT, GRACE_SECONDS)):
            if process.poll() is not None:
                return
            process.send_signal(number)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        if process.poll() is None:
            log.error("process %d is killed: it did not end", process.pid)
            process.kill()
            process.wait()
