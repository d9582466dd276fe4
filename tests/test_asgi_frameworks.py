"""Applications of frameworks answer as they do in uvicorn, to the same requests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import fastapi
import httpx
import pytest
import uvicorn
from client import TIMEOUT, wait_for
from stage import Stage
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route

URL = "http://127.0.0.1:0"
PIECES = [b"piece %d\n" % n * 1000 for n in range(20)]

done: list[str] = []
"""What background tasks did."""


# -- Starlette --


async def visits(request: Request) -> Response:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JSONResponse(request.session)


async def upload(request: Request) -> Response:
    async with request.form() as form:
        file = form["file"]
        assert not isinstance(file, str)
        data = await file.read()
        return JSONResponse([file.filename, len(data), sum(data), form["name"]])


async def stream(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in PIECES:
            await asyncio.sleep(0)
            yield piece

    return StreamingResponse(pieces(), media_type="text/plain")


async def background(request: Request) -> Response:
    return PlainTextResponse(
        "soon", background=BackgroundTask(done.append, request.query_params["what"])
    )


async def failing(_: Request) -> Response:
    raise ValueError("on purpose")


async def headers(request: Request) -> Response:
    return PlainTextResponse("", headers={"x-back": request.headers["x-long"] * 2})


async def echo(request: Request) -> Response:
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return PlainTextResponse(f"{request.method} {request.url.path} {size}")


async def file(_: Request) -> Response:
    return FileResponse(Path(__file__))


starlette = Starlette(
    routes=[
        Route("/visits", visits),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream),
        Route("/background", background),
        Route("/failing", failing),
        Route("/headers", headers),
        Route("/file", file),
        Mount("/below", routes=[Route("/echo/{rest:path}", echo, methods=["POST", "PUT"])]),
    ],
    middleware=[
        Middleware(GZipMiddleware, minimum_size=10_000),
        Middleware(SessionMiddleware, secret_key="known to all"),
    ],
)

# -- FastAPI --

fast = fastapi.FastAPI()


def token(x_token: Annotated[str | None, fastapi.Header()] = None) -> str:
    if x_token is None:
        raise fastapi.HTTPException(401, "no token")
    return x_token


@fast.get("/items/{number}")
def item(number: int, q: str = "none") -> dict[str, Any]:
    return {"number": number, "q": q, "thread": threading.current_thread().name != "MainThread"}


@fast.post("/items")
async def create(values: list[int], token: Annotated[str, fastapi.Depends(token)]) -> list[int]:
    return [*values, len(token)]


# -- others --


def quart() -> Any:
    """An application of Quart."""
    framework = pytest.importorskip("quart")
    app = framework.Quart("app")

    @app.route("/", methods=["GET", "POST"])  # type: ignore[untyped-decorator]
    async def index() -> Any:
        data = await framework.request.get_data()
        return {"bytes": len(data), "args": dict(framework.request.args)}

    @app.route("/pieces")  # type: ignore[untyped-decorator]
    async def pieces() -> Any:
        async def each() -> AsyncIterator[bytes]:
            for piece in PIECES:
                yield piece

        return each(), {"x-kind": "pieces"}

    return app


# -- the same of both --

Ask = Callable[[httpx.Client], httpx.Response]

CASES: dict[str, tuple[Callable[[], Any], list[Ask]]] = {
    "starlette": (
        lambda: starlette,
        [
            lambda c: c.get("/visits"),
            lambda c: c.get("/visits"),
            lambda c: c.post(
                "/upload", files={"file": ("a.bin", bytes(range(256)) * 800)}, data={"name": "n"}
            ),
            lambda c: c.get("/stream", headers={"accept-encoding": "identity"}),
            lambda c: c.get("/stream"),
            lambda c: c.head("/stream"),
            lambda c: c.get("/failing"),
            lambda c: c.get("/headers", headers={"x-long": "long" * 1500}),
            lambda c: c.put("/below/echo/a%20b/%C3%A9", content=b"0123456789"),
            lambda c: c.post("/below/echo/", content=iter([b"a" * 100_000] * 3)),
            lambda c: c.get("/below/echo/"),
            lambda c: c.get("/file", headers={"accept-encoding": "identity"}),
            lambda c: c.get("/file", headers={"range": "bytes=10-19"}),
            lambda c: c.get("/file", headers={"range": "bytes=9999999-"}),
            lambda c: c.head("/file"),
            lambda c: c.get("/visits/"),
            lambda c: c.get("/nowhere"),
        ],
    ),
    "fastapi": (
        lambda: fast,
        [
            lambda c: c.get("/items/3?q=%C3%A9+x"),
            lambda c: c.get("/items/three"),
            lambda c: c.post("/items", json=[1, 2], headers={"x-token": "abc"}),
            lambda c: c.post("/items", json=[1, 2]),
            lambda c: c.post("/items", content=b"[1", headers={"x-token": "abc"}),
            lambda c: c.get("/openapi.json"),
        ],
    ),
    "quart": (
        quart,
        [
            lambda c: c.get("/?a=b"),
            lambda c: c.post("/", content=b"a" * 200_000),
            lambda c: c.get("/pieces"),
            lambda c: c.get("/nowhere"),
            lambda c: c.put("/"),
        ],
    ),
}


@contextmanager
def in_uvicorn(app: Any) -> Iterator[str]:
    """Serves it in a thread. Yields its URL."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="critical", lifespan="auto", loop="asyncio")
    )
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        wait_for(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


OWN = ("date", "server", "connection", "set-cookie", "content-length", "transfer-encoding")
"""Fields of the server itself, how it says where the body ends, and what tells the time."""


def said(response: httpx.Response, url: str) -> Any:
    """All that the application decides."""
    fields = sorted((k, v.replace(url, "")) for k, v in response.headers.items() if k not in OWN)
    return response.status_code, fields, "set-cookie" in response.headers, response.content


@pytest.mark.parametrize("name", CASES)
def test_same_as_uvicorn(stage_async: Stage, name: str) -> None:
    make, asks = CASES[name]
    app = make()
    with ExitStack() as stack:
        url = stack.enter_context(in_uvicorn(app))
        other = stack.enter_context(httpx.Client(base_url=url, timeout=TIMEOUT))
        server = stage_async.serve(app, URL, framing=None)
        own_url = server.addresses[0]
        own = stack.enter_context(httpx.Client(base_url=own_url, timeout=TIMEOUT))
        for n, ask in enumerate(asks):
            assert said(ask(own), own_url) == said(ask(other), url), n


def test_background_tasks_follow_the_response(stage_async: Stage) -> None:
    server = stage_async.serve(starlette, URL, framing=None)
    done.clear()
    with httpx.Client(base_url=server.addresses[0], timeout=TIMEOUT) as client:
        assert client.get("/background?what=this").text == "soon"
        wait_for(lambda: done == ["this"])


def test_threads_go_on_while_the_server_is_busy(stage_async: Stage) -> None:
    ticks = 0
    over = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not over.wait(0.001):
            ticks += 1

    server = stage_async.serve(starlette, URL, framing=None)
    thread = threading.Thread(target=tick)
    thread.start()
    try:
        with httpx.Client(base_url=server.addresses[0], timeout=TIMEOUT) as client:
            first = ticks
            for _ in range(20):
                client.post("/below/echo/x", content=b"a" * 100_000)
            wait_for(lambda: ticks > first + 5)
    finally:
        over.set()
        thread.join()
