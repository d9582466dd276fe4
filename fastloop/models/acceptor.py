"""The loop that accepts: it keeps the limits, and a crew serves what it lets in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastloop import native
from fastloop._ffi import lib
from fastloop.asgi.app import AsgiApp
from fastloop.errors import ConfigError
from fastloop.models.board import Board
from fastloop.runtime import Runtime

if TYPE_CHECKING:
    from fastloop.assembly import Assembly
    from fastloop.server import Server

log = logging.getLogger("fastloop")


class Crew:
    """Who serves the connections: threads, or processes. Used by the loop that accepts."""

    def __init__(self, assembly: Assembly, server: Server) -> None:
        self.assembly = assembly
        self.server = server
        self.board = Board()
        self.acceptor: Acceptor

    def begin(self, listener: int, id: int, fd: int) -> None:
        """Lets somebody serve this socket. Raises what keeps it from that; then nothing changed."""
        raise NotImplementedError

    def ended(self, id: int) -> None:
        """The place of a connection was given back."""

    def has(self, ident: int) -> bool:
        """Whether this thread serves a connection."""
        return False

    def audience(self) -> list[Runtime]:
        """The loops that a broadcast goes to. Raises FastloopError where it cannot reach them."""
        raise NotImplementedError

    def drain(self, seconds: float) -> None:
        """All are to give their last replies, and to end within this time."""
        raise NotImplementedError

    def finish(self) -> None:
        """Ends all of them, and waits for that."""
        raise NotImplementedError


class Acceptor(Runtime):
    """Its connections are served elsewhere; here each keeps a place until it ends."""

    def __init__(self, server: Server, loop: Any, crew: Crew) -> None:
        super().__init__(server, loop, [])
        self.crew = crew
        crew.acceptor = self

    def end(self) -> None:
        """Nobody turns it any more, nor serves what it let in."""
        self.crew.finish()
        super().end()

    def drain(self, seconds: float) -> None:
        """Stops accepting, and stops when all connections have ended, or time is up."""
        self.crew.drain(seconds)
        super().drain(seconds)

    def stats(self) -> Any:
        """The counters of this loop and all that serve for it, an ``fl_stats``."""
        stats = super().stats()
        self.crew.board.add_to(stats)
        return stats

    def _opened(self, listener: int, ids: list[int], _: None) -> None:
        for id in ids:
            fd = lib.fl_hand(self.loop, id)
            if fd < 0:  # one that is refused, in this loop
                continue
            try:
                self.crew.begin(listener, id, fd)
            except (OSError, RuntimeError, MemoryError) as error:
                log.warning("a connection cannot be served: %s", error)
                lib.fl_return(self.loop, id, fd)

    def _closed(self, listener: int, ids: list[int], reasons: list[int]) -> None:
        for id in ids:
            self.crew.ended(id)


def open_acceptor(assembly: Assembly, server: Server, crew: Crew) -> Acceptor:
    """A loop that listens, and hands over to the crew. Raises ConfigError, OSError."""
    config = assembly.config
    acceptor = Acceptor(server, native.open_loop(config, lib.FL_ROLE_ACCEPT), crew)
    try:
        for service, listener in zip(assembly.services, assembly.listeners, strict=True):
            service.accept(acceptor, listener, listener.sockets[0].fileno(), config)
    except BaseException:
        acceptor.free()
        raise
    return acceptor


def check_handlers(assembly: Assembly) -> None:
    """Raises ConfigError for handlers that a loop of one connection cannot run."""
    for service in assembly.services:
        if service.is_async:
            what = "ASGI application" if isinstance(service.handler, AsgiApp) else "handler"
            raise ConfigError(
                f"the {what} {service.handler.name} is async, and tasks need a loop that all"
                f" connections share: use --model event-loop, not {assembly.config.model}"
            )
