"""Async handlers, on asyncio and on uvloop, and servers within a user's own asyncio program."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from typing import Any

import pytest
from client import wait_for
from stage import Stage

import fastloop
from fastloop import Connection, last

SOON = 0.01


def test_order_of_replies_is_that_of_messages(stage_async: Stage) -> None:
    """Although the last is finished first."""
    waiting: list[asyncio.Event] = []
    finished: list[bytes] = []

    async def handler(line: bytes) -> bytes:
        if line != b"5":
            gate = asyncio.Event()
            waiting.append(gate)
            await gate.wait()
        finished.append(line)
        if waiting:
            waiting.pop().set()
        return line

    client = stage_async.connect(stage_async.serve(handler))
    client.send(b"1\n2\n3\n4\n5\n")
    assert client.read(10) == b"1\n2\n3\n4\n5\n"
    assert finished == [b"5", b"4", b"3", b"2", b"1"]


def test_many_connections(stage_async: Stage) -> None:
    async def handler(line: bytes) -> bytes:
        await asyncio.sleep(0)
        return line.upper()

    server = stage_async.serve(handler)
    clients = [stage_async.connect(server) for _ in range(20)]
    for n in range(10):
        for client in clients:
            client.send(b"a%d\n" % n * 5)
        for client in clients:
            assert client.read(15) == b"A%d\n" % n * 5


def test_send_leaves_ahead_of_the_own_reply(stage_async: Stage) -> None:
    async def handler(connection: Connection, line: bytes) -> bytes:
        connection.send(b"first " + line)
        await asyncio.sleep(0)
        connection.send(b"then " + line)
        return line

    client = stage_async.connect(stage_async.serve(handler))
    client.send(b"a\nb\n")
    client.finish()
    assert client.rest() == b"first a\nthen a\na\nfirst b\nthen b\nb\n"


def test_object_with_an_async_message(stage_async: Stage) -> None:
    class Greeter:
        def open(self, connection: Connection) -> None:
            connection.send(b"hello")

        async def message(self, line: bytes) -> bytes:
            await asyncio.sleep(0)
            return line

    client = stage_async.connect(stage_async.serve(Greeter))
    assert client.line() == b"hello\n"
    assert client.ask(b"a\n") == b"a\n"


def test_raising(stage_async: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The earlier replies arrive, also those that come later; the later messages get none."""

    async def handler(line: bytes) -> bytes:
        if line == b"slow":
            await asyncio.sleep(SOON)
        if line == b"bad":
            raise LookupError("no such thing")
        return line

    client = stage_async.connect(stage_async.serve(handler))
    client.send(b"slow\n2\nbad\n4\nslow\n")
    assert client.rest() == b"slow\n2\n"
    assert "LookupError" in caplog.text


def test_raising_in_resp(stage_async: Stage) -> None:
    async def handler(command: tuple[bytes, ...]) -> str:
        if command == (b"bad",):
            raise LookupError("no such thing")
        if command == (b"own",):
            raise fastloop.resp.Error("ERR own")
        return "OK"

    client = stage_async.connect(stage_async.serve(handler, framing="resp"))
    client.send(b"bad\r\ngood\r\nown\r\n")
    assert [client.line() for _ in range(3)] == [
        b"-ERR internal error\r\n",
        b"+OK\r\n",
        b"-ERR own\r\n",
    ]


def test_last(stage_async: Stage) -> None:
    async def handler(line: bytes) -> Any:
        if line == b"slow":
            await asyncio.sleep(SOON)
        return last(b"bye") if line == b"quit" else line

    client = stage_async.connect(stage_async.serve(handler))
    client.send(b"slow\nquit\nc\nslow\n")
    assert client.rest() == b"slow\nbye\n"


def test_more_messages_than_may_be_in_flight(stage_async: Stage) -> None:
    async def handler(line: bytes) -> bytes:
        await asyncio.sleep(0)
        return line

    client = stage_async.connect(stage_async.serve(handler))
    lines = b"".join(b"%d\n" % n for n in range(5000))
    sender = threading.Thread(target=client.send, args=(lines,))
    sender.start()
    assert client.read(len(lines)) == lines
    sender.join()


def test_reset_while_a_handler_runs(stage_async: Stage) -> None:
    entered, ended = threading.Event(), threading.Event()

    async def handler(line: bytes) -> bytes:
        if line == b"slow":
            entered.set()
            await asyncio.to_thread(ended.wait, 20)
        return line

    server = stage_async.serve(handler)
    client = stage_async.connect(server)
    client.send(b"slow\n")
    assert entered.wait(20)
    client.reset()
    assert stage_async.connect(server).ask(b"a\n") == b"a\n"
    ended.set()
    wait_for(lambda: server.stats().connections == 1)


def test_timers(stage_async: Stage) -> None:
    server = stage_async.serve(nothing)
    calls: list[int] = []
    for n in (3, 1, 2):
        server.call_later(n * SOON, calls.append, n)
    wait_for(lambda: len(calls) == 3)
    assert calls == [1, 2, 3]


def test_stop_waits_for_slow_replies(stage_async: Stage) -> None:
    entered = threading.Event()

    async def handler(line: bytes) -> bytes:
        entered.set()
        await asyncio.sleep(10 * SOON)
        return b"done"

    server = stage_async.serve(handler)
    client = stage_async.connect(server)
    client.send(b"a\n")
    assert entered.wait(20)
    server.stop()
    assert client.rest() == b"done\n"


def test_stop_at_once_cancels(stage_async: Stage) -> None:
    entered, cancelled = threading.Event(), threading.Event()

    async def handler(line: bytes) -> None:
        entered.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    server = stage_async.serve(handler)
    client = stage_async.connect(server)
    client.send(b"a\n")
    assert entered.wait(20)
    server.stop(drain=0)
    assert cancelled.is_set()


def test_a_task_that_swallows_its_cancellation_is_left(
    stage_async: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    entered, let_go = threading.Event(), threading.Event()

    async def handler(line: bytes) -> None:
        entered.set()
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    server = stage_async.serve(handler)
    stage_async.connect(server).send(b"a\n")
    assert entered.wait(20)
    stops = threading.Thread(target=server.stop, kwargs={"drain": 0}, daemon=True)
    stops.start()
    stops.join(20)
    let_go.set()
    assert not stops.is_alive()
    assert "does not end by its cancellation" in caplog.text


async def nothing(message: bytes) -> None:
    """Answers nothing."""


@pytest.mark.parametrize("backend", ["poll", "select"])
def test_backends_that_asyncio_cannot_wait_for(backend: str) -> None:
    server = fastloop.Server(nothing, "tcp://127.0.0.1:0", framing="line", backend=backend)
    with pytest.raises(fastloop.ConfigError, match=backend):
        server.start()


def test_two_threads(stage_async: Stage) -> None:
    """Each with an asyncio loop of its own."""
    loops: set[int] = set()

    async def handler(line: bytes) -> bytes:
        loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0)
        return line

    server = stage_async.serve(handler, threads=2)
    for _ in range(40):
        assert stage_async.connect(server).ask(b"a\n") == b"a\n"
    assert len(loops) == (2 if sys.platform == "linux" else len(loops))
