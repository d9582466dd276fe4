"""Thread per connection: each has a thread of its own, which waits for nothing else."""

from __future__ import annotations

import logging
import threading

from fastloop._ffi import lib
from fastloop.models.acceptor import Crew
from fastloop.models.solo import Solo
from fastloop.runtime import Runtime

log = logging.getLogger("fastloop")

STACK = 1024 * 1024
"""Bytes of address space for the stack of a thread: room for Python's own limit of recursion. Only
what is used becomes memory."""


class Threads(Crew):
    """The threads and their loops."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._solos: dict[int, tuple[Solo, threading.Thread]] = {}

    def begin(self, listener: int, id: int, fd: int) -> None:
        """Starts a thread. Raises RuntimeError, OSError or MemoryError if there is no room."""
        assembly = self.assembly
        service, of = assembly.services[listener], assembly.listeners[listener]
        solo = Solo(self.server, assembly.config, service, of)
        lib.fl_tell_stats(solo.loop, self.board.slot(id))
        thread = threading.Thread(
            target=self._serve, args=(solo, id, fd), name=f"fastloop-connection-{fd}", daemon=True
        )
        self._solos[id] = solo, thread
        solo.expect()
        try:
            start(thread)
        except BaseException:
            self._forget(id)
            solo.turning = False
            solo.free()
            raise

    def _serve(self, solo: Solo, id: int, fd: int) -> None:
        try:
            solo.serve(fd)
        except BaseException as error:
            self.server.fail(error)
        finally:
            self.acceptor.post_while_turning(self._left, id)

    def _left(self, id: int) -> None:
        self._forget(id)
        lib.fl_left(self.acceptor.loop, id)

    def _forget(self, id: int) -> None:
        self._solos.pop(id, None)
        self.board.release(id)

    def has(self, ident: int) -> bool:
        """Whether this thread serves a connection."""
        return any(thread.ident == ident for _, thread in list(self._solos.values()))

    def audience(self) -> list[Runtime]:
        """The loops of all connections."""
        return [solo for solo, _ in list(self._solos.values())]

    def drain(self, seconds: float) -> None:
        """All are to give their last replies, and to end within this time."""
        for solo, _ in list(self._solos.values()):
            solo.post_while_turning(solo.drain, seconds)

    def finish(self) -> None:
        """Ends all of them, each when its handler returns."""
        serving = list(self._solos.values())
        for solo, _ in serving:
            solo.post_while_turning(solo.stop)
        for _, thread in serving:
            thread.join()


_size = threading.Lock()


def start(thread: threading.Thread) -> None:
    """Starts it with a small stack. That size is the process's: it is set back at once."""
    with _size:
        before = threading.stack_size(STACK)
        try:
            thread.start()
        finally:
            threading.stack_size(before)
