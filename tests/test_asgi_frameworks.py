"""Applications of frameworks answer as they do in uvicorn, to the same requests."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("itsdangerous")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

import fastapi
import httpx
from asgi_compare import in_uvicorn, said, talk
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
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

URL = "http://127.0.0.1:0"
CLOSE = {"connection": "close"}
"""Where uvicorn closes behind its answer without saying so."""

PIECES = [b"piece %d\n" % n * 1000 for n in range(20)]

done: list[str] = []
"""What background tasks did."""


@pytest.fixture
def stage() -> Iterator[Stage]:
    """On one event loop: test_asgi.py is about all of them."""
    stage = Stage(loop="asyncio")
    yield stage
    stage.close()


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


async def chat(socket: WebSocket) -> None:
    await socket.accept(
        subprotocol=next(iter(socket.scope["subprotocols"]), None), headers=[(b"x-kind", b"chat")]
    )
    async for text in socket.iter_text():
        if text == "leave":
            await socket.close(3000, "as you like")
            return
        await socket.send_text(f"{socket.path_params['room']}: {text}")
        await asyncio.sleep(0)


async def guarded(socket: WebSocket) -> None:
    if "token" not in socket.query_params:
        await socket.send_denial_response(Response("no", 401, headers={"x-why": "no token"}))
        return
    if socket.query_params["token"] == "bad":
        await socket.close()
        return
    await socket.accept()
    await socket.send_json(await socket.receive_json())


starlette = Starlette(
    routes=[
        Route("/visits", visits),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream),
        Route("/background", background),
        Route("/failing", failing),
        Route("/headers", headers),
        WebSocketRoute("/chat/{room}", chat),
        WebSocketRoute("/guarded", guarded),
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


def litestar() -> Any:
    """An application of Litestar."""
    framework = pytest.importorskip("litestar")
    from litestar.datastructures import UploadFile
    from litestar.enums import RequestEncodingType
    from litestar.params import Body
    from litestar.response import Stream

    @framework.get("/items/{number:int}", sync_to_thread=False)  # type: ignore[untyped-decorator]
    def item(number: int, q: str = "none") -> dict[str, Any]:
        return {"number": number, "q": q}

    @framework.post("/items")  # type: ignore[untyped-decorator]
    async def create(data: dict[str, list[int]]) -> int:
        return sum(data["values"])

    async def upload(data: Any) -> list[Any]:
        content = await data.read()
        return [data.filename, len(content), sum(content)]

    upload.__annotations__ = {
        "data": Annotated[UploadFile, Body(media_type=RequestEncodingType.MULTI_PART)],
        "return": list[Any],
    }

    @framework.get("/pieces")  # type: ignore[untyped-decorator]
    async def pieces() -> Stream:
        async def each() -> AsyncIterator[bytes]:
            for piece in PIECES:
                yield piece

        return Stream(each())

    pieces.fn.__annotations__["return"] = Stream

    @framework.get("/failing")  # type: ignore[untyped-decorator]
    async def failing() -> None:
        raise ValueError("on purpose")

    @framework.websocket_listener("/echo")  # type: ignore[untyped-decorator]
    async def echo(data: str) -> str:
        return data.upper()

    handlers = [item, create, framework.post("/upload")(upload), pieces, failing, echo]
    return framework.Litestar(handlers, openapi_config=None, logging_config=None)


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
            lambda c: c.get("/failing", headers=CLOSE),
            lambda c: c.get("/headers", headers={"x-long": "long" * 1500}),
            lambda c: c.put("/below/echo/a%20b/%C3%A9", content=b"0123456789"),
            lambda c: c.post("/below/echo/", content=iter([b"a" * 100_000] * 3)),
            lambda c: c.get("/below/echo/"),
            lambda c: c.get("/visits/"),
            lambda c: c.get("/nowhere"),
        ],
    ),
    "files": (  # sent by path, which the middleware above treats in another way
        lambda: Starlette(routes=[Route("/file", file)]),
        [
            lambda c: c.get("/file"),
            lambda c: c.get("/file", headers={"range": "bytes=10-19"}),
            lambda c: c.get("/file", headers={"range": "bytes=9999999-"}),
            lambda c: c.head("/file"),
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
    "litestar": (
        litestar,
        [
            lambda c: c.get("/items/3?q=%C3%A9"),
            lambda c: c.get("/items/three"),
            lambda c: c.post("/items", json={"values": [1, 2]}),
            lambda c: c.post("/items", content=b"{"),
            lambda c: c.post("/upload", files={"file": ("a.bin", bytes(range(256)) * 800)}),
            lambda c: c.get("/pieces"),
            lambda c: c.get("/failing", headers=CLOSE),
            lambda c: c.get("/nowhere"),
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_same_as_uvicorn(stage: Stage, name: str) -> None:
    make, asks = CASES[name]
    with ExitStack() as stack:
        url = stack.enter_context(in_uvicorn(make()))
        other = stack.enter_context(httpx.Client(base_url=url, timeout=TIMEOUT))
        server = stage.serve(make(), URL, framing=None)
        own_url = server.addresses[0]
        own = stack.enter_context(httpx.Client(base_url=own_url, timeout=TIMEOUT))
        for n, ask in enumerate(asks):
            assert said(ask(own), own_url) == said(ask(other), url), n


@fast.websocket("/numbers")
async def numbers(socket: fastapi.WebSocket, start: int = 0) -> None:
    await socket.accept()
    try:
        while True:
            start += len(await socket.receive_bytes())
            await socket.send_bytes(b"%d" % start)
    except fastapi.WebSocketDisconnect as end:
        done.append(f"{end.code} {end.reason}")


TALKS: dict[str, tuple[Callable[[], Any], list[Any]]] = {
    "starlette": (
        lambda: starlette,
        [
            ("/chat/tea", "hello", "\u20ac", "leave", "late"),
            ("/chat/a%20b", "x" * 100_000),
            ("/guarded",),
            ("/guarded?token=bad",),
            ("/guarded?token=good", "[1, 2]"),
            ("/nowhere",),
        ],
    ),
    "fastapi": (lambda: fast, [("/numbers?start=7", b"four", b""), ("/numbers?start=x",)]),
    "litestar": (litestar, [("/echo", "hello"), ("/other",)]),
}


@pytest.mark.parametrize("name", TALKS)
def test_sockets_same_as_uvicorn(stage: Stage, name: str) -> None:
    make, talks = TALKS[name]
    done.clear()
    with in_uvicorn(make()) as other:
        own = stage.serve(make(), URL, framing=None).addresses[0]
        for path, *messages in talks:
            for options in ({}, {"subprotocols": ["a", "b"], "compression": None}):
                there = talk(other, path, *messages, **options)
                assert talk(own, path, *messages, **options) == there, path
        if name == "fastapi":
            wait_for(lambda: len(done) == 4)
            assert set(done) == {"1000 "}


class Program:
    """A server in a process of its own, which says at the end of a line where it listens."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        )

    def __enter__(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(r"http://127.0.0.1:\d+", line):
                return found[0]
        raise AssertionError("it ended without saying where it listens")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=TIMEOUT)


def test_django_same_as_uvicorn() -> None:
    """In processes, since the threads in which Django runs what is not async never end."""
    pytest.importorskip("django")
    app = "wsgi_apps.django_app:asgi"
    form = "application/x-www-form-urlencoded"
    asks: list[Ask] = [
        lambda c: c.get("/"),
        lambda c: c.get("/echo/%C3%A9%20x?b=c&b=d"),
        lambda c: c.post("/echo/x", content=b"a=b&c=%20", headers={"content-type": form}),
        lambda c: c.get("/count"),
        lambda c: c.get("/count"),
        lambda c: c.post("/upload", files={"a": ("a.txt", b"x" * 300_000)}, data={"b": "plain"}),
        lambda c: c.get("/stream"),
        lambda c: c.get("/big"),
        lambda c: c.get("/file"),
        lambda c: c.get("/away"),
        lambda c: c.get("/none"),
        lambda c: c.get("/fail"),
        lambda c: c.get("/missing"),
    ]
    with ExitStack() as stack:
        bind = ("--bind", "http://127.0.0.1:0")
        clients = []
        for command in (("fastloop", "serve", app, *bind), ("uvicorn", app, "--port", "0")):
            url = stack.enter_context(Program(*command))
            client = httpx.Client(base_url=url, timeout=TIMEOUT, headers={"host": "testserver"})
            clients.append((stack.enter_context(client), url))
        for n, ask in enumerate(asks):
            own, other = (said(ask(client), url) for client, url in clients)
            assert own == other, n


def test_background_tasks_follow_the_response(stage: Stage) -> None:
    server = stage.serve(starlette, URL, framing=None)
    done.clear()
    with httpx.Client(base_url=server.addresses[0], timeout=TIMEOUT) as client:
        assert client.get("/background?what=this").text == "soon"
        wait_for(lambda: done == ["this"])


def test_threads_go_on_while_the_server_is_busy(stage: Stage) -> None:
    ticks = 0
    over = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not over.wait(0.001):
            ticks += 1

    server = stage.serve(starlette, URL, framing=None)
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
