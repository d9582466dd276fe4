"""What a handler can ask of a connection, while it lives and afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from client import wait_for
from stage import Keep

import fastloop
from conftest import Connect, Serve
from fastloop import Connection, ConnectionClosed

Answers = Callable[..., bytes]


@pytest.mark.parametrize("blocking", [0, 2])
@pytest.mark.shared_state
def test_close_in_the_handler(serve: Serve, connect: Connect, blocking: int) -> None:
    """What is said before it arrives; afterwards nothing can be sent. Twice is fine."""
    raised: list[BaseException] = []

    def handler(connection: Connection, line: bytes) -> None:
        connection.send(b"bye")
        connection.close()
        connection.close()
        assert connection.closed
        try:
            connection.send(b"more")
        except ConnectionClosed as error:
            raised.append(error)

    client = connect(serve(handler, blocking=blocking))
    client.send(b"a\n")
    assert client.rest() == b"bye\n"
    assert len(raised) == (0 if blocking else 1)  # another thread is not told


def test_reply_after_close_is_sent(serve: Serve, connect: Connect) -> None:
    def handler(connection: Connection, line: bytes) -> bytes:
        connection.close()
        return line

    client = connect(serve(handler))
    client.send(b"a\n")
    assert client.rest() == b"a\n"


def test_abort_resets(serve: Serve, connect: Connect) -> None:
    client = connect(serve(lambda connection, line: connection.close(abort=True)))
    client.send(b"a\n")
    with pytest.raises(ConnectionResetError):
        client.rest()


@pytest.mark.shared_state
def test_a_connection_that_is_gone(serve: Serve, connect: Connect) -> None:
    """Its id was recycled, and still it is not taken for the new one."""
    keep = Keep()
    server = serve(keep)
    with connect(server) as client:
        assert client.ask(b"a\n") == b"a\n"
    wait_for(lambda: keep.gone)
    fresh = connect(server)
    assert fresh.ask(b"a\n") == b"a\n"
    old, new = keep.open_
    assert old != new
    assert old.closed
    assert not new.closed
    with pytest.raises(ConnectionClosed):
        _ = old.peer
    with pytest.raises(ConnectionClosed):
        _ = old.unsent
    old.send(b"nobody hears this")
    old.close(abort=True)
    assert fresh.ask(b"b\n") == b"b\n"


@pytest.mark.shared_state
def test_recycled_places(serve: Serve, connect: Connect) -> None:
    keep = Keep()
    server = serve(keep)
    for n in range(20):
        with connect(server) as client:
            assert client.ask(b"%d\n" % n) == b"%d\n" % n
        wait_for(lambda n: len(keep.gone) > n, n)
    assert len(set(keep.open_)) == 20


@pytest.mark.event_loop
def test_late_reply_to_a_connection_that_is_gone(serve: Serve, connect: Connect) -> None:
    """The one that took its place does not get it."""
    entered, leave = threading.Event(), threading.Event()

    def handler(line: bytes) -> bytes:
        if line == b"slow":
            entered.set()
            assert leave.wait(20)
        return line

    server = serve(handler, blocking=2)
    client = connect(server)
    client.send(b"slow\n")
    assert entered.wait(20)
    client.reset()
    wait_for(lambda: server.stats().connections == 0)
    fresh = connect(server)
    assert fresh.ask(b"a\n") == b"a\n"
    leave.set()
    assert fresh.ask(b"b\n") == b"b\n"


@pytest.mark.shared_state
def test_state_lives_as_long_as_the_connection(serve: Serve, connect: Connect) -> None:
    """Until the close handler has returned."""
    states: list[Any] = []

    class Stateful(Keep):
        def message(self, connection: Connection, line: bytes) -> Any:  # type: ignore[override]
            connection.state = (connection.state or 0) + 1
            return connection.state

        def close(self, connection: Connection, reason: str) -> None:
            states.append(connection.state)

    stateful = Stateful()
    server = serve(stateful)
    client = connect(server)
    client.send(b"a\nb\nc\n")
    assert client.read(6) == b"1\n2\n3\n"
    assert stateful.open_[0].state == 3
    client.close()
    wait_for(lambda: states)
    assert states == [3]
    wait_for(lambda: stateful.open_[0].state is None)


@pytest.mark.event_loop
def test_state_without_a_close_handler(serve: Serve, connect: Connect) -> None:
    """In worker threads too each message sees what the one before it has set."""
    seen: list[Connection] = []

    def handler(connection: Connection, line: bytes) -> int:
        seen.append(connection)
        connection.state = (connection.state or 0) + 1
        state: int = connection.state
        return state

    with connect(serve(handler, blocking=2)) as client:
        client.send(b"a\n" * 50)
        assert client.read(9 * 2 + 41 * 3) == b"".join(b"%d\n" % n for n in range(1, 51))
    wait_for(lambda: seen[0].state is None)


@pytest.mark.shared_state
def test_pause_and_resume(serve: Serve, connect: Connect) -> None:
    keep = Keep()
    calls: list[bytes] = []
    paused: list[Connection] = []

    def handler(connection: Connection, line: bytes) -> bytes:
        calls.append(line)
        if line == b"pause":
            connection.pause()
            paused.append(connection)
        return line

    keep.message = handler  # type: ignore[method-assign, assignment]
    server = serve(keep)
    client, other = connect(server), connect(server)
    assert client.ask(b"pause\n") == b"pause\n"
    client.send(b"a\nb\n")
    assert other.ask(b"other\n") == b"other\n"
    assert calls == [b"pause", b"other"]
    paused[0].resume()
    assert client.read(4) == b"a\nb\n"


def test_addresses(answers: Answers, serve: Serve, connect: Connect) -> None:
    server = serve(lambda connection, line: [connection.peer, connection.local])
    client = connect(server)
    client.send(b"a\n")
    host, port = client.sock.getsockname()
    assert client.line() == f"{host}:{port}\n".encode()
    assert client.line() == f"127.0.0.1:{server.port}\n".encode()


@pytest.mark.shared_state
def test_reasons_of_a_close(serve: Serve, connect: Connect) -> None:
    keep = Keep()
    server = serve(keep, framing=fastloop.framing.Line(max=10))
    connect(server).close()
    wait_for(lambda: len(keep.gone) == 1)
    connect(server).send(b"far too long\n")
    wait_for(lambda: len(keep.gone) == 2)
    assert keep.gone[0][1] == ""
    assert "maximum" in keep.gone[1][1]
