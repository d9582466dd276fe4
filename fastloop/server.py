"""The server: listening sockets, a runtime for each loop thread, and their life until the stop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from fastloop.aio import close, loop_factory
from fastloop.assembly import Assembly
from fastloop.config import EVENT_LOOP, Config
from fastloop.errors import ConfigError, FastloopError
from fastloop.hosting import host
from fastloop.runtime import Runtime
from fastloop.services import Framings, services_of
from fastloop.signals import Signals
from fastloop.telling import Telling

log = logging.getLogger("fastloop")


class Server(Telling):
    """Serves one handler on several addresses, or several handlers, each on its own.

    ``handler`` is a function ``f(message)`` or ``f(connection, message)``, sync or async; an object
    with ``message`` and maybe ``open(connection)`` and ``close(connection, reason)``; or a dict
    from bind URL to such handlers. ``framing`` is a name, a Framing, or a dict from bind URL.

    On http:// addresses it is a function ``f(request)``, such an object, or a ``Router``. There,
    ``stream`` hands over requests before their body is read; ``static`` is a dict from path prefix
    to a directory, whose files are served without Python. ``healthz=None`` turns that path off.
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
        stream: bool = False,
        static: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if "healthz" in options and options["healthz"] is None:
            options["healthz"] = ""
        self.config = Config.load(**options)
        services = services_of(handler, binds, framing, self.config, stream=stream, static=static)
        self._assembly = Assembly(self.config, services)
        self._threads: list[threading.Thread] = []
        self._attended = False  # run() or serve() closes it
        self._failure: BaseException | None = None
        self.hurried = False  # a signal came again: nothing is waited for any more

    # -- life --

    def start(self) -> Self:
        """Listens, and serves in background threads, once applications started. Returns itself.

        Raises what a startup raised, with nothing left open: of ASGI a StartupError.
        """
        self._open()
        try:
            for ready in [self._spawn(runtime) for runtime in self._runtimes]:
                ready.result()
        except BaseException:
            self.stop(drain=0)
            raise
        return self

    def run(self, *, started: Callable[[], object] | None = None) -> None:
        """Listens and serves in this thread until ``stop``, Ctrl-C (at once), SIGTERM (drains).

        ``started()`` is called when it listens and handles signals, before the first connection.
        """
        self._attended = True
        self._open()
        try:
            for runtime in self._runtimes[1:]:
                self._spawn(runtime)
            with Signals(self, self._runtimes[0]):
                self._turns(self._runtimes[0], started)
        finally:
            self._close()
        if self._failure is not None:
            raise self._failure

    async def serve(self) -> None:
        """Listens and serves on the running asyncio loop until ``stop`` or cancellation."""
        if self.config.model != EVENT_LOOP:
            raise ConfigError(
                f"model={self.config.model!r} does not run on an asyncio loop: use run() or start()"
            )
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
        self._at_large("stop()")
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
        workers = self._assembly.workers
        crew = self._assembly.crew
        return (
            ident in own
            or (workers is not None and workers.has(ident))
            or (crew is not None and crew.has(ident))
        )

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
        if self._assembly.runtimes:
            raise FastloopError("this server was started already")
        self._assembly.open(self)

    def _spawn(self, runtime: Runtime) -> Future[None]:
        ready: Future[None] = Future()

        def body() -> None:
            try:
                self._turns(runtime, lambda: ready.set_result(None))
            except BaseException as error:
                if not ready.done():
                    ready.set_exception(error)
                    self.fail(error, told=True)
                else:
                    self.fail(error)
            finally:
                if not ready.done():  # stopped before it began
                    ready.set_result(None)

        name = f"fastloop-{len(self._threads)}"
        thread = threading.Thread(target=body, name=name, daemon=True)
        self._threads.append(thread)
        runtime.expect()
        thread.start()
        return ready

    def fail(self, error: BaseException, *, told: bool = False) -> None:
        """A thread of the server ended by this: the others stop, and ``run`` raises it."""
        self._failure = error
        if not told:
            log.critical("a loop thread ended", exc_info=error)
        for other in self._runtimes:
            other.stop()

    def confine(self) -> None:
        """In a child process, which serves one connection: this is no longer the whole server."""
        self._confined = True

    def _turns(self, runtime: Runtime, started: Callable[[], object] | None = None) -> None:
        if not self._assembly.is_async:
            if started is not None:
                started()
            runtime.run()
            return
        runner = asyncio.Runner(loop_factory=loop_factory(self.config.loop))
        try:
            runner.run(self._serve(runtime, started))
        finally:
            close(runner)

    async def _serve(self, runtime: Runtime, started: Callable[[], object] | None = None) -> None:
        await host(runtime, started, lambda: self.hurried)

    def _close(self) -> None:
        for runtime in self._runtimes:
            if runtime.loop is not None and runtime.running:
                runtime.stop()
        current = threading.current_thread()
        for thread in self._threads:
            if thread is not current and thread.ident is not None:
                thread.join()
        self._assembly.close()


def serve(
    handler: Any,
    *binds: str,
    framing: Framings = None,
    stream: bool = False,
    static: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """Serves until Ctrl-C or SIGTERM: ``Server(handler, *binds, ...).run()``."""
    Server(handler, *binds, framing=framing, stream=stream, static=static, **options).run()
