"""Wire order is call order, in handlers and from other threads; broadcasts."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from client import Client, wait_for
from stage import Keep

from conftest import Connect, Serve
from fastloop import Connection

Answers = Callable[..., bytes]


@pytest.mark.parametrize("blocking", [0, 3])
def test_send_leaves_between_the_replies(answers: Answers, blocking: int) -> None:
    """After those of earlier messages, ahead of the handler's own."""

    def handler(connection: Connection, line: bytes) -> bytes:
        connection.send(b"before " + line)
        connection.send(b"and")
        return line

    expected = b"".join(b"before %d\nand\n%d\n" % (n, n) for n in range(40))
    lines = b"".join(b"%d\n" % n for n in range(40))
    assert answers(handler, lines, blocking=blocking) == expected


def test_send_from_a_failing_handler(answers: Answers) -> None:
    def handler(connection: Connection, line: bytes) -> bytes:
        connection.send(b"said")
        raise LookupError

    assert answers(handler, b"a\nb\n") == b"said\n"


@pytest.mark.shared_state
def test_send_to_another_connection(serve: Serve, connect: Connect) -> None:
    keep = Keep()

    def handler(connection: Connection, line: bytes) -> bytes:
        for other in keep.open_:
            if other != connection:
                other.send(b"heard " + line)
        return line

    keep.message = handler  # type: ignore[method-assign, assignment]
    server = serve(keep)
    first, second = connect(server), connect(server)
    wait_for(lambda: len(keep.open_) == 2)
    assert first.ask(b"a\n") == b"a\n"
    assert second.line() == b"heard a\n"


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.shared_state
def test_broadcast(serve: Serve, connect: Connect, size: int) -> None:
    """To all, to some, to all but one; short ones and such as are shared."""
    keep = Keep()
    server = serve(keep)
    clients = []
    for n in range(5):
        clients.append(connect(server))
        wait_for(lambda n: len(keep.open_) > n, n)
    server.broadcast(b"1" * size)
    server.broadcast(b"2" * size, to=keep.open_[1:3])
    server.broadcast(b"3" * size, exclude=keep.open_[0])
    server.broadcast(b"4" * size, to=keep.open_, exclude=keep.open_[4])
    for n, expected in enumerate([b"14", b"1234", b"1234", b"134", b"13"]):
        for digit in expected:
            assert clients[n].line() == bytes([digit]) * size + b"\n"
        assert clients[n].ask(b"end\n") == b"end\n"


@pytest.mark.event_loop
def test_broadcast_over_threads(serve: Serve, connect: Connect) -> None:
    keep = Keep()
    server = serve(keep, threads=2)
    clients = [connect(server) for _ in range(16)]
    wait_for(lambda: len(keep.open_) == 16)
    server.broadcast(b"all")
    server.broadcast(b"some", to=keep.open_)
    for client in clients:
        assert client.read(9) == b"all\nsome\n"


@pytest.mark.shared_state
def test_from_another_thread(serve: Serve, connect: Connect) -> None:
    """Sends, closes, and calls on the loop's thread, in the order in which they were said."""
    keep = Keep()
    server = serve(keep)
    client = connect(server)
    wait_for(lambda: keep.open_)
    [connection] = keep.open_
    idents: list[int] = []
    server.call_soon_threadsafe(lambda: idents.append(threading.get_ident()))
    for n in range(100):
        connection.send(b"%d" % n)
    connection.close()
    assert client.rest() == b"".join(b"%d\n" % n for n in range(100))
    wait_for(lambda: idents)  # a thread per connection writes beside the loop's
    assert idents[0] != threading.get_ident()


@pytest.mark.shared_state
def test_broadcast_in_each_framing(serve: Serve) -> None:
    """To the connections of all addresses, to each as its own protocol has it."""
    keep = Keep()
    framings = {"tcp://127.0.0.1:0": "line", "resp://127.0.0.1:0": "resp"}
    server = serve(dict.fromkeys(framings, keep), framing=framings)
    ports = [int(address.rpartition(":")[2]) for address in server.addresses]
    with Client(("127.0.0.1", ports[0])) as lines, Client(("127.0.0.1", ports[1])) as commands:
        wait_for(lambda: len(keep.open_) == 2)
        server.broadcast(b"news")
        assert lines.line() == b"news\n"
        assert commands.read(10) == b"$4\r\nnews\r\n"


@pytest.mark.parametrize("value", [{1: 2}, object()])
@pytest.mark.shared_state
def test_broadcast_of_what_cannot_be_sent(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture, value: object
) -> None:
    """It is logged; no receiver is to blame, and none is closed."""
    keep = Keep()
    server = serve(keep)
    clients = [connect(server) for _ in range(3)]
    wait_for(lambda: len(keep.open_) == 3)
    server.broadcast(value)
    wait_for(lambda: caplog.records)
    for client in clients:
        assert client.ask(b"a\n") == b"a\n"
