"""What a running server holds: listening sockets, a runtime for each loop thread, workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastloop import native, notices
from fastloop.aio import fileno_of
from fastloop.bind import Listener, listen
from fastloop.config import PROCESS_PER_CONNECTION, THREAD_PER_CONNECTION, Config
from fastloop.models.acceptor import Crew, check_handlers, open_acceptor
from fastloop.models.processes import Processes
from fastloop.models.threads import Threads
from fastloop.route import Route
from fastloop.runtime import Runtime
from fastloop.services import Service
from fastloop.watchdog import Watchdog
from fastloop.workers import Workers

if TYPE_CHECKING:
    from fastloop.server import Server


CREWS: dict[str, type[Crew]] = {
    THREAD_PER_CONNECTION: Threads,
    PROCESS_PER_CONNECTION: Processes,
}


class Assembly:
    """All of it, opened together and closed together."""

    def __init__(self, config: Config, services: list[Service]) -> None:
        self.config = config
        self.services = services
        self.listeners: list[Listener] = []
        self.runtimes: list[Runtime] = []
        self.workers: Workers | None = None
        self.watchdog: Watchdog | None = None
        self.is_async = any(service.is_async for service in services)
        self.crew: Crew | None = None  # serves the connections, if the runtime does not itself
        if config.model in CREWS:
            check_handlers(self)

    def open(self, server: Server) -> None:
        """Listens. Raises ConfigError or OSError, with nothing left open."""
        config = self.config
        try:
            for service in self.services:
                listener = listen(service.bind, backlog=config.backlog, threads=config.threads)
                self.listeners.append(listener)
            crew_of = CREWS.get(config.model)
            if crew_of is not None:
                self.crew = crew_of(self, server)
                self.runtimes.append(open_acceptor(self, server, self.crew))
                return
            self.workers = Workers(config.blocking) if config.blocking else None
            for thread in range(config.threads):
                self.runtimes.append(self._runtime(server, thread))
            notices.fallback(self.runtimes[0].loop)
            if self.is_async:
                fileno_of(self.runtimes[0])
            if config.slow_handler:
                self.watchdog = Watchdog(config, self.runtimes, is_async=self.is_async)
                self.watchdog.start()
        except BaseException:
            self.close()
            raise

    def _runtime(self, server: Server, thread: int) -> Runtime:
        routes: list[Route] = []
        runtime = Runtime(server, native.open_loop(self.config), routes)
        try:
            for service, listener in zip(self.services, self.listeners, strict=True):
                fd = listener.sockets[thread].fileno()
                routes += service.listen(runtime, listener, fd, self.config, self.workers)
        except BaseException:
            runtime.free()
            raise
        return runtime

    def audience(self) -> list[Runtime]:
        """The loops of all connections. Raises FastloopError where they cannot be reached."""
        return self.runtimes if self.crew is None else self.crew.audience()

    def close(self) -> None:
        """Closes everything; no thread may turn a runtime any more."""
        if self.workers is not None:
            self.workers.stop()
        if self.watchdog is not None:
            self.watchdog.stop()
        for runtime in self.runtimes:
            runtime.free()
        if self.watchdog is not None:
            self.watchdog.free()
        for listener in self.listeners:
            listener.close()
