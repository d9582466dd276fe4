"""A chat room for browsers: WebSocket and publish/subscribe in some forty lines."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from fastloop import WebSocket
from fastloop.websocket import CloseReason

TOPIC = "chat"
LONGEST = 500
"""Characters of what somebody says."""


class Room:
    """Whoever connects is in it, under ``?name=`` or as a guest; what one says, all hear."""

    def __init__(self) -> None:
        self._guests = count(1)
        self._here = 0

    def open(self, conn: WebSocket) -> None:
        """Let somebody in, and tell everybody."""
        name = conn.request.query.get("name", "").strip()[:20]
        conn.state = name or f"guest {next(self._guests)}"
        conn.subscribe(TOPIC)
        self._here += 1
        conn.send(json.dumps({"you": conn.state}))
        self._tell(conn, f"{conn.state} came in", who=None)

    def message(self, conn: WebSocket, message: str | bytes) -> None:
        """Tell everybody, the speaker too, what was said."""
        if isinstance(message, bytes):
            conn.close(1003, "this room is for text")
        elif text := message.strip()[:LONGEST]:
            self._tell(conn, text, who=conn.state)

    def close(self, conn: WebSocket, reason: CloseReason) -> None:
        """Tell the others who left."""
        self._here -= 1
        self._tell(conn, f"{conn.state} left", who=None)

    def _tell(self, conn: WebSocket, text: str, **more: Any) -> None:
        event = {"text": text, "here": self._here, **more}
        conn.server.publish(TOPIC, json.dumps(event, ensure_ascii=False))
