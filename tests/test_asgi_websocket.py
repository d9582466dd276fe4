"""ASGI's WebSocket: what an application is told and may say, by the `websockets` client."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("websockets")

from client import TIMEOUT, wait_for
from http_client import HttpClient
from stage import Stage
from test_asgi import URL, App, Message, Receive, Send
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
ACCEPT = {"type": "websocket.accept"}

Join = Callable[..., ClientConnection]


class Sockets(App):
    """Runs a function for each WebSocket."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.run(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


@pytest.fixture
def join(stage_async: Stage) -> Join:
    """A client of a server of this application."""

    def join(run: Any, *, path: str = "/", options: Any = (), **arguments: Any) -> ClientConnection:
        server = stage_async.serve(Sockets(run), URL, framing=None, **dict(options))
        url = server.addresses[0].replace("http", "ws") + path
        return connect(url, open_timeout=TIMEOUT, close_timeout=1, **arguments)

    return join


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """Accepts, and sends back what comes until the end."""
    assert await receive() == {"type": "websocket.connect"}
    await send(ACCEPT)
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


def test_scope_and_handshake(join: Join) -> None:
    seen: list[Message] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await receive()
        fields = [(b"x-a", b"b"), (b"set-cookie", b"c=d")]
        await send({**ACCEPT, "subprotocol": "two", "headers": fields})
        await send({"type": "websocket.send", "text": "hello"})

    with join(run, path="/a%20b?c", subprotocols=["one", "two"]) as client:
        assert client.recv(TIMEOUT) == "hello"
        assert client.subprotocol == "two"
        assert client.response is not None
        assert client.response.headers["x-a"] == "b"
        assert client.response.headers["set-cookie"] == "c=d"
        with pytest.raises(ConnectionClosed):  # the application returned
            client.recv(TIMEOUT)
        assert client.close_code == 1000
    (scope,) = seen
    assert (scope["type"], scope["scheme"], scope["http_version"]) == ("websocket", "ws", "1.1")
    assert (scope["path"], scope["query_string"]) == ("/a b", b"c")
    assert scope["subprotocols"] == ["one", "two"]
    assert scope["extensions"] == {"websocket.http.response": {}}
    assert scope["state"] == {"kept": "in startup"}
    assert "method" not in scope


@pytest.mark.parametrize("message", ["", "text \u20ac", b"", b"\0bytes", "x" * 300_000])
def test_echo(join: Join, message: str | bytes) -> None:
    with join(echo) as client:
        for _ in range(3):
            client.send(message)
        assert [client.recv(TIMEOUT) for _ in range(3)] == [message] * 3


def test_the_client_closes(join: Join) -> None:
    events: list[Message] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        for _ in range(3):
            events.append(await receive())
        with pytest.raises(OSError, match="closed"):
            await send({"type": "websocket.send", "text": "late"})
        await send({"type": "websocket.close"})
        events.append({})

    with join(run) as client:
        client.send("last words")
        client.close(4321, "that is all")
    end = {"type": "websocket.disconnect", "code": 4321, "reason": "that is all"}
    said = {"type": "websocket.receive", "text": "last words"}
    wait_for(lambda: events == [said, end, end, {}])


@pytest.mark.parametrize("accepted", [True, False])
def test_the_client_vanishes(stage_async: Stage, accepted: bool) -> None:
    events: list[Message] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        events.append(await receive())
        if accepted:
            await send(ACCEPT)
        events.append(await receive())

    server = stage_async.serve(Sockets(run), URL, framing=None)
    client = HttpClient(server)
    client.send(HANDSHAKE)
    wait_for(lambda: len(events) == 1)
    if accepted:
        assert client.client.read(12) == b"HTTP/1.1 101"
    client.client.close()
    wait_for(lambda: len(events) == 2)
    assert (events[1]["type"], events[1]["code"]) == ("websocket.disconnect", 1006)
    wait_for(lambda: server.stats().connections == 0)


def test_the_application_closes(join: Join) -> None:
    events: list[Message] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.close", "code": 3001, "reason": "enough"})
        events.append(await receive())

    with join(run) as client:
        with pytest.raises(ConnectionClosed):
            client.recv(TIMEOUT)
        assert (client.close_code, client.close_reason) == (3001, "enough")
    wait_for(lambda: bool(events))
    assert (events[0]["type"], events[0]["code"]) == ("websocket.disconnect", 3001)


def test_it_refuses(join: Join) -> None:
    async def run(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close"})

    with pytest.raises(InvalidStatus) as refused, join(run):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("pieces", [1, 2])
def test_it_refuses_by_a_response(join: Join, pieces: int) -> None:
    ends: list[Message] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        kind = "websocket.http.response"
        await send({"type": f"{kind}.start", "status": 418, "headers": [(b"x-a", b"b")]})
        for n in range(pieces):
            more = n + 1 < pieces
            await send({"type": f"{kind}.body", "body": b"teapot", "more_body": more})
        ends.append(await receive())

    with pytest.raises(InvalidStatus) as refused, join(run):
        pass
    response = refused.value.response
    assert (response.status_code, response.headers["x-a"]) == (418, "b")
    assert response.body is None or response.body.endswith(b"teapot")
    wait_for(lambda: ends == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}])


@pytest.mark.parametrize("first", [[], [{"type": "websocket.send", "text": "too early"}]])
@pytest.mark.parametrize("pause", [False, True])
def test_what_comes_before_the_accept_is_500(
    join: Join, first: list[Message], pause: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(scope: Message, receive: Receive, send: Send) -> None:
        if pause:
            await asyncio.sleep(0)
        for message in first:
            await send(message)

    with pytest.raises(InvalidStatus) as refused, join(run):
        pass
    assert refused.value.response.status_code == 500
    assert "the ASGI application" in caplog.text


def test_it_fails(join: Join, caplog: pytest.LogCaptureFixture) -> None:
    async def run(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        raise ValueError("on purpose")

    with join(run) as client:
        with pytest.raises(ConnectionClosedError):
            client.recv(TIMEOUT)
        assert client.close_code == 1011
    assert "on purpose" in caplog.text


@pytest.mark.parametrize(
    ("field", "status"),
    [(b"version: 13", 426), (b"key: AAAAAAAAAAAAAAAAAAAAAA==", 400)],
)
def test_bad_handshakes_never_reach_it(stage_async: Stage, field: bytes, status: int) -> None:
    server = stage_async.serve(Sockets(echo), URL, framing=None)
    with HttpClient(server) as client:
        client.send(HANDSHAKE.replace(b"sec-websocket-" + field + b"\r\n", b""))
        assert client.response().status == status


def test_receive_holds_up_a_fast_client(join: Join) -> None:
    go = asyncio.Event()
    count = 0

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal count
        await receive()
        await send(ACCEPT)
        loops.append(asyncio.get_running_loop())
        await go.wait()
        while (await receive())["type"] == "websocket.receive":
            count += 1

    loops: list[asyncio.AbstractEventLoop] = []
    message = bytes(100_000)
    sent = 0
    with join(run, compression=None) as client:
        client.socket.settimeout(0.2)
        try:
            while sent < 1000:
                client.send(message)
                sent += 1
        except (TimeoutError, ConnectionClosed):  # nothing is taken any more
            pass
        assert sent < 1000
        loops[0].call_soon_threadsafe(go.set)
        wait_for(lambda: count >= sent)


def test_send_waits_for_a_slow_client(stage_async: Stage) -> None:
    sent = 0
    over: list[BaseException] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal sent
        await receive()
        await send(ACCEPT)
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(65536)})
                sent += 65536
        except OSError as error:
            over.append(error)
            raise

    client = HttpClient(stage_async.serve(Sockets(run), URL, framing=None))
    client.send(HANDSHAKE)
    assert client.client.read(12) == b"HTTP/1.1 101"
    before = -1
    while sent != before:  # as much as the buffers of both ends hold
        before = sent
        threading.Event().wait(0.2)
    assert 0 < sent < 64 * 2**20
    client.client.close()
    wait_for(lambda: bool(over))


def test_a_stop_ends_it_with_1001(stage_async: Stage, caplog: pytest.LogCaptureFixture) -> None:
    events: list[Message] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        events.append(await receive())

    server = stage_async.serve(Sockets(run), URL, framing=None)
    with connect(server.addresses[0].replace("http", "ws"), open_timeout=TIMEOUT) as client:
        server.stop()
        with pytest.raises(ConnectionClosed):
            client.recv(TIMEOUT)
        assert client.close_code == 1001
    assert (events[0]["type"], events[0]["code"]) == ("websocket.disconnect", 1001)
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]
