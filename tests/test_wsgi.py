"""WSGI applications, served: what they are told, what they may say, what becomes of the rest."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
from client import Client, wait_for
from http_client import HttpClient, Response, request
from stage import Stage

import fastloop
from conftest import backends
from fastloop import WSGI, ConfigError
from fastloop.wsgi.answer import Answers
from fastloop.wsgi.environ import FileWrapper, roomy

URL = "http://127.0.0.1:0"
PLAIN = [("Content-Type", "text/plain")]

Environ = dict[str, Any]
App = Callable[[Environ, Any], Any]
Run = Callable[..., HttpClient]

WAYS = [(way, backend) for way in ("inline", "threads") for backend in backends()]
"""Where applications run, and on what."""


@pytest.fixture(params=WAYS, ids="-".join)
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Serves ``app`` in one of the ways; returns a client: ``run(app, **options)``."""
    way, backend = request.param
    stage = Stage(backend=backend, blocking=0 if way == "inline" else 4)
    clients: list[HttpClient] = []

    def begin(app: App, **options: Any) -> HttpClient:
        server = stage.serve(WSGI(app), URL, **{"framing": None, **options})
        clients.append(HttpClient(server))
        return clients[-1]

    yield begin
    for client in clients:
        client.close()
    stage.close()


class Recorder:
    """An iterable of pieces that notes whether it was closed."""

    def __init__(self, pieces: Any) -> None:
        self.pieces = pieces
        self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        return iter(self.pieces)

    def close(self) -> None:
        self.closed += 1


def echo(environ: Environ, start: Any) -> list[bytes]:
    """Answers with the body."""
    start("200 OK", PLAIN)
    return [environ["wsgi.input"].read()]


def saying(*pieces: Any, status: str = "200 OK", headers: Any = PLAIN, as_: Any = list) -> App:
    """An application that answers with these pieces."""

    def app(environ: Environ, start: Any) -> Any:
        start(status, list(headers))
        return as_(pieces)

    return app


def is_cut(client: HttpClient) -> bool:
    """Whether a response begins and ends before its end, so that nobody takes it for whole."""
    client.send(request("GET", "/"))
    try:
        got = client.client.rest()
    except ConnectionResetError:
        return True
    return got.startswith(b"HTTP/1.1 200 OK\r\n") and not got.endswith(b"0\r\n\r\n")


def environ_of(client: HttpClient, seen: list[Environ], data: bytes) -> Environ:
    """What a request becomes."""
    client.send(data)
    client.response()
    return seen.pop()


@pytest.fixture
def seen(run: Run) -> tuple[HttpClient, list[Environ]]:
    """A client, and the environ of each of its requests."""
    found: list[Environ] = []

    def app(environ: Environ, start: Any) -> list[bytes]:
        found.append(environ)
        start("200 OK", PLAIN)
        return [b""]

    return run(app), found


class TestEnviron:
    def test_it_tells_the_request(self, seen: tuple[HttpClient, list[Environ]]) -> None:
        environ = environ_of(*seen, request("GET", "/a%20b?c=%20", x_y="z"))
        assert environ["REQUEST_METHOD"] == "GET"
        assert environ["PATH_INFO"] == "/a b"
        assert environ["QUERY_STRING"] == "c=%20"
        assert environ["RAW_URI"] == "/a%20b?c=%20"
        assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        assert environ["HTTP_HOST"] == "a"
        assert environ["HTTP_X_Y"] == "z"
        assert environ["SCRIPT_NAME"] == ""
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
        assert environ["REMOTE_PORT"] == str(seen[0].client.sock.getsockname()[1])
        assert environ["SERVER_NAME"] == "127.0.0.1"
        assert environ["SERVER_PORT"] == str(seen[0].client.sock.getpeername()[1])
        assert "CONTENT_LENGTH" not in environ
        assert "CONTENT_TYPE" not in environ
        assert type(environ) is dict

    def test_what_pep_3333_requires_is_there(self, seen: tuple[HttpClient, list[Environ]]) -> None:
        environ = environ_of(*seen, request("GET", "/"))
        assert environ["wsgi.version"] == (1, 0)
        assert environ["wsgi.url_scheme"] == "http"
        assert environ["wsgi.run_once"] is environ["wsgi.multiprocess"] is False
        assert environ["wsgi.input_terminated"] is True
        assert environ["wsgi.file_wrapper"] is FileWrapper

    def test_bytes_become_characters(self, seen: tuple[HttpClient, list[Environ]]) -> None:
        environ = environ_of(*seen, request("GET", "/%C3%A9%ff", x="\xe9"))
        assert environ["PATH_INFO"] == "/\xc3\xa9\xff"
        assert environ["HTTP_X"] == "\xe9"

    def test_fields_that_come_again_are_joined(
        self, seen: tuple[HttpClient, list[Environ]]
    ) -> None:
        lines = (
            "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nCookie: a=b\r\nx-a: 2\r\nCookie: c=d\r\n\r\n"
        )
        environ = environ_of(*seen, lines.encode())
        assert environ["HTTP_X_A"] == "1, 2"
        assert environ["HTTP_COOKIE"] == "a=b; c=d"

    def test_names_with_underscores_are_left_out(
        self, seen: tuple[HttpClient, list[Environ]]
    ) -> None:
        lines = "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: me\r\nX-Forwarded-For: you\r\n\r\n"
        environ = environ_of(*seen, lines.encode())
        assert environ["HTTP_X_FORWARDED_FOR"] == "you"

    def test_the_body_is_described(self, seen: tuple[HttpClient, list[Environ]]) -> None:
        environ = environ_of(*seen, request("POST", "/", b"abc", content_type="text/x"))
        assert environ["CONTENT_LENGTH"] == "3"
        assert environ["CONTENT_TYPE"] == "text/x"
        assert "HTTP_CONTENT_LENGTH" not in environ

    def test_requests_of_one_batch_do_not_mix(self, seen: tuple[HttpClient, list[Environ]]) -> None:
        client, found = seen
        client.send(b"".join(request("GET", f"/{n}", x=str(n)) for n in range(20)))
        for _ in range(20):
            client.response()
        assert [each["PATH_INFO"] for each in found] == [f"/{n}" for n in range(20)]
        assert [each["HTTP_X"] for each in found] == [str(n) for n in range(20)]
        assert len({id(each) for each in found}) == 20

    def test_two_listeners_do_not_mix(self, stage: Stage) -> None:
        servers = stage.serve({URL: WSGI(path_of), f"{URL}/": WSGI(path_of)}, framing=None)
        clients = [
            HttpClient(int(address.rstrip("/").rsplit(":", 1)[1])) for address in servers.addresses
        ]
        for round in range(30):
            for client in clients:
                client.send(request("GET", f"/{round}", accept="x", cookie="y") * 3)
            for client in clients:
                for _ in range(3):
                    assert client.response().text == f"/{round}"
        for client in clients:
            client.close()

    def test_a_unix_socket_has_no_addresses(self, stage: Stage, tmp_path: Path) -> None:
        found: list[Environ] = []

        def app(environ: Environ, start: Any) -> list[bytes]:
            found.append(environ)
            return saying(b"")(environ, start)  # type: ignore[no-any-return]

        server = stage.serve(WSGI(app), f"http+unix:{tmp_path}/s", framing=None)
        with Client(f"{tmp_path}/s") as client:
            client.send(request("GET", "/"))
            assert client.line() == b"HTTP/1.1 200 OK\r\n"
        assert found[0]["REMOTE_ADDR"] == ""
        assert "REMOTE_PORT" not in found[0]
        assert (found[0]["SERVER_NAME"], found[0]["SERVER_PORT"]) == ("localhost", "80")
        assert server.stats().messages == 1

    @pytest.mark.parametrize(
        ("options", "threads"), [({}, False), ({"blocking": 2}, True), ({"threads": 2}, True)]
    )
    def test_it_says_whether_there_are_threads(self, options: Any, threads: bool) -> None:
        found: list[Environ] = []

        def app(environ: Environ, start: Any) -> list[bytes]:
            found.append(environ)
            return saying(b"")(environ, start)  # type: ignore[no-any-return]

        with fastloop.Server(WSGI(app), URL, **options) as server, HttpClient(server) as client:
            client.get("/")
        assert found[0]["wsgi.multithread"] is threads


def path_of(environ: Environ, start: Any) -> list[bytes]:
    """Answers with the path."""
    start("200 OK", PLAIN)
    return [environ["PATH_INFO"].encode("latin-1")]


class TestInput:
    def test_a_body_is_read(self, run: Run) -> None:
        client = run(echo)
        assert client.ask("POST", "/", b"abc").body == b"abc"
        assert client.ask("POST", "/", b"").body == b""
        assert client.get("/").body == b""

    def test_a_large_body_that_comes_late_is_read(self, run: Run) -> None:
        client = run(echo)
        body = bytes(range(256)) * 4000
        data = request("POST", "/", body)
        client.send(data[:200], data[200:300_000], data[300_000:])
        assert client.response().body == body

    def test_a_body_in_chunks_is_read(self, run: Run) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            body = environ["wsgi.input"].read()
            length = environ.get("CONTENT_LENGTH")
            assert ("HTTP_TRANSFER_ENCODING" in environ) == (length is None)
            assert length in (None, str(len(body)))
            start("200 OK", PLAIN)
            return [body]

        client = run(app)
        client.send(request("POST", "/", transfer_encoding="chunked"), b"3\r\nabc\r\n")
        client.send(b"2\r\nde\r\n0\r\n\r\n")
        assert client.response().body == b"abcde"

    def test_it_is_read_by_lines(self, run: Run) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            file = environ["wsgi.input"]
            parts = [file.readline(), file.readline(2), file.read(1), *file.readlines()]
            start("200 OK", PLAIN)
            return [b"|".join(parts)]

        client = run(app)
        assert client.ask("POST", "/", b"a\nbcd\ne\nf").body == b"a\n|bc|d|\n|e\n|f"

    def test_it_is_iterated(self, run: Run) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            start("200 OK", PLAIN)
            return [b"|".join(environ["wsgi.input"])]

        client = run(app)
        assert client.ask("POST", "/", b"a\nb\nc").body == b"a\n|b\n|c"
        assert client.get("/").body == b""

    def test_no_body_reads_as_the_end(self, run: Run) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            file = environ["wsgi.input"]
            assert file.read() == file.read(5) == file.readline() == file.readline(5) == b""
            assert file.readlines() == file.readlines(5) == list(file) == []
            if hasattr(file, "close"):
                file.close()
            start("200 OK", PLAIN)
            return [b"right"]

        client = run(app)
        assert client.get("/").body == b"right"
        assert client.get("/").body == b"right"

    def test_what_is_not_read_harms_no_later_request(self, run: Run) -> None:
        client = run(saying(b"no"))
        client.send(request("POST", "/", b"x" * 1000))
        assert client.response().body == b"no"

    def test_a_client_that_leaves_in_its_body_ends_nothing_else(self, run: Run) -> None:
        client = run(echo)
        client.send(request("POST", "/", b"abc", content_length="100"))
        with HttpClient(client.client.sock.getpeername()[1]) as other:
            assert other.ask("POST", "/", b"abc").body == b"abc"
            client.client.reset()
            assert other.ask("POST", "/", b"abc").body == b"abc"


class TestThreads:
    def test_a_body_is_read_as_it_arrives(self, stage: Stage) -> None:
        got: list[bytes] = []

        def app(environ: Environ, start: Any) -> list[bytes]:
            for line in environ["wsgi.input"]:
                got.append(line)
            start("200 OK", PLAIN)
            return [b"".join(got)]

        with HttpClient(stage.serve(WSGI(app), URL, framing=None, blocking=2)) as client:
            client.send(request("POST", "/", content_length="8"), b"abc\n")
            client.send(b"d" * 3)
            client.send(b"\n")
            assert client.response().body == b"abc\nddd\n"
        assert got == [b"abc\n", b"ddd\n"]

    def test_a_disconnect_in_a_body_is_told(self, stage: Stage) -> None:
        errors: list[Exception] = []

        def app(environ: Environ, start: Any) -> list[bytes]:
            try:
                environ["wsgi.input"].read()
            except Exception as error:
                errors.append(error)
                raise
            raise AssertionError("it did not come")

        client = HttpClient(stage.serve(WSGI(app), URL, framing=None, blocking=2))
        client.send(request("POST", "/", content_length="100"), b"abc")
        client.client.reset()
        wait_for(lambda: errors, what="the error")
        assert isinstance(errors[0], fastloop.ConnectionClosed)

    def test_requests_run_side_by_side(self, stage: Stage) -> None:
        both = threading.Barrier(2)

        def app(environ: Environ, start: Any) -> list[bytes]:
            both.wait(20)
            start("200 OK", PLAIN)
            return [b"met"]

        server = stage.serve(WSGI(app), URL, framing=None, blocking=2)
        with HttpClient(server) as one, HttpClient(server) as two:
            one.send(request("GET", "/"))
            two.send(request("GET", "/"))
            assert one.response().body == two.response().body == b"met"

    def test_write_sends_at_once(self, stage: Stage) -> None:
        seen = threading.Event()

        def app(environ: Environ, start: Any) -> list[bytes]:
            write = start("200 OK", PLAIN)
            write(b"first")
            assert seen.wait(20)
            return [b"second"]

        with HttpClient(stage.serve(WSGI(app), URL, framing=None, blocking=2)) as client:
            client.send(request("GET", "/"))
            while client.client.line() != b"\r\n":
                pass
            assert client.client.line() == b"5\r\n"
            assert client.client.line() == b"first\r\n"
            seen.set()
            assert client.client.line() == b"6\r\n"

    def test_a_slow_reader_holds_the_application_back(self, stage: Stage) -> None:
        made = 0
        piece = bytes(64 * 1024)

        def pieces() -> Iterator[bytes]:
            nonlocal made
            while made < 1000:
                made += 1
                yield piece

        app = saying(as_=lambda _: pieces())
        server = stage.serve(WSGI(app), URL, framing=None, blocking=1, write_timeout=60)
        client = stage.connect(server, receive_buffer=4096)
        client.send(request("GET", "/"))
        wait_for(lambda: server.stats().unsent > 0 and made > 3, what="a full socket")
        assert made < 500
        client.reset()


class TestResponses:
    def test_a_list_of_one_has_its_length(self, run: Run) -> None:
        response = run(saying(b"hello")).get("/")
        assert (response.status, response.body) == (200, b"hello")
        assert response["content-length"] == "5"
        assert response["content-type"] == "text/plain"

    @pytest.mark.parametrize("as_", [tuple, iter, Recorder, lambda p: (x for x in p)])
    def test_any_iterable_will_do(self, run: Run, as_: Any) -> None:
        client = run(saying(b"", b"a", b"", b"b" * 70000, b"c", as_=as_))
        assert client.get("/").body == b"a" + b"b" * 70000 + b"c"
        assert client.get("/").body == b"a" + b"b" * 70000 + b"c"

    def test_pieces_with_a_length_are_counted(self, run: Run) -> None:
        headers = [*PLAIN, ("Content-Length", "3")]
        response = run(saying(b"a", b"bc", headers=headers)).get("/")
        assert response["content-length"] == "3"
        assert response.body == b"abc"

    def test_a_piece_that_is_all_ends_the_response(self, run: Run) -> None:
        made = Recorder([b"abc"])
        headers = [*PLAIN, ("Content-Length", "3")]
        client = run(saying(headers=headers, as_=lambda _: made))
        assert client.get("/").body == b"abc"
        wait_for(lambda: made.closed == 1, what="the close")

    def test_a_body_longer_than_its_length_is_cut(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        headers = [*PLAIN, ("Content-Length", "2")]
        response = run(saying(b"ab", b"cd", headers=headers, as_=iter)).get("/")
        assert response.body == b"ab"
        assert "longer than its Content-Length" in caplog.text

    def test_a_body_shorter_than_its_length_ends_the_connection(self, run: Run) -> None:
        client = run(saying(b"a", b"b", headers=[*PLAIN, ("Content-Length", "5")]))
        with pytest.raises((EOFError, ConnectionResetError)):
            client.get("/")

    def test_a_generator_may_start_late(self, run: Run) -> None:
        def app(environ: Environ, start: Any) -> Iterator[bytes]:
            start("201 Made", PLAIN)
            yield b"late"

        response = run(app).get("/")
        assert (response.status, response.body) == (201, b"late")

    @pytest.mark.parametrize("as_", [list, iter])
    def test_nothing_is_an_empty_body(self, run: Run, as_: Any) -> None:
        response = run(saying(as_=as_)).get("/")
        assert (response["content-length"], response.body) == ("0", b"")

    def test_write_comes_before_the_rest(self, run: Run) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            write = start("200 OK", PLAIN)
            write(b"a")
            write(b"")
            write(b"b")
            return [b"c"]

        client = run(app)
        assert client.get("/").body == b"abc"
        assert client.get("/").body == b"abc"

    @pytest.mark.parametrize("as_", [list, iter, Recorder])
    def test_head_has_no_body(self, run: Run, as_: Any) -> None:
        headers = [*PLAIN, ("Content-Length", "5")]
        client = run(saying(b"hello", headers=headers, as_=as_))
        response = client.ask("HEAD", "/")
        assert (response["content-length"], response.body) == ("5", b"")
        assert client.get("/").body == b"hello"

    def test_head_of_many_pieces_tells_no_length(self, run: Run) -> None:
        client = run(saying(b"a", b"b", as_=iter))
        assert "content-length" not in client.ask("HEAD", "/")
        assert client.get("/").body == b"ab"

    @pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
    def test_some_statuses_have_no_body(self, run: Run, status: str) -> None:
        client = run(saying(b"", status=status, headers=[("X", "y")]))
        assert client.get("/").body == b""
        assert client.get("/")["x"] == "y"

    def test_fields_may_come_again(self, run: Run) -> None:
        headers = [*PLAIN, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X", "\xe9")]
        response = run(saying(b"", headers=headers)).get("/")
        assert response.all("set-cookie") == ["a=1", "b=2"]
        assert response["x"] == "\xe9"

    def test_fields_of_the_connection_are_the_servers(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        headers = [*PLAIN, ("Transfer-Encoding", "chunked"), ("Keep-Alive", "x"), ("Trailer", "y")]
        client = run(saying(b"abc", headers=headers))
        response = client.get("/")
        assert "transfer-encoding" not in response
        assert "keep-alive" not in response
        assert response.body == b"abc"
        assert client.get("/").body == b"abc"

    def test_pieces_leave_one_by_one(self, run: Run) -> None:
        response = run(saying(b"ab", b"cde", b"f", as_=iter)).get("/")
        assert response.chunks == (2, 3, 1)

    def test_old_clients_are_served(self, run: Run) -> None:
        client = run(saying(b"a", b"b", as_=iter))
        assert client.ask("GET", "/", version="1.0").body == b"ab"

    def test_pipelined_requests_are_answered_in_order(self, run: Run) -> None:
        def app(environ: Environ, start: Any) -> Any:
            start("200 OK", PLAIN)
            path = environ["PATH_INFO"].encode()
            return [path] if path[-1:] in b"02468" else iter([path, b"!"])

        client = run(app)
        client.send(b"".join(request("GET", f"/{n}") for n in range(30)))
        got = [client.response().text for _ in range(30)]
        assert got == [f"/{n}" + "!" * (n % 2) for n in range(30)]


class TestFiles:
    def wrapping(self, path: Path, headers: Any = PLAIN, skip: int = 0) -> App:
        def app(environ: Environ, start: Any) -> Any:
            start("200 OK", list(headers))
            file = path.open("rb")
            file.seek(skip)
            return environ["wsgi.file_wrapper"](file, 4096)

        return app

    @pytest.mark.parametrize("size", [0, 1, 5000, 3_000_000])
    def test_a_file_is_sent(self, run: Run, tmp_path: Path, size: int) -> None:
        path = tmp_path / "file"
        path.write_bytes(bytes(range(250)) * (size // 250 + 1))
        with path.open("r+b") as file:
            file.truncate(size)
        client = run(self.wrapping(path))
        for _ in range(2):
            response = client.get("/")
            assert response["content-length"] == str(size)
            assert response.body == path.read_bytes()
        assert client.ask("HEAD", "/")["content-length"] == str(size)
        assert client.get("/").body == path.read_bytes()

    def test_from_where_it_stands(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"0123456789")
        assert run(self.wrapping(path, skip=4)).get("/").body == b"456789"

    def test_as_much_as_its_length_says(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"0123456789")
        headers = [*PLAIN, ("Content-Length", "3")]
        client = run(self.wrapping(path, headers))
        assert client.get("/").body == client.get("/").body == b"012"

    def test_what_is_no_file_is_read(self, run: Run) -> None:
        def app(environ: Environ, start: Any) -> Any:
            start("200 OK", PLAIN)
            return environ["wsgi.file_wrapper"](io.BytesIO(b"x" * 100_000))

        assert run(app).get("/").body == b"x" * 100_000

    def test_a_file_that_was_replaced_is_read(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "file"

        def app(environ: Environ, start: Any) -> Any:
            path.write_bytes(b"old")
            file = path.open("rb")
            path.unlink()
            path.write_bytes(b"newer")
            start("200 OK", PLAIN)
            return environ["wsgi.file_wrapper"](file)

        assert run(app).get("/").body == b"old"


class TestErrors:
    def test_an_application_that_raises_is_answered_with_500(
        self, run: Run, caplog: pytest.LogCaptureFixture
    ) -> None:
        def app(environ: Environ, start: Any) -> Any:
            if environ["PATH_INFO"] == "/bad":
                start("200 OK", PLAIN)
                raise ValueError("what went wrong")
            return saying(b"fine")(environ, start)

        client = run(app)
        assert client.get("/bad?x").status == 500
        assert "'GET /bad?x HTTP/1.1' failed" in caplog.text
        assert "what went wrong" in caplog.text
        assert client.get("/").body == b"fine"

    def test_debug_shows_the_traceback(self, run: Run) -> None:
        def app(environ: Environ, start: Any) -> Any:
            raise ValueError("<what>")

        assert "&lt;what&gt;" in run(app, debug=True).get("/").text

    @pytest.mark.parametrize(
        "app",
        [
            lambda environ, start: [b""],
            lambda environ, start: None,
            saying("text"),
            saying("text", as_=iter),
            saying(b"", status=200),  # type: ignore[arg-type]
            saying(b"", status="twohundred"),
            saying(b"", status="100 Continue"),
            saying(b"", headers=[("X", 1)]),
            saying(b"", headers=[("X", "a\r\nb: c")]),
            saying(b"", headers=[("X y", "a")]),
            saying(b"", headers=[("X", "\u20ac")]),
            saying(b"abc", headers=[("Content-Length", "x")], as_=iter),
        ],
    )
    def test_what_breaks_pep_3333_is_answered_with_500(self, run: Run, app: App) -> None:
        client = run(app)
        assert client.get("/").status == 500
        assert client.get("/").status == 500

    def test_start_response_twice_is_an_error(self, run: Run) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            start("200 OK", PLAIN)
            start("200 OK", PLAIN)
            return [b""]

        assert run(app).get("/").status == 500

    def test_exc_info_replaces_what_was_not_sent(self, run: Run) -> None:
        def app(environ: Environ, start: Any) -> list[bytes]:
            start("200 OK", [("X", "1")])
            try:
                raise ValueError("on the way")
            except ValueError:
                start("503 Busy", PLAIN, sys.exc_info())
            return [b"sorry"]

        response = run(app).get("/")
        assert (response.status, response.body, "x" in response) == (503, b"sorry", False)

    def test_exc_info_raises_once_it_is_sent(self, run: Run) -> None:
        def app(environ: Environ, start: Any) -> Iterator[bytes]:
            start("200 OK", PLAIN)
            yield b"a"
            try:
                raise ValueError("too late")
            except ValueError:
                start("500 Oh", PLAIN, sys.exc_info())

        assert is_cut(run(app))

    def test_an_error_in_the_middle_is_no_end(self, run: Run) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"a"
            raise ValueError("in the middle")

        assert is_cut(run(saying(as_=lambda _: pieces())))

    def test_sys_exit_in_a_thread_ends_no_worker(self, stage: Stage) -> None:
        def app(environ: Environ, start: Any) -> Any:
            if environ["PATH_INFO"] == "/exit":
                sys.exit(3)
            return saying(b"fine")(environ, start)

        server = stage.serve(WSGI(app), URL, framing=None, blocking=1)
        with HttpClient(server) as client:
            assert client.get("/exit").status == 500
        with HttpClient(server) as client:
            assert client.get("/").body == b"fine"

    def test_errors_go_to_stderr(self, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
        def app(environ: Environ, start: Any) -> Any:
            errors = environ["wsgi.errors"]
            errors.write("one\n")
            errors.writelines(["two\n"])
            errors.flush()
            return saying(b"")(environ, start)

        run(app).get("/")
        assert "one\ntwo\n" in capfd.readouterr().err


class TestClose:
    @pytest.mark.parametrize(
        "pieces", [[], [b"a"], [b"a", b"b"], ["text"], [b"a", "text"], [b"x" * 100_000] * 3]
    )
    def test_it_is_called_once(self, run: Run, pieces: list[Any]) -> None:
        made = Recorder(pieces)
        client = run(saying(as_=lambda _: made))
        if pieces == [b"a", "text"]:
            assert is_cut(client)
        else:
            assert client.get("/").status == (500 if "text" in pieces else 200)
        wait_for(lambda: made.closed > 0, what="the close")
        assert made.closed == 1

    def test_also_when_the_client_leaves(self, run: Run) -> None:
        made = Recorder(bytes(64 * 1024) for _ in range(2000))
        client = run(saying(as_=lambda _: made))
        client.send(request("GET", "/"))
        client.client.read(1000)
        client.client.reset()
        wait_for(lambda: made.closed > 0, what="the close")
        assert made.closed == 1

    def test_also_when_start_response_was_not_called(self, run: Run) -> None:
        made = Recorder([b"a"])
        assert run(lambda environ, start: made).get("/").status == 500
        assert made.closed == 1

    def test_what_it_raises_harms_nothing(self, run: Run, caplog: pytest.LogCaptureFixture) -> None:
        class Failing(Recorder):
            def close(self) -> None:
                raise ValueError("cannot close")

        client = run(saying(as_=lambda _: Failing([b"a", b"b"])))
        assert client.get("/").body == b"ab"
        assert client.get("/").body == b"ab"
        assert "cannot close" in caplog.text


def test_a_roomy_dict_is_the_same_with_room() -> None:
    keys = {"a": 1, "wsgi.b": None}
    assert roomy(**keys) == keys
    own = {str(n): n for n in range(20)}
    assert (roomy(**keys) | own) == (keys | own)


class TestRoot:
    @pytest.mark.parametrize(
        ("path", "want"),
        [("/app/x", "/x"), ("/app", ""), ("/app/", "/"), ("/apple", "/apple"), ("/x", "/x")],
    )
    def test_what_is_above_the_application_is_not_its_path(self, path: str, want: str) -> None:
        base = {"SCRIPT_NAME": "/app", "wsgi.input": None}
        answers = Answers(None, echo, base, fastloop.Config())  # type: ignore[arg-type]
        environ = answers.environ(({"PATH_INFO": path}, b"", 1))
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/app", want)


class TestSettings:
    def test_what_cannot_be_called_is_no_application(self) -> None:
        with pytest.raises(ConfigError, match="start_response"):
            WSGI(3)  # type: ignore[arg-type]

    def test_files_below_the_root_leave_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="below a prefix"):
            fastloop.Server(WSGI(echo), URL, static={"/": tmp_path})

    def test_stream_is_not_for_it(self) -> None:
        with pytest.raises(ConfigError, match=r"wsgi\.input"):
            fastloop.Server(WSGI(echo), URL, stream=True)

    def test_it_serves_http_alone(self) -> None:
        with pytest.raises(ConfigError, match="http:// addresses"):
            fastloop.Server(WSGI(echo), "tcp://127.0.0.1:0", framing="line")

    def test_files_and_constants_are_beside_it(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"file")
        client = run(path_of, static={"/assets": tmp_path}, healthz="/healthz")
        assert client.get("/assets/a").body == b"file"
        assert client.get("/healthz").body == b"ok\n"
        assert client.get("/other").body == b"/other"


def torture(environ: Environ, start: Any) -> Any:
    """Does what an application may do."""
    name = environ["PATH_INFO"]
    file = environ["wsgi.input"]
    if name == "/read":
        parts = [file.read(2), file.readline(3), *file.readlines(1), *file]
        start("200 OK", PLAIN)
        return [b"|".join(parts)]
    if name == "/errors":
        environ["wsgi.errors"].write("x")
        environ["wsgi.errors"].writelines(["y", "z"])
        environ["wsgi.errors"].flush()
    if name == "/write":
        start("200 OK", PLAIN)(b"written")
        return [b" and returned"]
    if name == "/gone":
        start("204 No Content", [("X-Y", "z")])
        return []
    if name == "/exc":
        start("200 OK", PLAIN)
        try:
            raise KeyError("x")
        except KeyError:
            start("500 Bad", PLAIN, sys.exc_info())
        return [b"caught"]
    start("200 OK", [*PLAIN, ("X-Path", name)])
    return [b"a", b"", b"bc"] if name == "/many" else [name.encode("latin-1")]


def test_the_validator_finds_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    client = run(validator(torture))
    asked: list[tuple[str, str, bytes | None, Any]] = [
        ("GET", "/", None, b"/"),
        ("POST", "/read", b"ab\ncdef\ngh\ni", b"ab|\n|cdef\n|gh\n|i"),
        ("GET", "/errors", None, b"/errors"),
        ("GET", "/write", None, b"written and returned"),
        ("GET", "/gone", None, b""),
        ("GET", "/exc", None, b"caught"),
        ("GET", "/many?x=y", None, b"abc"),
        ("PUT", "/%C3%A9", b"", b"/\xc3\xa9"),
        ("DELETE", "/x", None, b"/x"),
    ]
    for method, target, body, want in asked:
        response: Response = client.ask(method, target, body)
        assert response.body == want, (target, caplog.text)
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
