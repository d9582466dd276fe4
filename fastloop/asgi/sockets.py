"""The WebSockets of ASGI applications in one runtime, and what the core tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastloop.asgi.websocket import Socket
    from fastloop.connection import Connection
    from fastloop.runtime import Runtime
    from fastloop.websocket.connection import CloseReason


class Sockets:
    """Those that are open, by connection."""

    def __init__(self, endpoint: object) -> None:
        self.endpoint = endpoint
        self.open: dict[int, Socket] = {}

    def forget(self, socket: Socket) -> None:
        """It is over."""
        if self.open.get(socket.id) is socket:
            del self.open[socket.id]

    def arrived(self, runtime: Runtime, _: Any, ids: list[int] | None, items: list[Any]) -> None:
        """A batch of messages."""
        assert ids is not None
        for id, item in zip(ids, items, strict=True):
            socket = self.open.get(id)
            if socket is not None:
                socket.arrived(item)
            runtime.reply(None)

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        """One has ended."""
        socket = self.open.get(connection.id)
        if socket is not None:
            socket.ended(reason.code, str(reason))
