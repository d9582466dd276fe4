"""Files from Python: reading them in handlers, sending parts of them in any protocol."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from client import Client, wait_for
from http_client import HttpClient
from stage import Stage

import fastloop
from conftest import Serve
from fastloop import Connection, Router

URL = "http://127.0.0.1:0"

Connect = Callable[..., Client]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a small and a large file."""
    (tmp_path / "small").write_bytes(b"0123456789")
    (tmp_path / "large").write_bytes(bytes(range(256)) * 20_000)
    (tmp_path / "empty").write_bytes(b"")
    return tmp_path


class TestReadFile:
    def test_in_tasks(self, stage_async: Stage, files: Path) -> None:
        async def handler(request: Any) -> Any:
            options = {name: int(value) for name, value in request.query.items()}
            return await fastloop.read_file(files / request.path[1:], **options)

        large = (files / "large").read_bytes()
        with HttpClient(stage_async.serve(handler, URL, framing=None)) as client:
            assert client.get("/small").body == b"0123456789"
            assert client.get("/small?offset=3").body == b"3456789"
            assert client.get("/small?offset=3&count=2").body == b"34"
            assert client.get("/small?count=0").body == b""
            assert client.get("/small?offset=8&count=100").body == b"89"
            assert client.get("/small?offset=100").body == b""
            assert client.get("/empty").body == b""
            assert client.get("/large").body == large
            assert client.get("/large?offset=1000000&count=70000").body == large[1000000:1070000]

    def test_after_very_many(self, stage_async: Stage, files: Path) -> None:
        async def handler(request: Any) -> Any:
            request._runtime.waits._slots = itertools.count(2**31 - 1)
            return b"".join([await fastloop.read_file(files / "small") for _ in range(3)])

        with HttpClient(stage_async.serve(handler, URL, framing=None)) as client:
            assert client.get("/").body == b"0123456789" * 3

    def test_errors_in_tasks(self, stage_async: Stage, files: Path) -> None:
        async def handler(request: Any) -> Any:
            try:
                return await fastloop.read_file(files / request.path[1:])
            except OSError as error:
                return f"{type(error).__name__}: {error}"

        with HttpClient(stage_async.serve(handler, URL, framing=None)) as client:
            told = client.get("/none").text
            assert told.startswith("FileNotFoundError: [Errno 2] reading ")
            assert f"{files}/none" in told
            assert client.get("/").text.startswith("IsADirectoryError: ")
            os.mkfifo(files / "pipe")
            assert "Error: " in client.get("/pipe").text

    def test_many_at_once(self, stage_async: Stage, files: Path) -> None:
        async def handler(request: Any) -> Any:
            import asyncio

            reads = [fastloop.read_file(files / "small", offset=n % 10) for n in range(200)]
            return [len(data) for data in await asyncio.gather(*reads)]

        with HttpClient(stage_async.serve(handler, URL, framing=None)) as client:
            assert client.get("/").json() == [10 - n % 10 for n in range(200)]

    def test_with_a_callback(self, serve: Serve, connect: Connect, files: Path) -> None:
        """Also where the protocol is not HTTP; lines that follow are answered meanwhile."""

        def handler(connection: Connection, line: bytes) -> None:
            def done(data: bytes | None, error: Exception | None) -> None:
                connection.send(type(error).__name__ if error is not None else data)

            fastloop.read_file(files / line.decode(), done)

        client = connect(serve(handler))
        assert client.ask(b"small\n") == b"0123456789\n"
        assert client.ask(b"none\n") == b"FileNotFoundError\n"
        assert client.ask(b"empty\n") == b"\n"

    def test_more_than_the_queue_takes(self, stage_async: Stage, files: Path) -> None:
        async def handler(request: Any) -> Any:
            import asyncio

            reads = [fastloop.read_file(files / f"none{n}") for n in range(300)]
            found = await asyncio.gather(*reads, return_exceptions=True)
            return sorted({type(each).__name__ for each in found})

        server = stage_async.serve(handler, URL, framing=None, file_queue=1, file_threads=1)
        with HttpClient(server) as client:
            assert "BlockingIOError" in client.get("/").json()
            assert client.get("/").status == 200

    @pytest.mark.parametrize("options", [{"offset": -1}, {"count": -2}])
    def test_mistakes(self, options: dict[str, int]) -> None:
        with pytest.raises(ValueError, match="not below 0"):
            fastloop.read_file("x", **options)

    def test_without_a_loop(self) -> None:
        with pytest.raises(fastloop.FastloopError, match=r"here, use open\(\)"):
            fastloop.read_file("x")

    @pytest.mark.event_loop
    def test_in_a_worker(self, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
        server = serve(lambda request: fastloop.read_file("x"), URL, framing=None, blocking=1)
        with HttpClient(server) as client:
            assert client.get("/").status == 500
        assert "use open()" in caplog.text


class TestSendFile:
    """``connection.send_file`` in a protocol of lines."""

    def test_parts(self, serve: Serve, connect: Connect, files: Path) -> None:
        large = (files / "large").read_bytes()

        def handler(connection: Connection, line: bytes) -> str:
            name, offset, count = line.decode().split()
            connection.send(f"begin {name}")
            connection.send_file(files / name, int(offset), int(count))
            return f"end {name}"

        client = connect(serve(handler))
        for name, offset, count, data in [
            ("small", 0, -1, b"0123456789"),
            ("small", 2, 3, b"234"),
            ("small", 5, 0, b""),
            ("empty", 0, -1, b""),
            ("large", 0, -1, large),
            ("large", 4_999_999, -1, large[4_999_999:]),
            ("large", 1_000_001, 1_000_000, large[1_000_001:2_000_001]),
        ]:
            client.send(f"{name} {offset} {count}\n".encode())
            assert client.line() == f"begin {name}\n".encode()
            assert client.read(len(data)) == data
            assert client.line() == f"end {name}\n".encode()

    def test_pipelined(self, serve: Serve, connect: Connect, files: Path) -> None:
        def handler(connection: Connection, line: bytes) -> str:
            connection.send_file(files / line.decode())
            return ""

        client = connect(serve(handler))
        client.send(b"small\nlarge\nsmall\nempty\nsmall\n")
        small, large = b"0123456789\n", (files / "large").read_bytes() + b"\n"
        expected = small + large + small + b"\n" + small
        assert client.read(len(expected)) == expected

    def test_in_threads_and_tasks(self, stage_async: Stage, files: Path) -> None:
        async def later(connection: Connection, line: bytes) -> str:
            connection.send_file(files / "small")
            return "!"

        def plain(connection: Connection, line: bytes) -> str:
            connection.send_file(files / "small")
            return "!"

        for handler, blocking in ((later, 0), (plain, 2)):
            client = stage_async.connect(stage_async.serve(handler, blocking=blocking))
            client.send(b"1\n2\n3\n")
            assert client.read(36) == b"0123456789!\n" * 3

    def test_a_file_that_is_not_there(self, serve: Serve, connect: Connect, files: Path) -> None:
        def handler(connection: Connection, line: bytes) -> str:
            connection.send_file(files / line.decode())
            return "!"

        server = serve(handler)
        client = connect(server)
        client.send(b"small\nnone\nsmall\n")
        assert client.rest().startswith(b"0123456789!\n")
        assert connect(server).ask(b"small\n") == b"0123456789!\n"

    @pytest.mark.shared_state
    @pytest.mark.parametrize("place", [(-1, 5), (0, -2)])
    def test_mistakes(
        self,
        serve: Serve,
        connect: Connect,
        caplog: pytest.LogCaptureFixture,
        place: tuple[int, int],
    ) -> None:
        client = connect(serve(lambda connection, line: connection.send_file("x", *place)))
        client.send(b"a\n")
        assert client.rest() == b""
        assert "not below 0" in caplog.text


class TestStatic:
    def test_beside_a_function(self, serve: Serve, files: Path) -> None:
        server = serve(
            lambda request: f"handler {request.path}", URL, framing=None, static={"/assets": files}
        )
        with HttpClient(server) as client:
            assert client.get("/assets/small").body == b"0123456789"
            assert client.get("/assets/none").status == 404
            assert client.get("/assetsmall").text == "handler /assetsmall"
            assert client.get("/").text == "handler /"

    def test_of_routers(self, serve: Serve, files: Path) -> None:
        (files / ".hidden").write_text("h")
        inner, app = Router(), Router()
        inner.static("/f", files, hidden=True, cache_control="no-store")
        app.static("/g", files)
        app.get("/f/x")(lambda request: "route")
        app.mount("/in", inner)
        with HttpClient(serve(app, URL, framing=None)) as client:
            got = client.get("/in/f/.hidden")
            assert (got.text, got["cache-control"]) == ("h", "no-store")
            assert client.get("/g/.hidden").status == 404
            assert client.get("/g/small").status == 200
            assert client.get("/f/x").text == "route"

    def test_routes_are_holes_in_the_files(self, serve: Serve, files: Path) -> None:
        (files / "api").mkdir()
        (files / "api" / "about").write_text("a file")
        (files / "api" / "users").write_text("hidden by the route")
        app = Router()
        app.static("/", files)
        app.get("/")(lambda request: "home")
        app.get("/api/users")(lambda request: "users")
        app.post("/small")(lambda request: "posted")
        app.get("/caf\u00e9")(lambda request: "coffee")
        app.get("/v/{n:int}")(lambda request, n: {"n": n})
        with HttpClient(serve(app, URL, framing=None)) as client:
            assert client.get("/").text == "home"
            assert client.get("/api/users").text == "users"
            assert client.get("/api/about").text == "a file"
            assert client.get("/api/users/x").status == 404
            assert client.get("/large").status == 200
            assert client.get("/v/7").json() == {"n": 7}
            assert client.get("/v/none").status == 404
            assert client.get("/caf%C3%A9").text == "coffee"
            assert client.ask("POST", "/small").text == "posted"
            assert client.get("/small").status == 405  # the path is the router's
            assert client.ask("POST", "/large").status == 405

    def test_files_that_leave_nothing_to_handlers(self, files: Path) -> None:
        app = Router()
        app.get("/assets/{name}")(lambda request, name: name)
        app.static("/assets", files)
        with pytest.raises(fastloop.ConfigError, match=r"/assets/static"):
            fastloop.Server(app, URL)
        with pytest.raises(fastloop.ConfigError, match="leave nothing"):
            fastloop.Server(lambda request: "", URL, static={"/": files})

    def test_nothing_but_files(self, serve: Serve, files: Path) -> None:
        with HttpClient(serve(None, URL, framing=None, static={"/": files})) as client:
            assert client.get("/small").body == b"0123456789"
            assert client.get("/none").status == 404
            assert client.get("/-/healthz").text == "ok\n"

    @pytest.mark.event_loop
    def test_on_every_thread(self, serve: Serve, files: Path) -> None:
        server = serve(None, URL, framing=None, static={"/": files}, threads=2)
        for _ in range(10):
            with HttpClient(server) as client:
                assert client.get("/small").body == b"0123456789"


def test_a_slow_read_holds_nobody_up(stage_async: Stage, files: Path) -> None:
    """While one waits for a disk, others are served; a FIFO is no disk, and says so."""
    os.mkfifo(files / "disk")
    entered = threading.Event()

    async def handler(request: Any) -> Any:
        if request.path == "/slow":
            entered.set()
            try:
                return await fastloop.read_file(files / "disk")
            except OSError as error:
                return type(error).__name__
        return "fast"

    server = stage_async.serve(handler, URL, framing=None)
    with HttpClient(server) as slow, HttpClient(server) as fast:
        slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(entered.is_set)
        for _ in range(20):
            assert fast.get("/").text == "fast"
        assert slow.response().status == 200
