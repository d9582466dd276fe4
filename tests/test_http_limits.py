"""What a server refuses, and what it does not wait for: statuses, deadlines, numbers of things.

Timeouts are short here and nothing is said about how long anything takes, only how it ends.
"""

from __future__ import annotations

import asyncio
import resource
import select
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from client import Client, wait_for
from http_client import HttpClient, Response, request
from program import SANITIZED, Program
from stage import Stage

import fastloop
from conftest import Serve

MIB = 1024 * 1024
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BIG = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n"


def hello(request: Any) -> str:
    """An application."""
    return "hello"


def length(request: Any) -> str:
    """Tells how long the body was."""
    return str(len(request.body))


def serve_http(serve: Serve, app: Any = hello, **options: Any) -> fastloop.Server:
    """A server of HTTP on this backend."""
    return serve(app, "http://127.0.0.1:0", framing=None, **options)


def is_taken(client: HttpClient, data: bytes) -> bool:
    """Whether these bytes can still be sent."""
    try:
        client.send(data)
    except ConnectionError:
        return False
    return True


def refusal(client: HttpClient) -> Response:
    """The one response that is left to come: complete, and announced as the last."""
    (response,) = client.responses()
    assert response.is_last
    assert "date" in response
    assert int(response["content-length"]) == len(response.body)
    return response


# -- statuses --


@pytest.mark.parametrize(
    ("status", "data", "options"),
    [
        (400, b"GET / HTTP/1.1\r\n\r\n", {}),
        (413, BIG, {}),
        (413, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", {"max_body": 100}),
        (
            413,
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n",
            {"max_body": 100},
        ),
        (414, b"GET /" + b"a" * 100, {"max_request_line": 100}),
        (417, b"POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1\r\n\r\n", {}),
        (431, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1000, {"max_headers": 1000}),
        (431, b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", {"max_header_count": 1}),
        (501, b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", {}),
        (501, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", {}),
        (505, b"GET / HTTP/2.0\r\n\r\n", {}),
    ],
)
def test_refusals(serve: Serve, status: int, data: bytes, options: dict[str, Any]) -> None:
    """Said without Python, behind the answers to what was good, and before the close."""
    server = serve_http(serve, **options)
    with HttpClient(server) as client:
        client.send(data)
        assert refusal(client).status == status
    with HttpClient(server) as client:
        client.send(GET + GET + data)
        assert [response.status for response in client.responses()] == [200, 200, status]
    wait_for(lambda: server.stats().protocol_errors == 2)
    assert server.stats().messages == 2


def test_a_limit_is_what_still_passes(serve: Serve) -> None:
    server = serve_http(
        serve, length, max_body=100, max_request_line=100, max_header_count=4, max_headers=256
    )
    with HttpClient(server) as client:
        assert client.ask("POST", "/", bytes(100)).text == "100"
        chunks = b"32\r\n" + bytes(50) + b"\r\n32\r\n" + bytes(50) + b"\r\n0\r\n\r\n"
        client.send(request("POST", "/", transfer_encoding="chunked") + chunks)
        assert client.response().text == "100"
        line = len("GET / HTTP/1.1\r\n")
        assert client.get("/" + "a" * (100 - line)).status == 200
        assert client.get("/", a="1", b="2", c="3").status == 200
        assert client.get("/", x="x" * (256 - len("host: a\r\nx: \r\n"))).status == 200
        assert client.get("/", a="1", b="2", c="3", d="4").status == 431


def test_methods_that_a_resource_has_not(serve: Serve) -> None:
    app = fastloop.Router()
    app.get("/only")(hello)
    with HttpClient(serve_http(serve, app)) as client:
        assert client.ask("DELETE", "/only").status == 405
        assert client.ask("DELETE", "/only")["allow"] == "GET, HEAD, OPTIONS"
        assert client.get("/none").status == 404
        assert client.get("/only").text == "hello"


def test_answers_of_the_server_itself_respect_head(serve: Serve) -> None:
    with HttpClient(serve_http(serve, max_header_count=1)) as client:
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")
        status = client.client.line()
        assert b" 431 " in status
        head, _, body = client.client.rest().partition(b"\r\n\r\n")
        assert b"connection: close" in head
        assert body == b""


# -- lingering close --


def test_a_refusal_reaches_a_client_that_still_sends(serve: Serve) -> None:
    """The whole of it, though most of the body was never read: no reset eats it."""
    with HttpClient(serve_http(serve, linger=20)) as client:
        client.send(BIG)
        for _ in range(100):
            client.send(bytes(100_000))
        client.finish()
        assert refusal(client).status == 413


def test_a_client_that_sends_for_ever_is_cut_off(serve: Serve) -> None:
    server = serve_http(serve, linger=0.2)
    with HttpClient(server) as client:
        client.send(b"x\r\n\r\n")
        while is_taken(client, bytes(1000)):
            time.sleep(0.001)
    wait_for(lambda: server.stats().connections == 0)


# -- how many --


def test_connections_of_one_address(serve: Serve) -> None:
    server = serve_http(serve, max_connections_per_address=2)
    with HttpClient(server) as one, HttpClient(server) as two:
        assert one.get("/").status == two.get("/").status == 200
        with HttpClient(server) as three:
            assert refusal(three).status == 503
        assert one.get("/").status == two.get("/").status == 200
        two.close()
        wait_for(lambda: server.stats().connections == 1)
        with HttpClient(server) as three:
            assert three.get("/").status == 200


def test_connections_of_all(serve: Serve) -> None:
    server = serve_http(serve, max_connections=2)
    with HttpClient(server) as one, HttpClient(server) as two:
        assert one.get("/").status == two.get("/").status == 200
        with HttpClient(server) as three:
            assert refusal(three).status == 503
        assert one.get("/").status == 200
    wait_for(lambda: server.stats().connections == 0)
    with HttpClient(server) as three:
        assert three.get("/").status == 200


@pytest.mark.parametrize("is_pipelined", [False, True])
def test_requests_of_one_connection(serve: Serve, is_pipelined: bool) -> None:
    """The last one is told so; what is behind it is left to the next connection."""
    server = serve_http(serve, max_requests=3)
    with HttpClient(server) as client:
        if is_pipelined:
            client.send(GET * 5)
            responses = client.responses()
        else:
            responses = [client.get("/") for _ in range(3)]
            assert client.is_closed()
        assert [response.is_last for response in responses] == [False, False, True]
        assert [response.status for response in responses] == [200, 200, 200]
    assert server.stats().messages == 3


# -- how long --


def test_nothing_comes(serve: Serve) -> None:
    """A connection that says nothing, at first or after a response, ends without a word."""
    server = serve_http(serve, keep_alive=0.2)
    with HttpClient(server) as silent, HttpClient(server) as served:
        assert served.get("/").status == 200
        assert served.is_closed()
        assert silent.is_closed()


def test_a_kept_connection_is_not_closed_in_use(serve: Serve) -> None:
    """Each request begins the time anew; a handler may take longer than it."""

    def slow(request: Any) -> str:
        time.sleep(0.5)
        return "slow"

    with HttpClient(serve_http(serve, slow, keep_alive=0.3, header_timeout=0.3)) as client:
        assert [client.get("/").text for _ in range(2)] == ["slow", "slow"]


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX: y"])
def test_a_head_that_does_not_end(serve: Serve, start: bytes) -> None:
    with HttpClient(serve_http(serve, header_timeout=0.2)) as client:
        client.send(start)
        assert refusal(client).status == 408


def test_a_head_that_drips(serve: Serve) -> None:
    """The time for a head is absolute: to send a byte now and then does not help."""
    server = serve_http(serve, header_timeout=0.5)
    with HttpClient(server) as slow, HttpClient(server) as other:
        slow.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        for _ in range(200):
            if select.select([slow.client.sock], [], [], 0.1)[0]:
                break
            slow.send(b"x")
            assert other.get("/").status == 200
        else:
            pytest.fail("it still waits")
        assert refusal(slow).status == 408
        assert other.get("/").status == 200


def test_a_second_head_that_drips(serve: Serve) -> None:
    with HttpClient(serve_http(serve, header_timeout=0.2)) as client:
        client.send(GET + b"GET / HT")
        assert client.response().status == 200
        assert refusal(client).status == 408


@pytest.mark.parametrize(
    "start",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nxyz",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nxyz",
    ],
)
def test_a_body_that_drips(serve: Serve, start: bytes) -> None:
    """Bytes must come at a rate."""
    server = serve_http(serve, length, body_timeout=0.3, body_rate=1_000_000)
    with HttpClient(server) as slow, HttpClient(server) as other:
        slow.send(start)
        for _ in range(200):
            if select.select([slow.client.sock], [], [], 0.1)[0]:
                break
            slow.send(b"" if b"chunked" in start else b"x")
            assert other.get("/").text == "0"
        else:
            pytest.fail("it still waits")
        assert refusal(slow).status == 408


def test_a_body_that_takes_its_time(serve: Serve) -> None:
    """As long as the rate is kept, a body may take many times the grace."""
    server = serve_http(serve, length, body_timeout=0.4, body_rate=1000)
    with HttpClient(server) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(10):
            client.send(bytes(10_000))
            time.sleep(0.1)
        assert client.response().text == "100000"


# -- connections that end, and a response that takes its time --


class Slow:
    """A stream whose second half comes when the gate opens."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, request: Any) -> Any:
        self.loop = asyncio.get_running_loop()
        return self.halves()

    async def halves(self) -> AsyncIterator[bytes]:
        """Both."""
        yield b"first"
        self.begun.set()
        await self.gate.wait()
        yield b"second"

    def open(self) -> None:
        """From the test's thread."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.gate.set)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_the_last_response_comes_in_pieces(stage_async: Stage, version: str) -> None:
    slow = Slow()
    server = stage_async.serve(slow, "http://127.0.0.1:0", framing=None)
    with HttpClient(server) as client:
        client.send(request("GET", "/", version=version, connection="close"))
        assert slow.begun.wait(20)
        slow.open()
        response = client.response()
        assert (response.status, response.body, response.is_last) == (200, b"firstsecond", True)
        assert client.is_closed()


def test_who_sends_no_more_still_reads(stage_async: Stage) -> None:
    slow = Slow()
    with HttpClient(stage_async.serve(slow, "http://127.0.0.1:0", framing=None)) as client:
        client.send(GET)
        client.finish()
        assert slow.begun.wait(20)
        slow.open()
        assert client.response().body == b"firstsecond"
        assert client.is_closed()


def test_a_server_that_stops_says_what_it_began(stage_async: Stage) -> None:
    slow = Slow()
    server = stage_async.serve(slow, "http://127.0.0.1:0", framing=None)
    with HttpClient(server) as client, HttpClient(server) as idle:
        client.send(GET)
        assert slow.begun.wait(20)
        stopping = threading.Thread(target=server.stop, kwargs={"drain": 20})
        stopping.start()
        assert idle.is_closed()
        slow.open()
        assert client.response().body == b"firstsecond"
        assert client.is_closed()
        stopping.join()


# -- 100 (Continue) --


def test_a_client_that_waits_is_told_to_go_on(serve: Serve) -> None:
    with HttpClient(serve_http(serve, length)) as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
        assert client.client.line() == b"HTTP/1.1 100 Continue\r\n"
        assert client.client.line() == b"\r\n"
        client.send(b"abc")
        assert client.response().text == "3"
        assert client.get("/").text == "0"


def test_it_is_told_so_in_its_turn(serve: Serve) -> None:
    """Behind the answers to what it asked before."""
    with HttpClient(serve_http(serve, length)) as client:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        client.send(GET + GET + head)
        assert client.response().interim == client.response().interim == ()
        assert client.client.line() == b"HTTP/1.1 100 Continue\r\n"
        assert client.client.line() == b"\r\n"
        client.send(b"abc")
        assert client.response().text == "3"


@pytest.mark.parametrize(
    ("head", "statuses"),
    [
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 200\r\n\r\n",
            [413],
        ),
        (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: x\r\n\r\n", [400]),
        (b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n1", [200]),
        (b"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", [200]),
    ],
)
def test_who_is_not_told_to_go_on(serve: Serve, head: bytes, statuses: list[int]) -> None:
    """Whoever would send in vain, and clients of 1.0, which do not know what it means."""
    with HttpClient(serve_http(serve, max_body=100)) as client:
        client.send(head)
        responses = client.responses()
        assert [response.status for response in responses] == statuses
        assert not any(response.interim for response in responses)


# -- all at once --


@pytest.mark.many_connections
def test_slow_clients_do_not_slow_others(serve: Serve) -> None:
    """Two hundred that drip, of each kind, and one that is served all the while."""
    server = serve_http(serve, header_timeout=20, body_timeout=20)
    starts = [
        b"GET / HTTP/1.1\r\nX: ",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
        b"",
    ]
    slow = [HttpClient(server) for _ in range(200)]
    for n, client in enumerate(slow):
        client.send(starts[n % 3])
    with HttpClient(server) as other:
        for n in range(200):
            slow[n].send(b"x")
            assert other.get("/").status == 200
    for client in slow:
        client.client.reset()


@pytest.fixture
def many_files() -> Iterator[int]:
    """Raises this process's limit of open files as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    yield most
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux" or SANITIZED, reason="measures memory")
def test_idle_connections_are_small(many_files: int) -> None:
    """256 bytes of memory each, once a request was served on them."""
    few, count = 2_000, 12_000
    if many_files < count + 500:
        pytest.skip("this process may not open so many files")
    with Program(
        "lambda request: 'hello'",
        bind="http://127.0.0.1:0",
        max_connections=count,
        linger=0.1,
        drain_timeout=0.1,
    ) as program:
        clients: list[Client] = []

        def grow(size: int) -> int:
            while len(clients) < size:
                client = program.connect()
                client.send(GET)
                assert client.line() == b"HTTP/1.1 200 OK\r\n"
                clients.append(client)
            rss: int = program.ask("rss()")
            return rss

        before = grow(few)
        assert (grow(count) - before) / (count - few) <= 256
        for client in clients:
            client.reset()
        wait_for(lambda: program.ask("server.stats().connections") == 0)


def test_threads_that_all_break_the_protocol(serve: Serve) -> None:
    """Many at the same time: each gets its own refusal."""
    server = serve_http(serve)
    failures: list[BaseException] = []

    def offend(n: int) -> None:
        try:
            for _ in range(20):
                with HttpClient(server) as client:
                    client.send(GET * (n % 3) + b"GET / HTTP/1.1\r\n" + b"x" * n + b"\r\n\r\n")
                    assert client.responses()[-1].status == 400
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=offend, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
