"""What a running server holds: listening sockets, a runtime for each loop thread, workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastloop import native
from fastloop.aio import fileno_of
from fastloop.bind import Listener, listen
from fastloop.config import Config
from fastloop.route import Route
from fastloop.runtime import Runtime
from fastloop.services import Service
from fastloop.workers import Workers

if TYPE_CHECKING:
    from fastloop.server import Server


class Assembly:
    """All of it, opened together and closed together."""

    def __init__(self, config: Config, services: list[Service]) -> None:
        self.config = config
        self.services = services
        self.listeners: list[Listener] = []
        self.runtimes: list[Runtime] = []
        self.workers: Workers | None = None
        self.is_async = any(service.is_async for service in services)

    def open(self, server: Server) -> None:
        """Listens. Raises ConfigError or OSError, with nothing left open."""
        config = self.config
        try:
            for service in self.services:
                listener = listen(service.bind, backlog=config.backlog, threads=config.threads)
                self.listeners.append(listener)
            self.workers = Workers(config.blocking) if config.blocking else None
            for thread in range(config.threads):
                self.runtimes.append(self._runtime(server, thread))
            if self.is_async:
                fileno_of(self.runtimes[0])
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

    def close(self) -> None:
        """Closes everything; no thread may turn a runtime any more."""
        if self.workers is not None:
            self.workers.stop()
        for runtime in self.runtimes:
            runtime.free()
        for listener in self.listeners:
            listener.close()
