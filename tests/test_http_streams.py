"""Responses in pieces, requests in pieces, and events: in order, with back pressure, to the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from client import wait_for
from http_client import HttpClient, request
from stage import Stage

import fastloop
from conftest import Serve, backends
from fastloop import HTTPError, Response, Router

URL = "http://127.0.0.1:0"

WAYS = [
    (way, backend)
    for way in ("loop", "thread", "task")
    for backend in backends()
    if way != "task" or backend in ("epoll", "kqueue", "io_uring")
]
"""What pumps a response, and on what."""


class Source:
    """Iterators that note when they are closed, and how far they came."""

    def __init__(self) -> None:
        self.taken = 0
        self.closed = 0

    def sync(self, items: Any) -> Iterator[Any]:
        """Yields the items."""
        try:
            for item in items:
                self.taken += 1
                yield item
        finally:
            self.closed += 1

    async def later(self, items: Any) -> AsyncIterator[Any]:
        """The same, as an async iterator that waits now and then."""
        try:
            for item in items:
                self.taken += 1
                if self.taken % 3 == 0:
                    await asyncio.sleep(0)
                yield item
        finally:
            self.closed += 1


Run = Callable[..., HttpClient]


@pytest.fixture
def source() -> Source:
    """Where the pieces come from."""
    return Source()


@pytest.fixture(params=WAYS, ids="-".join)
def run(request: pytest.FixtureRequest, source: Source) -> Iterator[Run]:
    """Serves what ``make(iterate)`` returns, where ``iterate(items)`` is an iterator of this way.

    Returns a client; keyword arguments of its request become options.
    """
    way, backend = request.param
    stage = Stage(backend=backend, loop="asyncio")

    def start(make: Callable[[Callable[..., Any]], Any], **options: Any) -> HttpClient:
        def plain(request: Any) -> Any:
            return make(source.sync)

        async def later(request: Any) -> Any:
            return make(source.later)

        if way == "thread":
            options["blocking"] = 2
        server = stage.serve(later if way == "task" else plain, URL, framing=None, **options)
        client = HttpClient(server)
        stage._clients.append(client.client)
        return client

    yield start
    stage.close()


class TestResponses:
    """The same whoever pumps them."""

    @pytest.mark.parametrize(
        ("items", "type", "body"),
        [
            ([b"a", b"bc"], "application/octet-stream", b"abc"),
            (["ä", "b"], "text/plain; charset=utf-8", "äb".encode()),
            ([b"", b"a", b"", b"b"], "application/octet-stream", b"ab"),
            ([], "application/octet-stream", b""),
            ([b"x" * 70_000] * 20, "application/octet-stream", b"x" * 1_400_000),
            (["é" * 40_000] * 3, "text/plain; charset=utf-8", "é".encode() * 120_000),
        ],
    )
    def test_pieces(
        self, run: Run, source: Source, items: list[Any], type: str, body: bytes
    ) -> None:
        client = run(lambda iterate: iterate(items))
        for n in range(1, 3):
            got = client.get("/")
            assert (got.status, got["content-type"], got.body) == (200, type, body)
            assert got["transfer-encoding"] == "chunked"
            assert not got.is_last
            wait_for(lambda n=n: source.closed == n)

    def test_status_and_headers(self, run: Run) -> None:
        client = run(
            lambda iterate: Response(iterate(["<p>"]), 203, {"x-a": "b"}, content_type="text/html")
        )
        got = client.get("/")
        assert (got.status, got["x-a"], got["content-type"]) == (203, "b", "text/html")
        assert got.text == "<p>"

    def test_a_length_of_its_own(self, run: Run) -> None:
        client = run(
            lambda iterate: Response(iterate([b"ab", b"c"]), headers={"content-length": 3})
        )
        got = client.get("/")
        assert (got["content-length"], got.body) == ("3", b"abc")
        assert "transfer-encoding" not in got
        assert client.get("/").body == b"abc"

    def test_http_1_0(self, run: Run) -> None:
        client = run(lambda iterate: iterate([b"ab", b"c"]))
        got = client.ask("GET", "/", version="1.0")
        assert got.body == b"abc"
        assert "transfer-encoding" not in got

    def test_head(self, run: Run, source: Source) -> None:
        client = run(lambda iterate: iterate(["a"] * 1000))
        got = client.ask("HEAD", "/")
        assert (got.status, got["content-type"]) == (200, "text/plain; charset=utf-8")
        wait_for(lambda: source.closed == 1)
        assert source.taken == 1
        assert client.get("/").text == "a" * 1000

    def test_a_status_without_a_body(self, run: Run, source: Source) -> None:
        client = run(lambda iterate: Response(iterate(["a"] * 1000), 304))
        assert client.get("/").status == 304
        assert client.get("/").status == 304
        wait_for(lambda: source.closed == 2)
        assert source.taken == 2

    def test_pipelined(self, run: Run) -> None:
        """More than may wait for the peer in each, so that none may stand in another's way."""
        client = run(lambda iterate: iterate([b"x" * 50_000] * 10))
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 5)
        assert [len(client.response().body) for _ in range(5)] == [500_000] * 5

    def test_back_pressure(self, run: Run, source: Source) -> None:
        """Of an endless response only so much is taken as the peer takes."""

        def endless() -> Iterator[bytes]:
            while True:
                yield b"x" * 10_000

        client = run(lambda iterate: iterate(endless()), write_timeout=0)
        client.send(request("GET", "/"))
        wait_for(lambda: source.taken > 20)
        before = -1
        while before != source.taken:  # until the socket's buffers are full
            before = source.taken
            threading.Event().wait(0.1)
        assert source.closed == 0
        client.client.read(before * 10_000)
        wait_for(lambda: source.taken > before + 20)
        client.close()
        wait_for(lambda: source.closed == 1)

    def test_an_error_before_the_first_piece(
        self, run: Run, source: Source, caplog: pytest.LogCaptureFixture
    ) -> None:
        def failing() -> Iterator[bytes]:
            raise LookupError("no such thing")
            yield b""

        client = run(lambda iterate: iterate(failing()))
        for _ in range(2):
            got = client.get("/")
            assert (got.status, got.text) == (500, "Internal Server Error\n")
        assert "'GET / HTTP/1.1' failed" in caplog.text
        assert "LookupError: no such thing" in caplog.text

    def test_an_answer_before_the_first_piece(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        def failing() -> Iterator[bytes]:
            raise HTTPError(404, "not here")
            yield b""

        client = run(lambda iterate: iterate(failing()))
        assert (client.get("/").status, client.get("/").text) == (404, "not here\n")
        assert not caplog.records

    @pytest.mark.parametrize("bad", [None, 5])
    def test_an_error_in_the_middle(
        self, run: Run, source: Source, caplog: pytest.LogCaptureFixture, bad: Any
    ) -> None:
        """Nobody may take what came for the whole."""

        def failing() -> Iterator[Any]:
            yield b"begun"
            if bad is None:
                raise LookupError("no such thing")
            yield bad

        client = run(lambda iterate: iterate(failing()))
        client.send(request("GET", "/"))
        with pytest.raises((AssertionError, EOFError)):
            client.response()
        assert len(caplog.records) == 1
        assert ("LookupError" if bad is None else "yielded int, not bytes or str") in caplog.text
        wait_for(lambda: source.closed == 1)

    def test_an_error_while_it_is_closed(self, run: Run, caplog: pytest.LogCaptureFixture) -> None:
        """It is logged; the response is what it was, and the connection goes on."""

        class Plain:
            def __init__(self, items: Any) -> None:
                self.items = items

            def __iter__(self) -> Any:
                return self

            def __next__(self) -> Any:
                return next(self.items)

            def close(self) -> None:
                raise LookupError("close")

        class Late(Plain):
            async def __anext__(self) -> Any:
                return await anext(self.items)

            async def aclose(self) -> None:
                raise LookupError("async close")

        def make(iterate: Any) -> Any:
            items = iterate([b"a", b"b"])
            return (Late if hasattr(items, "__anext__") else Plain)(items)

        client = run(make)
        for _ in range(2):
            assert client.get("/").body == b"ab"
        assert "close" in caplog.text

    def test_stopping_at_once(self, run: Run, source: Source) -> None:
        def endless() -> Iterator[bytes]:
            while True:
                yield b"x" * 10_000

        client = run(lambda iterate: iterate(endless()), write_timeout=0)
        client.send(request("GET", "/"))
        wait_for(lambda: source.taken > 20)
        # The end of the test stops the server; no thread and no connection may stay.


def test_events_of_a_task(stage_async: Stage) -> None:
    source = Source()

    async def handler(request: Any) -> Any:
        events = ["a", {"b": 1}, fastloop.http.Event("c\nd", event="e", id=5)]
        return fastloop.sse(source.later(events))

    with HttpClient(stage_async.serve(handler, URL, framing=None)) as client:
        got = client.get("/")
    assert got["content-type"] == "text/event-stream"
    assert got["cache-control"] == "no-cache"
    assert got.text == 'data: a\n\ndata: {"b":1}\n\nevent: e\nid: 5\ndata: c\ndata: d\n\n'


def test_events_of_a_plain_iterator(serve: Serve) -> None:
    server = serve(lambda request: fastloop.sse(iter(["a", "b"])), URL, framing=None)
    with HttpClient(server) as client:
        assert client.get("/").text == "data: a\n\ndata: b\n\n"


def waiting(client: HttpClient, until: bytes) -> bytes:
    """What comes until these bytes are there."""
    client.send(request("GET", "/"))
    found = b""
    while until not in found:
        piece = client.client.read(1)
        assert piece, found
        found += piece
    return found


def test_the_head_of_events_is_sent_at_once(stage_async: Stage) -> None:
    """And a comment now and then; who leaves is noticed although nothing is sent."""
    source = Source()

    async def forever() -> AsyncIterator[str]:
        try:
            await asyncio.Event().wait()
            yield ""
        finally:
            source.closed += 1

    async def handler(request: Any) -> Any:
        return fastloop.sse(forever(), ping=0.02)

    server = stage_async.serve(handler, URL, framing=None)
    client = HttpClient(server)
    found = waiting(client, b":\n\n\r\n3\r\n:\n\n\r\n")
    assert found.startswith(b"HTTP/1.1 200 OK\r\n")
    client.close()
    wait_for(lambda: source.closed == 1)
    wait_for(lambda: server.stats().connections == 0)


@pytest.mark.event_loop
def test_comments_while_a_thread_waits(serve: Serve) -> None:
    gate = threading.Event()

    def wait() -> Iterator[str]:
        assert gate.wait(20)
        yield "late"

    def handler(request: Any) -> Any:
        return fastloop.sse(wait(), ping=0.02)

    with HttpClient(serve(handler, URL, framing=None, blocking=1)) as client:
        waiting(client, b":\n\n\r\n3\r\n:\n\n\r\n")
        gate.set()
        rest = b""
        while not rest.endswith(b"0\r\n\r\n"):
            rest += client.client.read(1)
        assert b"data: late\n\n" in rest


def test_no_comments_while_events_come(stage_async: Stage) -> None:
    gate = threading.Event()

    async def ticks() -> AsyncIterator[str]:
        n = 0
        while not gate.is_set():
            yield str(n)
            n += 1
            await asyncio.sleep(0.001)

    async def handler(request: Any) -> Any:
        return fastloop.sse(ticks(), ping=5)

    client = HttpClient(stage_async.serve(handler, URL, framing=None))
    assert b":\n\n" not in waiting(client, b"data: 50\n\n")
    gate.set()
    client.close()


def test_an_async_iterator_of_a_plain_handler(
    stage_async: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """It works where there is an asyncio loop; elsewhere the log says what to do."""
    app = Router()

    @app.get("/plain")
    def plain(request: Any) -> Any:
        return Source().later("abc")

    with HttpClient(stage_async.serve(app, URL, framing=None)) as client:
        assert client.get("/plain").status == 500
    assert "declare the handler with `async def`" in caplog.text

    @app.get("/async")
    async def late(request: Any) -> None: ...

    for blocking in (0, 1):
        server = stage_async.serve(app, URL, framing=None, blocking=blocking)
        with HttpClient(server) as client:
            assert client.get("/plain").text == "abc"


def test_a_plain_iterator_of_an_async_handler(stage_async: Stage) -> None:
    source = Source()

    async def handler(request: Any) -> Any:
        return source.sync([b"x" * 30_000] * 30)

    with HttpClient(stage_async.serve(handler, URL, framing=None)) as client:
        assert len(client.get("/").body) == 900_000
    wait_for(lambda: source.closed == 1)


def test_a_task_that_is_cancelled_closes_its_iterator() -> None:
    """When the server stops without draining."""
    stage, closed = Stage(loop="asyncio"), threading.Event()

    async def forever() -> AsyncIterator[bytes]:
        try:
            yield b"begun"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def handler(request: Any) -> Any:
        return forever()

    server = stage.serve(handler, URL, framing=None)
    client = HttpClient(server)
    waiting(client, b"begun")
    server.stop(drain=0)
    assert closed.wait(20)
    client.close()
    stage.close()


# -- requests --


class TestRequests:
    """Bodies as they arrive, in tasks and in threads."""

    @pytest.fixture(params=["task", "thread"])
    def serve_stream(self, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
        """Serves a pair of handlers, async and plain, whichever it is."""
        stage = Stage(loop="asyncio")
        way = request.param

        def start(later: Any, plain: Any, **options: Any) -> fastloop.Server:
            if way == "thread":
                options["blocking"] = 2
            handler = later if way == "task" else plain
            return stage.serve(handler, URL, framing=None, stream=True, **options)

        yield start
        stage.close()

    @pytest.fixture
    def echo(self, serve_stream: Callable[..., Any]) -> fastloop.Server:
        """Answers with the sizes of the pieces and a sum of the bytes."""

        async def later(request: Any) -> Any:
            pieces = [piece async for piece in request.stream()]
            return {"most": max(map(len, pieces), default=0), "sum": sum(map(sum, pieces))}

        def plain(request: Any) -> Any:
            pieces = list(request.stream())
            return {"most": max(map(len, pieces), default=0), "sum": sum(map(sum, pieces))}

        return serve_stream(later, plain)  # type: ignore[no-any-return]

    @pytest.mark.parametrize("size", [0, 1, 1000, 65_536, 65_537, 1_000_000])
    def test_pieces(self, echo: fastloop.Server, size: int) -> None:
        with HttpClient(echo) as client:
            for _ in range(2):
                found = client.ask("POST", "/", b"\x01" * size).json()
                assert found["sum"] == size
                assert found["most"] <= 65_536

    def test_chunked(self, echo: fastloop.Server) -> None:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = b"186a0\r\n" + b"\x01" * 100_000 + b"\r\n3\r\n\x02\x02\x02\r\n0\r\nA: b\r\n\r\n"
        with HttpClient(echo) as client:
            for _ in range(2):
                client.send(head, body[:50], body[50:100_000], body[100_000:-3], body[-3:])
                assert client.response().json()["sum"] == 100_006

    def test_pipelined(self, echo: fastloop.Server) -> None:
        with HttpClient(echo) as client:
            data = request("POST", "/", b"\x01" * 100_000)
            sender = threading.Thread(target=client.send, args=(data * 4,))
            sender.start()
            assert [client.response().json()["sum"] for _ in range(4)] == [100_000] * 4
            sender.join()

    def test_read(self, serve_stream: Callable[..., Any]) -> None:
        async def later(request: Any) -> Any:
            before = "none"
            try:
                _ = request.body
            except fastloop.FastloopError as error:
                before = str(error)
            data = await request.read()
            assert await request.read() == request.body == data
            assert [piece async for piece in request.stream()] == []
            return {"before": before, "json": request.json()}

        def plain(request: Any) -> Any:
            before = "none"
            try:
                _ = request.body
            except fastloop.FastloopError as error:
                before = str(error)
            data = request.read()
            assert request.read() == request.body == data
            assert list(request.stream()) == []
            return {"before": before, "json": request.json()}

        with HttpClient(serve_stream(later, plain)) as client:
            for size in (1, 100_000):
                got = client.ask("POST", "/", b'"' + b"x" * size + b'"').json()
                assert got["json"] == "x" * size
                assert "use read() or stream()" in got["before"]

    def test_a_form(self, serve_stream: Callable[..., Any]) -> None:
        pytest.importorskip("python_multipart")

        async def later(request: Any) -> Any:
            form = await request.read_form()
            return {"a": form["a"], "size": form["f"].size}

        def plain(request: Any) -> Any:
            form = request.read_form()
            return {"a": form["a"], "size": form["f"].size}

        data = (
            b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
            b'--B\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'
            + b"x" * 3_000_000
            + b"\r\n--B--\r\n"
        )
        with HttpClient(serve_stream(later, plain)) as client:
            got = client.ask("POST", "/", data, content_type="multipart/form-data; boundary=B")
            assert got.json() == {"a": "1", "size": 3_000_000}

    def test_a_body_that_nobody_reads(self, serve_stream: Callable[..., Any]) -> None:
        async def later(request: Any) -> str:
            return "no"

        with HttpClient(serve_stream(later, lambda request: "no")) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", b"x" * 100)
            got = client.response()
            assert (got.text, got.is_last) == ("no", True)
            assert client.is_closed()

    def test_back_pressure(self, serve_stream: Callable[..., Any]) -> None:
        """Nothing is read from the peer while the handler takes nothing."""
        taken, gate = threading.Event(), threading.Event()

        async def later(request: Any) -> Any:
            size = 0
            async for piece in request.stream():
                size += len(piece)
                taken.set()
                await asyncio.to_thread(gate.wait, 20)
            return {"size": size}

        def plain(request: Any) -> Any:
            size = 0
            for piece in request.stream():
                size += len(piece)
                taken.set()
                assert gate.wait(20)
            return {"size": size}

        server = serve_stream(later, plain, max_body="1g")
        with HttpClient(server) as client:
            size = 20_000_000
            sender = threading.Thread(target=client.send, args=(request("POST", "/", bytes(size)),))
            sender.start()
            assert taken.wait(20)
            before = -1
            while before != (now := server.stats().bytes_in):
                before = now
                threading.Event().wait(0.1)
            assert before < 1_000_000
            gate.set()
            assert client.response().json() == {"size": size}
            sender.join()

    def test_a_peer_that_leaves(
        self, serve_stream: Callable[..., Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        seen: list[Exception] = []

        async def later(request: Any) -> Any:
            try:
                await request.read()
            except Exception as error:
                seen.append(error)
                raise

        def plain(request: Any) -> Any:
            try:
                request.read()
            except Exception as error:
                seen.append(error)
                raise

        server = serve_stream(later, plain)
        client = HttpClient(server)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n", b"x")
        wait_for(lambda: server.stats().messages == 1)
        client.client.reset()
        wait_for(lambda: seen)
        assert isinstance(seen[0], fastloop.ConnectionClosed)
        assert not caplog.records

    def test_a_peer_that_ends_too_early_and_listens(self, serve_stream: Callable[..., Any]) -> None:
        async def later(request: Any) -> Any:
            return await request.read()

        with HttpClient(serve_stream(later, lambda request: request.read())) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n", b"x")
            client.finish()
            got = client.response()
            assert (got.status, got.is_last) == (400, True)

    @pytest.mark.parametrize(
        ("rest", "status"), [(b"x\r\n", 400), (b"7000000\r\nabc", 413), (b"5\r\nhelloXX", 400)]
    )
    def test_a_body_that_is_wrong(
        self, serve_stream: Callable[..., Any], rest: bytes, status: int
    ) -> None:
        seen: list[Any] = []

        async def later(request: Any) -> Any:
            try:
                return await request.read()
            except HTTPError as error:
                seen.append(error)
                raise

        def plain(request: Any) -> Any:
            try:
                return request.read()
            except HTTPError as error:
                seen.append(error)
                raise

        server = serve_stream(later, plain)
        with HttpClient(server) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            wait_for(lambda: server.stats().messages == 1)
            client.send(rest)
            got = client.response()
            assert (got.status, got.is_last) == (status, True)
            assert client.is_closed()
        assert [error.status for error in seen] == [status]

    def test_both_ways(self, serve_stream: Callable[..., Any]) -> None:
        """What comes is sent back while more comes."""

        async def later(request: Any) -> Any:
            return request.stream()

        def plain(request: Any) -> Any:
            return request.stream()

        with HttpClient(serve_stream(later, plain)) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.send(b"5\r\nhello\r\n")
            head = b""
            while b"hello\r\n" not in head:
                head += client.client.read(1)
            assert b"transfer-encoding: chunked" in head.lower()
            client.send(b"5\r\nworld\r\n0\r\n\r\n")
            assert client.client.read(15) == b"5\r\nworld\r\n0\r\n\r\n"

    def test_expect(self, serve_stream: Callable[..., Any]) -> None:
        """The client is told to go on when the handler begins to read, and not if it never does."""

        async def later(request: Any) -> Any:
            return await request.read() if request.path == "/read" else "no"

        def plain(request: Any) -> Any:
            return request.read() if request.path == "/read" else "no"

        server = serve_stream(later, plain)
        head = b"POST /%s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        with HttpClient(server) as client:
            client.send(head % b"read")
            assert client.client.line() == b"HTTP/1.1 100 Continue\r\n"
            client.send(b"hello")
            assert client.client.line() == b"\r\n"
            assert client.response().body == b"hello"
            client.send(head % b"no")
            got = client.response()
            assert (got.text, got.interim, got.is_last) == ("no", (), True)


def test_plain_routes_beside_one_that_streams(stage_async: Stage) -> None:
    """They get their bodies whole, however these come."""
    app = Router()

    @app.post("/plain")
    def plain(request: Any) -> Any:
        return {"size": len(request.body)}

    @app.post("/late")
    async def late(request: Any) -> Any:
        return {"size": len(request.body)}

    @app.post("/pieces")
    def pieces(request: Any) -> Any:
        return (request.body[n : n + 10_000] for n in range(0, len(request.body), 10_000))

    @app.post("/stream", stream=True)
    async def stream(request: Any) -> Any:
        return {"size": len(await request.read())}

    @app.post("/fail")
    def fail(request: Any) -> None:
        raise HTTPError(422, f"{len(request.body)}")

    for blocking in (0, 1):
        server = stage_async.serve(app, URL, framing=None, blocking=blocking)
        with HttpClient(server) as client:
            for size in (10, 300_000):
                for path in ("/plain", "/late", "/stream"):
                    assert client.ask("POST", path, bytes(size)).json() == {"size": size}
                assert client.ask("POST", "/pieces", bytes(size)).body == bytes(size)
                got = client.ask("POST", "/fail", bytes(size))
                assert (got.status, got.text) == (422, f"{size}\n")
                assert client.ask("POST", "/none", b"x" * 10).status == 404
        client = HttpClient(server)
        client.send(b"POST /plain HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n", b"x")
        client.close()
