"""A server and a client, each a process of its own, pinned to different cores where that can be."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fastloop import bind
from fastloop.compare.errors import PointError
from fastloop.compare.spawn import TIMEOUT, Spawned


def interpreter() -> list[str]:
    """This Python, told to import the fastloop that runs here: with `-m` it would look in the
    current directory first, which may be a checkout that nobody built."""
    running = Path(__file__).parents[2]
    return [sys.executable] if running == Path.cwd() else [sys.executable, "-P"]


def cores() -> tuple[int | None, int | None]:
    """The core of the server and that of the client; None where processes cannot be pinned, or
    there is only one."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[-1]) if len(allowed) > 1 else (None, None)


@contextlib.contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Processes started in here run on this core, as this thread does meanwhile."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server(Spawned):
    """`fastloop serve`, from entering the context to leaving it, with all its children."""

    def __init__(self, target: str, url: str, options: Sequence[str], core: int | None) -> None:
        command = [*interpreter(), "-m", "fastloop.compare.serve", str(os.getpid()), "serve"]
        super().__init__([*command, target, "--bind", url, *options], keeps_output=False)
        self._core = core
        self.address: Any = None
        """What to connect to."""

    def __enter__(self) -> Self:
        with on_core(self._core):
            return super().__enter__()

    def complaints(self) -> str:
        """The last of what it said on its standard error; empty if nothing."""
        lines = self.said().splitlines()
        return lines[-1].strip()[:200] if lines else ""

    def wait(self) -> None:
        """Returns when it listens. Raises PointError if it does not."""
        out = self._process.stdout
        assert out is not None
        told = self.comes(lambda: bool(select.select([out], [], [], 0)[0]))
        line = out.readline() if told else ""
        if not line.startswith("listening on "):
            raise PointError("failed", f"the server does not start: {self.complaints()}")
        where = bind.parse(line.removeprefix("listening on ").strip())
        is_path = where.kind == "unix"
        self.address = where.path if is_path else [where.host or "127.0.0.1", where.port]


class Client:
    """`fastloop.compare.client`, from entering the context to leaving it."""

    def __init__(self, address: Any, load: dict[str, Any], cores: list[int] | None) -> None:
        self._first = {"address": address, "load": load, "cores": cores}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [*interpreter(), "-m", "fastloop.compare.client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self("set", **self._first)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._end()

    def __call__(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Tells it to do something, and returns its answer. Raises PointError if it cannot."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise PointError("failed", "the client ended before its time")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PointError(answer["status"], answer["error"])
        return answer

    def open(self, kind: str, count: int, patience: float = 30.0) -> float:
        """Opens connections, "idle" or "busy"; returns how many seconds that took."""
        return float(self("open", kind=kind, count=count, patience=patience)["seconds"])

    def _end(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin and self._process.stdin.close()
        try:
            self._process.wait(TIMEOUT)
        except BaseException:  # also Ctrl-C: it must not stay behind
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process.stdout and self._process.stdout.close()


def settled(seconds: float) -> None:
    """Waits for frees, closes and timers that follow the last message."""
    time.sleep(seconds)
