"""fastloop: `fastloop serve ws_fastloop.py:echo --bind ws://...`, or ws_fastloop.py:cast."""

from fastloop import WebSocket


def echo(message: bytes) -> bytes:
    """Answer a message by itself."""
    return message


class Cast:
    """Sends each message to all who are there."""

    def open(self, conn: WebSocket) -> None:
        conn.subscribe("all")

    def message(self, conn: WebSocket, message: bytes) -> None:
        conn.server.publish("all", message)


cast = Cast()
