"""Ctrl-C and SIGTERM while a server runs in the main thread."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

from fastloop._ffi import lib

if TYPE_CHECKING:
    from fastloop.runtime import Runtime
    from fastloop.server import Server


class Signals:
    """While it is entered, Ctrl-C stops the server at once and SIGTERM drains it.

    The handlers only post: a signal may come between any two steps of a turn. The loop is woken by
    the wake-up descriptor, also when the signal comes just before it begins to wait.
    """

    def __init__(self, server: Server, runtime: Runtime) -> None:
        self._server = server
        self._runtime = runtime
        self._before: dict[int, Any] = {}
        self._wakeup = -1

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        fd = lib.fl_wake_fd(self._runtime.loop)
        self._wakeup = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._stop)
        self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._drain)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._before:
            signal.set_wakeup_fd(self._wakeup)

    def _stop(self, *_: object) -> None:
        self._note()
        self._runtime.post(lambda: self._server.stop(drain=0))

    def _note(self) -> None:
        """One that comes when all is stopped already ends what still goes on then."""
        self._server.hurried = not self._runtime.running

    def _drain(self, *_: object) -> None:
        self._note()
        self._runtime.post(self._server.stop)
