"""Peers that leave, reset, say nothing, or take nothing; and the limits that meet them."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest
from client import Client, wait_for
from stage import Keep

from conftest import Connect, Serve
from fastloop.framing import Line

KIB = 1024
MIB = 1024 * KIB


def echo(line: bytes) -> bytes:
    """Answers a line with itself."""
    return line


# -- peers that leave --


@pytest.mark.parametrize("blocking", [0, 1])
def test_half_close(serve: Serve, connect: Connect, blocking: int) -> None:
    """Everything asked before it is answered; then the server closes."""
    client = connect(serve(echo, blocking=blocking))
    client.send(b"".join(b"%d\n" % n for n in range(1000)))
    client.finish()
    assert client.rest() == b"".join(b"%d\n" % n for n in range(1000))


@pytest.mark.shared_state
def test_half_a_message(serve: Serve, connect: Connect) -> None:
    """It is no message: nobody hears of it."""
    calls: list[bytes] = []
    server = serve(calls.append)
    client = connect(server)
    client.send(b"whole\nhal")
    client.finish()
    assert client.rest() == b""
    assert calls == [b"whole"]


@pytest.mark.shared_state
def test_reset(serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """With messages, half a message, and unread answers under way: silent, and harmless."""
    keep = Keep()
    server = serve(keep)
    steady = connect(server)
    for data in (b"", b"a\n", b"half", b"a\n" * 1000):
        client = connect(server)
        client.send(data)
        client.reset()
        assert steady.ask(b"steady\n") == b"steady\n"
    wait_for(lambda: len(keep.gone) == 4)
    assert not caplog.records


def test_reset_by_a_peer_that_took_nothing(serve: Serve, connect: Connect) -> None:
    """The server waits to write, and not to read, when the reset comes."""
    server = serve(lambda line: bytes(8 * MIB))
    client = connect(server)
    client.send(b"a\n")
    wait_for(lambda: server.stats().unsent > 0)
    client.reset()
    wait_for(lambda: server.stats().connections == 0)
    wait_for(lambda: server.stats().unsent == 0)


# -- peers that read nothing --


def test_back_pressure(serve: Serve, connect: Connect) -> None:
    """Not read while it takes nothing; memory is bounded; others are served; then it goes on."""
    high, size, count = 64 * KIB, 4 * KIB, 20_000
    server = serve(lambda line: line * size, high_water=high, low_water=high // 2)
    client, other = connect(server), connect(server)
    sender = threading.Thread(target=client.send, args=(b"a\n" * count,))
    sender.start()
    wait_for(lambda: server.stats().unsent > high)
    for _ in range(10):
        assert other.ask(b"b\n") == b"b" * size + b"\n"
    stalled = server.stats()
    assert stalled.unsent <= high + 64 * (size + 1)
    assert stalled.messages < count
    for _ in range(count):
        assert len(client.line()) == size + 1
    sender.join()
    wait_for(lambda: server.stats().unsent == 0)


@pytest.mark.shared_state
def test_write_timeout(serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    keep = Keep()
    keep.message = lambda line: bytes(8 * MIB)  # type: ignore[method-assign]
    server = serve(keep, write_timeout=0.2)
    connect(server).send(b"a\n")
    wait_for(lambda: keep.gone)
    assert "nothing" in keep.gone[0][1]
    wait_for(lambda: "write_timeout" in caplog.text)


def test_write_timeout_spares_the_slow(serve: Serve, connect: Connect) -> None:
    """Whoever takes a little now and then is not closed, even where the kernel, which holds
    megabytes for it, wants no more from us for longer than the timeout.
    """
    size = 8 * MIB
    server = serve(lambda line: bytes(size), write_timeout=1.5)
    client = connect(server, receive_buffer=32 * KIB)
    client.send(b"a\n")
    for _ in range(22):
        time.sleep(0.1)
        assert len(client.read(32 * KIB)) == 32 * KIB
    assert len(client.read(size + 1 - 22 * 32 * KIB)) == size + 1 - 22 * 32 * KIB


@pytest.mark.shared_state
def test_max_unsent(serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """What is sent without being asked for is not held back, so it is limited."""
    keep = Keep()
    server = serve(keep, max_unsent=8 * MIB)
    lazy, eager = connect(server), connect(server)
    wait_for(lambda: len(keep.open_) == 2)
    for _ in range(40):
        server.broadcast(bytes(MIB))
        assert len(eager.read(MIB + 1)) == MIB + 1
    wait_for(lambda: keep.gone)
    assert len(keep.gone) == 1
    wait_for(lambda: "max_unsent" in caplog.text)
    with pytest.raises(ConnectionResetError):
        lazy.rest()


# -- peers that say nothing --


@pytest.mark.shared_state
def test_idle_timeout(serve: Serve, connect: Connect) -> None:
    """Closes who says nothing; who talks, stays."""
    keep = Keep()
    server = serve(keep, idle_timeout=0.6)
    silent, talking = connect(server), connect(server)
    wait_for(lambda: len(keep.open_) == 2)
    while not keep.gone:
        assert talking.ask(b"a\n") == b"a\n"
        time.sleep(0.02)
    assert silent.rest() == b""
    assert keep.gone[0][0] == keep.open_[0]
    assert talking.ask(b"a\n") == b"a\n"


@pytest.mark.event_loop
def test_idle_timeout_waits_for_handlers(serve: Serve, connect: Connect) -> None:
    def handler(line: bytes) -> bytes:
        time.sleep(0.8)
        return line

    client = connect(serve(handler, idle_timeout=0.2, blocking=1))
    assert client.ask(b"a\n") == b"a\n"


# -- answers to errors --


def test_lingering_close(serve: Serve, connect: Connect) -> None:
    """The answer arrives although the client goes on sending: no reset eats it."""
    server = serve(lambda command: "OK", framing="resp", linger=5.0)
    client = connect(server)
    client.send(b"*1\r\n$-5\r\n")
    for _ in range(64):
        client.send(bytes(64 * KIB))
    assert client.line().startswith(b"-ERR Protocol error")
    assert client.rest() == b""


def test_linger_ends(serve: Serve, connect: Connect) -> None:
    """A peer that never closes does not keep the connection."""
    server = serve(echo, framing=Line(max=4), linger=0.1)
    client = connect(server)
    client.send(b"far too long\n")
    assert client.rest() == b""
    wait_for(lambda: server.stats().connections == 0)


@pytest.mark.parametrize("framing", ["resp", "line"])
def test_max_connections(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture, framing: str
) -> None:
    """One too many is told so where the protocol has a word for it; then there is room again."""
    server = serve(lambda message: b"x", framing=framing, max_connections=2)
    first, second = connect(server), connect(server)
    assert first.ask(b"a\n") == second.ask(b"a\n")
    busy = b"-ERR max number of clients reached\r\n" if framing == "resp" else b""
    assert connect(server).rest() == busy
    assert server.stats().refused == 1
    assert second.ask(b"a\n")
    wait_for(lambda: "max_connections" in caplog.text)
    first.close()
    wait_for(lambda: server.stats().connections == 1)
    assert connect(server).ask(b"a\n")


# -- peers that say too much --


def test_flood_does_not_starve_others(serve: Serve, connect: Connect) -> None:
    """Some who always have more to say than fits in a batch, and one who asks now and then."""
    server = serve(lambda line: line or None)
    polite = connect(server)
    ended = threading.Event()

    def flood(client: Client) -> None:
        client.sock.settimeout(0.05)
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                client.sock.send(b"\n" * 64 * KIB)
        client.reset()  # what is under way is millions of messages

    flooders = [threading.Thread(target=flood, args=(connect(server),)) for _ in range(20)]
    for thread in flooders:
        thread.start()
    try:
        wait_for(lambda: server.stats().messages > 20_000)
        for n in range(20):
            assert polite.ask(b"%d\n" % n) == b"%d\n" % n
    finally:
        ended.set()
        for thread in flooders:
            thread.join()
