"""WebSocket for handlers (RFC 6455): messages are str or bytes, and so are replies.

    import fastloop

    class Chat:
        def open(self, conn):
            conn.subscribe("room")

        def message(self, conn, message):
            conn.server.publish("room", message)

    app = fastloop.Router()
    app.websocket("/chat", Chat())
    fastloop.serve(app, "http://127.0.0.1:8000")

On an address of its own: ``fastloop.serve(Chat(), "ws://127.0.0.1:8000/chat")``. Handlers are what
they are elsewhere: ``f(message)``, ``f(conn, message)``, also ``async`` or ``@fastloop.batch``, or
an object with ``message`` and maybe ``open(conn)`` and ``close(conn, reason)``. ``conn`` is a
``WebSocket``. What a handler returns is sent: str as text, bytes as binary, a list of these as
several messages, None not at all.
"""

from fastloop.websocket.connection import CloseReason, WebSocket
from fastloop.websocket.endpoint import Endpoint
from fastloop.websocket.handshake import Handshake

__all__ = ["CloseReason", "Endpoint", "Handshake", "WebSocket"]
