"""The loop of one connection, in the thread or the process that serves it alone."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from fastloop import native
from fastloop._ffi import check, lib
from fastloop.errors import ConnectionClosed
from fastloop.route import Route
from fastloop.runtime import Runtime

if TYPE_CHECKING:
    from fastloop.bind import Listener
    from fastloop.config import Config
    from fastloop.server import Server
    from fastloop.services import Service

Job = Callable[[], None]


class Solo(Runtime):
    """Serves one connection until it is gone and no timer and no read of a file is left.

    What other threads still say to it then is dropped, as what is said to a closed connection of
    a loop with many.
    """

    def __init__(self, server: Server, config: Config, service: Service, of: Listener) -> None:
        """Raises OSError or MemoryError if there is no room for another loop."""
        routes: list[Route] = []
        super().__init__(server, native.open_loop(config, lib.FL_ROLE_ONE), routes)
        try:
            inline = Inline(self) if service.streams else None
            routes += service.listen(self, of, -1, config, inline)
        except BaseException:
            self.free()
            raise

    def serve(self, fd: int, leash: int = 0) -> None:
        """Serves a connected socket, in this thread, and gives the loop back when it is over.

        With a leash all is over when its other end closes.
        """
        self.begin()
        try:
            rc = lib.fl_adopt(self.loop, fd, 0, leash)
            if rc < 0:
                os.close(fd)
            check(rc, "taking over a connection")
            while self.running and not self._over():
                self.turn(-1)
        finally:
            self.end()
            self.thread = None  # a later thread may get the same number
            self.free()

    def _over(self) -> bool:
        return not self.out and not self._posted and bool(lib.fl_over(self.loop))

    # -- what other threads want of it --

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Calls it now on its own thread, else soon, there; not at all once it is over."""
        if get_ident() == self.thread:
            function(*args)
        else:
            self.post_while_turning(function, *args)

    def ask(self, function: Callable[..., Any], *args: Any) -> Any:
        """The result of a call on its thread. Raises ConnectionClosed once it is over."""
        if not self.turning and self.thread is None:
            raise ConnectionClosed("the connection is closed")
        return super().ask(function, *args)

    def wake(self) -> None:
        """Makes a turn that waits return; harmless once it is over."""
        with self._lifetime:
            if self.loop is not None:
                lib.fl_wake(self.loop)


class Inline:
    """In the place of worker threads: jobs are run by the connection's own thread, in order.

    A job may wait for what the core tells (a piece of a body, room to send): then it turns the loop
    itself. So it is begun only at the end of a turn, when every message has its place in the
    outbox, and what comes meanwhile waits until it is done.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: deque[Job] = deque()
        self._running = False

    def submit(self, _connection: int, job: Job) -> None:
        """Runs the job when the earlier ones are done."""
        self._waiting.append(job)
        if not self._running:
            self._running = True
            self._runtime.soon(self._run)

    def _run(self) -> None:
        try:
            while self._waiting:
                self._waiting.popleft()()
                self._runtime.flush()
        finally:
            self._running = False
