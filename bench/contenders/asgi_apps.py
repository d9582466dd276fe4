"""ASGI applications that all ASGI servers run: bare, with Starlette, and with FastAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

TEXT = "Hello, World!"


async def raw(scope: Message, _receive: Receive, send: Send) -> None:
    """Answer every request."""
    assert scope["type"] == "http"
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Hello, World!"})


def with_starlette() -> Application:
    """Return an application with one route."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def hello(_request: Request) -> Response:
        return Response(TEXT, headers={"content-type": "text/plain"})

    return Starlette(routes=[Route("/starlette", hello)])


def with_fastapi() -> Application:
    """Return an application with one route, which answers in JSON."""
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/fastapi")
    async def hello() -> dict[str, str]:
        return {"message": TEXT}

    return app


@cache
def make(name: str) -> Application:
    """Return raw, starlette or fastapi."""
    return {"raw": lambda: raw, "starlette": with_starlette, "fastapi": with_fastapi}[name]()


def __getattr__(name: str) -> Application:
    """Return `raw_app`, `starlette_app` or `fastapi_app`: what command lines name."""
    if not name.endswith("_app"):
        raise AttributeError(name)
    return make(name.removesuffix("_app"))
