"""Handlers of HTTP, served: what they get, what they may return, and what becomes of errors."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from client import wait_for
from http_client import HttpClient, Response
from stage import Stage

import fastloop
from conftest import Serve, backends
from fastloop import HTTPError, Request, Router
from fastloop.http import head

URL = "http://127.0.0.1:0"

DATE = "Thu, 01 Jan 2026 00:00:00 GMT"

Get = Callable[..., Response]


@pytest.fixture
def get(serve: Serve) -> Get:
    """The answer of a handler to one request: ``get(handler, "/path", method="GET", ...)``."""

    def ask(
        handler: Any,
        target: str = "/",
        *,
        method: str = "GET",
        body: bytes | None = None,
        fields: dict[str, str] | None = None,
        **options: Any,
    ) -> Response:
        with HttpClient(serve(handler, URL, framing=None, **options)) as client:
            return client.ask(method, target, body, **(fields or {}))

    return ask


WAYS = [
    (way, backend)
    for way in ("plain", "router", "blocking", "async", "stream")
    for backend in backends()
    if way not in ("async", "stream") or backend in ("epoll", "kqueue", "io_uring")
]
"""How handlers run, and on what: asyncio cannot wait for every backend."""


@pytest.fixture(params=WAYS, ids="-".join)
def run(request: pytest.FixtureRequest) -> Iterator[Callable[..., HttpClient]]:
    """Serves ``handler(request)`` in one of the ways; returns a client."""
    way, backend = request.param
    stage = Stage(backend=backend, loop="asyncio")

    def start(handler: Callable[[Request], Any], **options: Any) -> HttpClient:
        async def later(request: Any) -> Any:
            await asyncio.sleep(0)
            if way == "stream":
                await request.read()
            return handler(request)

        target: Any = handler
        if way in ("async", "stream"):
            target = later
            options["stream"] = way == "stream"
        elif way == "blocking":
            options["blocking"] = 2
        elif way == "router":
            target = Router()
            target.route("/{path:path}", ("GET", "POST"))(lambda request, path: handler(request))
            target.route("/", ("GET", "POST"))(handler)
        client = HttpClient(stage.serve(target, URL, framing=None, **options))
        stage._clients.append(client.client)
        return client

    yield start
    stage.close()


class TestReplies:
    """The same for every way in which handlers run."""

    @pytest.mark.parametrize(
        ("reply", "status", "type", "body"),
        [
            (b"\x00abc", 200, "application/octet-stream", b"\x00abc"),
            (b"", 200, "application/octet-stream", b""),
            ("ä", 200, "text/plain; charset=utf-8", "ä".encode()),
            ({"a": [1]}, 200, "application/json", b'{"a":[1]}'),
            ([], 200, "application/json", b"[]"),
            (None, 204, None, b""),
            (fastloop.Response("x", 201), 201, "text/plain; charset=utf-8", b"x"),
            (fastloop.Response(status=404), 404, None, b""),
            (fastloop.http.html("<p>"), 200, "text/html; charset=utf-8", b"<p>"),
            (fastloop.http.json("a"), 200, "application/json", b'"a"'),
        ],
    )
    def test_one(
        self,
        run: Callable[..., HttpClient],
        reply: Any,
        status: int,
        type: str | None,
        body: bytes,
    ) -> None:
        client = run(lambda request: reply)
        for _ in range(2):
            got = client.get("/")
            assert (got.status, got.body) == (status, body)
            assert got.all("content-type") == ([] if type is None else [type])
            assert not got.is_last

    def test_what_a_request_tells(self, run: Callable[..., HttpClient]) -> None:
        def tell(request: Request) -> Any:
            return {
                "method": request.method,
                "path": request.path,
                "raw_path": request.raw_path,
                "query": request.query.items(),
                "x": request.headers.getall("x-y"),
                "cookies": request.cookies,
                "body": request.text,
                "host": request.host,
                "url": request.url,
                "version": request.http_version,
                "peer": request.peer,
            }

        client = run(tell)
        told = client.ask(
            "POST", "/%C3%A4%2f?a=%20&a=+", b"body", x_y="1", cookie="k=v", host="h:1"
        ).json()
        port = client.client.sock.getsockname()[1]
        assert told == {
            "method": "POST",
            "path": "/ä/",
            "raw_path": "/%C3%A4%2f",
            "query": [["a", " "], ["a", " "]],
            "x": ["1"],
            "cookies": {"k": "v"},
            "body": "body",
            "host": "h:1",
            "url": "http://h:1/%C3%A4%2f?a=%20&a=+",
            "version": "1.1",
            "peer": f"127.0.0.1:{port}",
        }

    def test_bodies_of_any_size(self, run: Callable[..., HttpClient]) -> None:
        client = run(lambda request: request.body)
        for size in (0, 1, 1000, 65_536, 300_000):
            data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            assert client.ask("POST", "/", data).body == data

    def test_chunked_bodies(self, run: Callable[..., HttpClient]) -> None:
        client = run(lambda request: request.body)
        client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            b"6\r\n world\r\n0\r\n\r\n",
        )
        assert client.response().body == b"hello world"

    def test_pipelined(self, run: Callable[..., HttpClient]) -> None:
        client = run(lambda request: request.path)
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(200)))
        assert [client.response().text for _ in range(200)] == [f"/{n}" for n in range(200)]

    def test_pipelined_bodies(self, run: Callable[..., HttpClient]) -> None:
        client = run(lambda request: request.body)
        data = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000
        sender = threading.Thread(target=client.send, args=(data * 5,))
        sender.start()
        assert [len(client.response().body) for _ in range(5)] == [70_000] * 5
        sender.join()

    def test_raising(
        self, run: Callable[..., HttpClient], caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(request: Request) -> Any:
            if request.path == "/gone":
                raise HTTPError(410, "it was here", {"x-why": "moved"})
            if request.path == "/stop":
                raise StopIteration
            raise LookupError("no such thing")

        client = run(fail)
        got = client.get("/gone")
        assert (got.status, got.text, got["x-why"]) == (410, "it was here\n", "moved")
        assert not caplog.records
        for path in ("/a?b", "/stop"):
            got = client.get(path)
            assert (got.status, got.text) == (500, "Internal Server Error\n")
        if caplog.records[0].getMessage().startswith("'"):
            assert caplog.records[0].getMessage() == "'GET /a?b HTTP/1.1' failed"
        assert len(caplog.records) == 2
        assert "LookupError: no such thing" in caplog.text

    def test_what_cannot_be_sent(
        self, run: Callable[..., HttpClient], caplog: pytest.LogCaptureFixture
    ) -> None:
        values = {"/int": 5, "/tuple": ("a", 200), "/json": {"a": object()}, "/set": {"a"}}
        client = run(lambda request: values[request.path])
        for path in values:
            assert client.get(path).status == 500
        assert "a handler returned int: return bytes, str" in caplog.text

    def test_head(self, run: Callable[..., HttpClient]) -> None:
        client = run(lambda request: "hello")
        got = client.ask("HEAD", "/")
        assert (got.status, got["content-length"]) == (200, "5")
        assert client.get("/").body == b"hello"

    def test_json_and_forms(self, run: Callable[..., HttpClient]) -> None:
        def handler(request: Request) -> Any:
            if request.content_type == "application/json":
                return request.json()
            return dict(request.form().items())

        client = run(handler)
        sent = {"a": [1, "ä"]}
        data = json.dumps(sent).encode()
        assert client.ask("POST", "/", data, content_type="application/json").json() == sent
        form = "application/x-www-form-urlencoded"
        assert client.ask("POST", "/", b"a=1&b=2", content_type=form).json() == {"a": "1", "b": "2"}
        assert client.ask("POST", "/", b"{", content_type="application/json").status == 400
        assert client.ask("POST", "/", b"{", content_type="text/plain").status == 415

    def test_last(self, run: Callable[..., HttpClient]) -> None:
        client = run(lambda request: fastloop.last("bye"))
        got = client.get("/")
        assert (got.text, got.is_last) == ("bye", True)
        assert client.is_closed()

    def test_files(self, run: Callable[..., HttpClient], tmp_path: Any) -> None:
        (tmp_path / "a.txt").write_text("hello")
        client = run(lambda request: fastloop.file(tmp_path / request.path[1:], download=True))
        got = client.get("/a.txt")
        assert (got.text, got["content-type"]) == ("hello", "text/plain; charset=utf-8")
        assert got["content-disposition"] == 'attachment; filename="a.txt"'
        assert client.get("/a.txt", range="bytes=1-2").text == "el"
        assert client.get("/a.txt", if_none_match=got["etag"]).status == 304
        assert client.get("/none").status == 404


def test_method_and_path_read_no_headers(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: bytes) -> None:
        raise AssertionError("headers were read")

    monkeypatch.setattr(head, "fields", fail)
    handler = lambda request: f"{request.method} {request.path} {request.query_string}"  # noqa: E731
    assert get(handler, "/a?b=c").text == "GET /a b=c"
    assert get(lambda request: request.headers, "/").status == 500


def test_a_debug_page(get: Get, caplog: pytest.LogCaptureFixture) -> None:
    def fail(request: Request) -> None:
        raise ValueError("<script>")

    plain = get(fail, "/?<b>")
    assert plain.text == "Internal Server Error\n"
    page = get(fail, "/?%3cb%3e<b>", debug=True)
    assert page.status == 500
    assert page["content-type"] == "text/html; charset=utf-8"
    assert "ValueError: &lt;script&gt;" in page.text
    assert "test_http_handlers.py" in page.text
    assert "GET /?%3cb%3e&lt;b&gt; HTTP/1.1" in page.text
    assert "<script>" not in page.text
    assert "<b>" not in page.text


@pytest.mark.shared_state
def test_headers_of_an_application(get: Get, caplog: pytest.LogCaptureFixture) -> None:
    def handler(request: Request) -> Any:
        response = fastloop.Response("hello", headers={"X-A": "1", "date": DATE})
        response.headers.add("x-a", "2")
        response.headers["x-bytes"] = "\xe4"
        response.set_cookie("a", "b")
        return response

    got = get(handler)
    assert got.all("x-a") == ["1", "2"]
    assert got["date"] == DATE
    assert got["x-bytes"] == "\xe4"
    assert got["set-cookie"] == "a=b; Path=/; SameSite=Lax; HttpOnly"

    def splitting(request: Request) -> Any:
        return fastloop.Response("x", headers={"x-a": f"{request.query['v']}"})

    assert get(splitting, "/?v=ok")["x-a"] == "ok"
    got = get(splitting, "/?v=a%0d%0aset-cookie:%20b=c")
    assert got.status == 500
    assert "set-cookie" not in got
    assert "header 'x-a': the value 'a\\r\\nset-cookie: b=c' has a control" in caplog.text


@pytest.mark.parametrize(
    ("body", "length", "status"), [(b"abc", "3", 200), (b"abc", "2", 500), (b"abc", "x", 500)]
)
def test_a_length_of_its_own(get: Get, body: bytes, length: str, status: int) -> None:
    handler = lambda request: fastloop.Response(body, headers={"content-length": length})  # noqa: E731
    assert get(handler).status == status


class TestRouter:
    def make(self) -> Router:
        app = Router()

        @app.get("/")
        def home(request: Request) -> str:
            return "home"

        @app.get("/users/{id:int}")
        def user(request: Request, id: int) -> Any:
            return {"id": id}

        @app.post("/users/{id:int}")
        def change(request: Request, id: int) -> bytes:
            return request.body

        @app.get("/fail")
        def fail(request: Request) -> None:
            raise KeyError("a")

        app.constant("/robots.txt", "User-agent: *\n")
        return app

    def test_routes(self, get: Get) -> None:
        assert get(self.make()).text == "home"
        assert get(self.make(), "/users/7").json() == {"id": 7}
        assert get(self.make(), "/users/7", method="POST", body=b"x").body == b"x"
        assert get(self.make(), "/users/x").status == 404
        assert get(self.make(), "/%75sers/7").json() == {"id": 7}

    def test_methods(self, get: Get) -> None:
        got = get(self.make(), "/users/7", method="PUT")
        assert (got.status, got["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
        got = get(self.make(), "/users/7", method="OPTIONS")
        assert (got.status, got["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        got = get(self.make(), "/users/7", method="HEAD")
        assert (got.status, got["content-length"]) == (200, "8")
        assert get(self.make(), "*", method="OPTIONS").status == 204

    def test_constants(self, get: Get) -> None:
        got = get(self.make(), "/robots.txt")
        assert (got.text, got["content-type"]) == ("User-agent: *\n", "text/plain; charset=utf-8")
        assert get(self.make(), "/-/healthz").text == "ok\n"
        assert get(self.make(), "/-/healthz", healthz=None).status == 404
        assert get(self.make(), "/up", healthz="/up").text == "ok\n"

    def test_errors(self, get: Get, caplog: pytest.LogCaptureFixture) -> None:
        app = self.make()

        @app.error(404)
        def missing(request: Request, error: HTTPError) -> str:
            return f"no {request.path}: {error.status}"

        @app.error(LookupError)
        def lookup(request: Request, error: Exception) -> Any:
            return {"error": repr(error)}

        @app.error(405)
        def method(request: Request, error: Exception) -> Any:
            return fastloop.Response("teapot", 418)

        got = get(app, "/none")
        assert (got.status, got.text) == (404, "no /none: 404")
        got = get(app, "/fail")
        assert (got.status, got.json()) == (500, {"error": "KeyError('a')"})
        assert get(app, "/", method="PUT").status == 418
        assert not caplog.records

    @pytest.mark.shared_state
    def test_an_error_in_what_answers_errors(
        self, get: Get, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = self.make()

        @app.error(500)
        def broken(request: Request, error: Exception) -> None:
            raise ZeroDivisionError

        assert get(app, "/fail").status == 500
        assert "KeyError: 'a'" in caplog.text
        assert "the handler of errors failed: GET /fail HTTP/1.1" in caplog.text

    def test_mounted(self, get: Get) -> None:
        outer = Router()
        outer.mount("/api", self.make())
        assert get(outer, "/api/users/3").json() == {"id": 3}
        assert get(outer, "/api/robots.txt").status == 200
        assert get(outer, "/users/3").status == 404


@pytest.mark.shared_state
def test_batches(serve: Serve) -> None:
    sizes: list[int] = []

    @fastloop.batch
    def predict(requests: list[Request]) -> list[Any]:
        sizes.append(len(requests))
        return [{"n": int(request.query["n"])} for request in requests]

    with HttpClient(serve(predict, URL, framing=None)) as client:
        client.send(b"".join(b"GET /?n=%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(40)))
        assert [client.response().json()["n"] for _ in range(40)] == list(range(40))
    assert sum(sizes) == 40
    assert max(sizes) > 1


@pytest.mark.shared_state
def test_a_batch_that_fails(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    @fastloop.batch
    def predict(requests: list[Request]) -> list[Any]:
        return []

    with HttpClient(serve(predict, URL, framing=None)) as client:
        assert client.get("/").status == 500
    assert "0 replies for 1 requests" in caplog.text


@pytest.mark.shared_state
def test_an_object_that_knows_its_connections(serve: Serve) -> None:
    class Visits:
        def __init__(self) -> None:
            self.gone: list[Any] = []

        def open(self, connection: fastloop.Connection) -> None:
            connection.state = 0

        def message(self, request: Request) -> Any:
            request.connection.state += 1
            return {"visit": request.connection.state}

        def close(self, connection: fastloop.Connection, reason: str) -> None:
            self.gone.append(connection.state)

    visits = Visits()
    with HttpClient(serve(visits, URL, framing=None)) as client:
        assert [client.get("/").json()["visit"] for _ in range(3)] == [1, 2, 3]
    wait_for(lambda: visits.gone == [3])


def test_sync_and_async_routes_side_by_side(stage_async: Stage) -> None:
    """A plain one is answered at once, though in its turn."""
    app = Router()
    gates: list[asyncio.Event] = []

    @app.get("/slow")
    async def slow(request: Request) -> str:
        gates.append(asyncio.Event())
        await gates[-1].wait()
        return "slow"

    @app.get("/fast")
    def fast(request: Request) -> str:
        gates.pop().set()
        return "fast"

    with HttpClient(stage_async.serve(app, URL, framing=None)) as client:
        client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: gates)
        client.send(b"GET /fast HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [client.response().text for _ in range(2)] == ["slow", "fast"]


def test_several_addresses_and_protocols(stage: Stage, tmp_path: Any) -> None:
    path = f"{tmp_path}/sock"
    handlers = {
        URL: lambda request: request.peer.rpartition(":")[0],
        "tcp://127.0.0.1:0": lambda line: line.upper(),
        f"http+unix:{path}": lambda request: "unix" + request.peer,
    }
    framing = {"tcp://127.0.0.1:0": "line"}
    server = stage.serve(handlers, framing=framing)
    with HttpClient(server) as client:
        assert client.get("/").text == "127.0.0.1"
    with HttpClient(int(server.addresses[1].rpartition(":")[2])) as client:
        assert client.client.ask(b"abc\n") == b"ABC\n"
    client.client = type(client.client)(path)
    assert client.get("/").text == "unix"
    client.close()


@pytest.mark.parametrize(
    ("arguments", "options", "why"),
    [
        (("tcp://:0",), {"framing": "line", "stream": True}, "stream is for http:// addresses"),
        (("tcp://:0",), {"framing": "line", "static": {"/": "."}}, "static is for http://"),
        ((URL,), {"static": {"/": "/no/such"}}, "/no/such is no directory"),
        ((URL,), {"debug": "maybe"}, "debug='maybe' is not true or false"),
        ((URL,), {"stream": True}, "async def"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], options: dict[str, Any], why: str) -> None:
    with pytest.raises(fastloop.ConfigError, match=why):
        fastloop.Server(lambda request: None, *arguments, **options)


def test_a_router_without_http() -> None:
    with pytest.raises(fastloop.ConfigError, match="a Router serves http:// addresses, not tcp"):
        fastloop.Server(Router(), "tcp://127.0.0.1:0", framing="line")


@pytest.mark.event_loop
def test_threads(serve: Serve) -> None:
    """Each request finds the runtime of its own connection."""
    server = serve(lambda request: request.peer, URL, framing=None, threads=2)
    for _ in range(10):
        with HttpClient(server) as client:
            name = client.client.sock.getsockname()
            assert client.get("/").text == f"{name[0]}:{name[1]}"


@pytest.mark.event_loop
def test_peers_that_left_are_no_news(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    entered, left = threading.Event(), threading.Event()

    def handler(request: Request) -> str:
        entered.set()
        assert left.wait(20)
        return request.peer

    with caplog.at_level(logging.INFO):
        server = serve(handler, URL, framing=None, blocking=1)
        client = HttpClient(server)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert entered.wait(20)
        client.client.reset()
        wait_for(lambda: server.stats().connections == 0)
        left.set()
        with HttpClient(server) as other:
            assert other.get("/").status == 200
    assert "failed" not in caplog.text
