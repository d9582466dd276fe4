"""The server: listening sockets, a runtime for each loop thread, and their life until the stop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from fastloop import native
from fastloop._ffi import ffi, lib
from fastloop.aio import AsyncioTurns, fileno_of, loop_factory
from fastloop.bind import Listener, listen, parse
from fastloop.config import Config
from fastloop.connection import Connection
from fastloop.crossing import MARK
from fastloop.dispatch import OnAsyncio
from fastloop.errors import ConfigError, FastloopError
from fastloop.handlers import Handler
from fastloop.route import Route
from fastloop.routes import Framings, dispatch_of, framings_of, targets_of, wants_of
from fastloop.runtime import Runtime
from fastloop.signals import Signals
from fastloop.stats import Stats
from fastloop.timers import Timer
from fastloop.workers import Workers

log = logging.getLogger("fastloop")


class Server:
    """Serves one handler on several addresses, or several handlers, each on its own.

    ``handler`` is a function ``f(message)`` or ``f(connection, message)``, sync or async; an object
    with ``message`` and maybe ``open(connection)`` and ``close(connection, reason)``; or a dict
    from bind URL to such handlers. ``framing`` is a name, a Framing, or a dict from bind URL.
    All other options are those of ``fastloop.Config``.

        with fastloop.Server(handler, "tcp://127.0.0.1:0", framing="line") as server:
            print(server.port)

    Raises ConfigError for anything that cannot work, before a connection is accepted.
    """

    def __init__(
        self,
        handler: Any,
        *binds: str,
        framing: Framings = None,
        **options: Any,
    ) -> None:
        self.config = Config.load(**options)
        targets = targets_of(handler, binds)
        self._binds = [parse(url) for url in targets]
        self._handlers = [Handler.of(target) for target in targets.values()]
        self._framings = framings_of(framing, self._binds, self.config)
        self._is_async = any(handler.is_async for handler in self._handlers)
        self._listeners: list[Listener] = []
        self._runtimes: list[Runtime] = []
        self._threads: list[threading.Thread] = []
        self._workers: Workers | None = None
        self._attended = False  # run() or serve() closes it
        self._failure: BaseException | None = None

    # -- life --

    def start(self) -> Self:
        """Listens, and serves in background threads. Returns itself."""
        self._open()
        for runtime in self._runtimes:
            self._spawn(runtime)
        return self

    def run(self) -> None:
        """Listens and serves in this thread until ``stop``, Ctrl-C (at once), SIGTERM (drains)."""
        self._attended = True
        self._open()
        try:
            for runtime in self._runtimes[1:]:
                self._spawn(runtime)
            with Signals(self, self._runtimes[0]):
                self._turns(self._runtimes[0])
        finally:
            self._close()
        if self._failure is not None:
            raise self._failure

    async def serve(self) -> None:
        """Listens and serves on the running asyncio loop until ``stop`` or cancellation."""
        if self.config.threads != 1:
            raise ConfigError("threads needs a loop of its own in each: use run() or start()")
        self._attended = True
        self._open()
        try:
            await self._serve(self._runtimes[0])
        finally:
            self._close()

    def stop(self, *, drain: float | None = None) -> None:
        """Stops accepting, answers what was asked, closes; all of it after ``drain`` seconds.

        ``drain`` defaults to the option drain_timeout; 0 closes at once. From a handler this
        returns at once; from elsewhere it waits until the background threads ended. Twice is fine.
        """
        seconds = self.config.drain_timeout if drain is None else drain
        for runtime in self._runtimes:
            if runtime.loop is not None and runtime.running:
                runtime.call(runtime.drain, seconds) if seconds > 0 else runtime.call(runtime.stop)
        if self._runs_handlers(threading.get_ident()):
            return
        for thread in self._threads:
            thread.join()
        if not self._attended:
            self._close()

    def _runs_handlers(self, ident: int) -> bool:
        """Whether this thread cannot wait for the end, since that waits for it."""
        own = {thread.ident for thread in self._threads} | {r.thread for r in self._runtimes}
        return ident in own or (self._workers is not None and self._workers.has(ident))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _open(self) -> None:
        if self._runtimes:
            raise FastloopError("this server was started already")
        config = self.config
        try:
            for bind in self._binds:
                listener = listen(bind, backlog=config.backlog, threads=config.threads)
                self._listeners.append(listener)
            self._workers = Workers(config.blocking) if config.blocking else None
            for thread in range(config.threads):
                self._runtimes.append(self._runtime(thread))
            if self._is_async:
                fileno_of(self._runtimes[0])
        except BaseException:
            self._close()
            raise

    def _runtime(self, thread: int) -> Runtime:
        routes: list[Route] = []
        runtime = Runtime(self, native.open_loop(self.config), routes)
        for listener, handler, framing in zip(
            self._listeners, self._handlers, self._framings, strict=True
        ):
            route = Route(handler, dispatch_of(handler, self._workers))
            fd = listener.sockets[thread].fileno()
            wants = wants_of(handler, route.dispatch)
            native.listen(runtime.loop, fd, framing, wants, f"listening on {listener.address}")
            routes.append(route)
        return runtime

    def _spawn(self, runtime: Runtime) -> None:
        def body() -> None:
            try:
                self._turns(runtime)
            except BaseException as error:
                self._failure = error
                log.critical("a loop thread ended", exc_info=error)
                for other in self._runtimes:
                    other.stop()

        name = f"fastloop-{len(self._threads)}"
        thread = threading.Thread(target=body, name=name, daemon=True)
        self._threads.append(thread)
        runtime.expect()
        thread.start()

    def _turns(self, runtime: Runtime) -> None:
        if not self._is_async:
            runtime.run()
            return
        with asyncio.Runner(loop_factory=loop_factory(self.config.loop)) as runner:
            runner.run(self._serve(runtime))

    async def _serve(self, runtime: Runtime) -> None:
        turns = AsyncioTurns(runtime)
        try:
            await turns.ended.wait()
        finally:
            turns.detach()
            for route in runtime.routes:
                if isinstance(route.dispatch, OnAsyncio):
                    route.dispatch.cancel()

    def _close(self) -> None:
        for runtime in self._runtimes:
            if runtime.loop is not None and runtime.running:
                runtime.stop()
        current = threading.current_thread()
        for thread in self._threads:
            if thread is not current and thread.ident is not None:
                thread.join()
        if self._workers is not None:
            self._workers.stop()
        for runtime in self._runtimes:
            runtime.free()
        for listener in self._listeners:
            listener.close()

    # -- what it tells --

    @property
    def addresses(self) -> list[str]:
        """The URLs it listens on, with the real port where 0 was asked for."""
        return [listener.address for listener in self._listeners]

    @property
    def port(self) -> int:
        """The port of the first bind; raises ConfigError if that is no TCP address."""
        if not self._listeners or self._listeners[0].bind.kind != "inet":
            raise ConfigError("the first address has no port, or the server was not started")
        return int(self._listeners[0].address.rpartition(":")[2])

    @property
    def backend(self) -> str:
        """The backend in use, as "epoll"."""
        return str(ffi.string(lib.fl_backend(self._first().loop)), "ascii")

    def stats(self) -> Stats:
        """Counters since the start, summed over the threads."""
        return Stats.total(runtime.ask(runtime.stats) for runtime in self._runtimes)

    # -- what may be said to it, from any thread --

    def _first(self) -> Runtime:
        if not self._runtimes or self._runtimes[0].loop is None:
            raise FastloopError("the server is not running")
        return self._runtimes[0]

    def _here(self) -> Runtime:
        """The runtime of this thread if it has one, else the first."""
        current = threading.get_ident()
        for runtime in self._runtimes:
            if runtime.thread == current and runtime.loop is not None:
                return runtime
        return self._first()

    def call_later(self, seconds: float, function: Callable[..., Any], *args: Any) -> Timer:
        """Calls ``function(*args)`` on a loop's thread after so many seconds; see Timer."""
        return self._here().call_later(seconds, lambda: function(*args))

    def call_soon_threadsafe(self, function: Callable[..., Any], *args: Any) -> None:
        """Calls ``function(*args)`` on the (first) loop's thread as soon as it can."""
        self._first().post(function, *args)

    def broadcast(
        self,
        value: Any,
        *,
        to: Iterable[Connection] | None = None,
        exclude: Connection | None = None,
    ) -> None:
        """Sends a value to these connections, or to all; encoded once, shared by all receivers."""
        groups: dict[Runtime, list[int] | None] = dict.fromkeys(self._runtimes, None)
        if to is not None:
            groups = {}
            for connection in to:
                ids = groups.setdefault(connection._runtime, [])
                assert ids is not None
                ids.append(connection.id)
        for runtime, ids in groups.items():
            but = exclude.id if exclude is not None and exclude._runtime is runtime else -1
            runtime.call(runtime.command, (MARK, lib.FL_CAST, -1, ids, but, value))


def serve(
    handler: Any,
    *binds: str,
    framing: Framings = None,
    **options: Any,
) -> None:
    """Serves until Ctrl-C or SIGTERM: ``Server(handler, *binds, ...).run()``."""
    Server(handler, *binds, framing=framing, **options).run()
