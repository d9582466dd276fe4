"""A server as a process of its own: started, waited for, and ended with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

TIMEOUT = 20.0
"""Seconds that a process has to begin, and to end when it is told to."""

_POLITE = 2.0  # seconds to end by itself, before it is killed with whatever is left of it
_POLL = 0.02


class Spawned:
    """Runs a command, from entering the context to leaving it, with all its children."""

    def __init__(
        self, argv: Sequence[str], *, cwd: Path | None = None, keeps_output: bool = True
    ) -> None:
        """What it says on standard output is kept with its complaints, or goes to a pipe."""
        self._argv = argv
        self._cwd = cwd
        self._keeps_output = keeps_output

    def __enter__(self) -> Self:
        self._log = tempfile.TemporaryFile("w+", errors="replace")
        # A session of its own: Ctrl-C is for us, who then end it, and its children with it.
        self._process = subprocess.Popen(
            self._argv,
            cwd=self._cwd,
            stdin=subprocess.DEVNULL,
            stdout=self._log if self._keeps_output else subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        try:
            self.wait()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.end()

    def wait(self) -> None:
        """Returns when it serves. Raises an error that tells why it does not."""
        raise NotImplementedError

    def comes(self, true: Callable[[], bool]) -> bool:
        """Whether this becomes true in time, while the process lives."""
        end = time.monotonic() + TIMEOUT
        while self._process.poll() is None and time.monotonic() < end:
            if true():
                return True
            time.sleep(_POLL)
        return False

    @property
    def pid(self) -> int:
        """Its process; its children count as part of it."""
        return self._process.pid

    def said(self) -> str:
        """All of what it said so far."""
        self._log.seek(0)
        return self._log.read().strip()

    def end(self) -> None:
        """Ends it, and whatever is left of it: children too, which would keep their connections."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_POLITE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(TIMEOUT)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()
