"""A page that shows what the server is doing, live by server-sent events; and a chat room.

fastloop serve fastloop.examples.web:app --bind http://127.0.0.1:8000
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from importlib.resources import files
from time import perf_counter
from typing import Any

import fastloop
from fastloop.examples.web.room import Room
from fastloop.http import Request, Response, Router

PERIOD = 1.0
"""Seconds between two events."""

PAGE = files(__package__).joinpath("page.html").read_bytes()
CHAT = files(__package__).joinpath("chat.html").read_bytes()


def make(servers: Sequence[fastloop.Server] = ()) -> Router:
    """The application; it tells about these servers, or about its own if there are none."""
    app = Router()

    @app.get("/")
    def page(request: Request) -> Response:
        return Response(PAGE, content_type="text/html; charset=utf-8")

    @app.get("/hello")
    def hello(request: Request) -> str:
        return "Hello, World!\n"

    @app.get("/chat")
    def chat(request: Request) -> Response:
        return Response(CHAT, content_type="text/html; charset=utf-8")

    app.websocket("/chat/socket", Room(), origins=["same"], max_message=4096)

    @app.get("/events")
    async def events(request: Request) -> Any:
        own = request.connection.server
        return fastloop.sse(observe(servers or [own], own.backend))

    return app


async def observe(
    servers: Sequence[fastloop.Server], backend: str
) -> AsyncIterator[dict[str, Any]]:
    """What these servers do, once a period."""
    before, at = await snapshot(servers), perf_counter()
    while True:
        await asyncio.sleep(PERIOD)
        now, then = await snapshot(servers), at
        at = perf_counter()
        messages = sum(stats.messages for stats in now)
        fresh = messages - sum(stats.messages for stats in before)
        crossings = sum(stats.crossings for stats in now) - sum(s.crossings for s in before)
        yield {
            "rate": fresh / (at - then),
            "messages": messages,
            "connections": sum(stats.connections for stats in now),
            "accepted": sum(stats.accepted for stats in now),
            "batch": fresh / crossings if crossings else 0.0,
            "backend": backend,
            "servers": len(servers),
        }
        before = now


async def snapshot(servers: Sequence[fastloop.Server]) -> list[fastloop.Stats]:
    """Their counters; asked for in a thread, since a loop answers only between two turns."""
    return await asyncio.to_thread(lambda: [server.stats() for server in servers])


app = make()
