"""The option slow_handler. Handlers stay until the log tells of them: speed decides nothing."""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import pytest
from client import TIMEOUT, wait_for
from stage import Stage

import fastloop
from conftest import Connect, Serve
from fastloop import watchdog
from fastloop.config import Config

LIMIT = 0.02
"""Seconds: nothing here takes less that is to be told of."""

pytestmark = pytest.mark.event_loop


class Told:
    """Whether a handler is told of, for the handler itself."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def __call__(self) -> list[str]:
        return [
            record.getMessage()
            for record in self._caplog.records
            if "slow_handler" in record.getMessage()
        ]

    def of_handler(self) -> list[str]:
        """On a busy machine something else may take too long as well, and is told of too."""
        return [message for message in self() if "in handler" in message]

    def stay(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not self.of_handler():
            assert time.monotonic() < deadline, "nobody tells of this handler"
            time.sleep(0.002)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    caplog.set_level(logging.WARNING)
    return Told(caplog)


def dawdle(told: Told) -> None:
    told.stay()


def test_the_stack_is_that_of_the_handler(serve: Serve, connect: Connect, told: Told) -> None:
    def handler(line: bytes) -> bytes:
        dawdle(told)
        return line

    client = connect(serve(handler, slow_handler=LIMIT))
    assert client.ask(b"a\n") == b"a\n"
    (message,) = told.of_handler()
    lines = message.splitlines()
    assert "0.02 s" in lines[0]
    assert "in handler" in lines[1]
    assert "in dawdle" in message
    assert "slices.py" not in message


def test_the_same_place_is_told_of_once(serve: Serve, connect: Connect, told: Told) -> None:
    calls: list[Callable[[], None]] = [told.stay, lambda: time.sleep(4 * LIMIT)]

    def handler(line: bytes) -> bytes:
        calls.pop(0)()
        return line

    client = connect(serve(handler, slow_handler=LIMIT))
    assert client.ask(b"a\n") == b"a\n"
    assert client.ask(b"b\n") == b"b\n"
    assert len(told.of_handler()) == 1


def test_each_loop_thread_is_watched(
    serve: Serve, connect: Connect, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both, one after the other, whichever the kernel gives the connections to."""
    monkeypatch.setattr(watchdog, "AGAIN", 0.0)
    stayed: set[int] = set()

    def handler(line: bytes) -> bytes:
        if threading.get_ident() not in stayed:
            before = len(told.of_handler())
            wait_for(lambda: len(told.of_handler()) > before)
            stayed.add(threading.get_ident())
        return line

    server = serve(handler, slow_handler=LIMIT, threads=2)
    deadline = time.monotonic() + TIMEOUT
    while len(stayed) < 2 and time.monotonic() < deadline:
        assert connect(server).ask(b"a\n") == b"a\n"
    assert len(stayed) == 2


def test_a_handler_that_keeps_the_gil(serve: Serve, connect: Connect, told: Told) -> None:
    """Is told of when it is over."""

    def handler(line: bytes) -> bytes:
        ctypes.PyDLL(None).usleep(int(5 * LIMIT * 1e6))
        return line

    client = connect(serve(handler, slow_handler=LIMIT))
    assert client.ask(b"a\n") == b"a\n"
    wait_for(told)


def test_async_handlers(stage_async: Stage, told: Told) -> None:
    async def handler(line: bytes) -> bytes:
        dawdle(told)
        return line

    server = stage_async.serve(handler, slow_handler=LIMIT)
    assert stage_async.connect(server).ask(b"a\n") == b"a\n"
    (message,) = told.of_handler()
    assert "in handler" in message.splitlines()[1]


def test_handlers_in_worker_threads_hold_no_loop(
    serve: Serve, connect: Connect, told: Told
) -> None:
    def handler(line: bytes) -> bytes:
        time.sleep(4 * LIMIT)
        return line

    client = connect(serve(handler, slow_handler=10.0, blocking=1))
    assert client.ask(b"a\n") == b"a\n"
    assert told() == []


class TestReport:
    """What is said, and how often."""

    @pytest.fixture
    def dog(self) -> Iterator[watchdog.Watchdog]:
        dog = watchdog.Watchdog(Config(slow_handler=0.5), [], is_async=False)
        yield dog
        dog.stop()
        dog.stop()
        dog.free()
        dog.free()

    def test_a_place_is_told_of_again_after_a_while(
        self, dog: watchdog.Watchdog, told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 0.0
        monkeypatch.setattr(watchdog, "monotonic", lambda: now)
        frames = [traceback.FrameSummary("a.py", 3, "slow", lookup_line=False)]
        other = [traceback.FrameSummary("a.py", 9, "slower", lookup_line=False)]
        for seconds in (0.0, 1.0, 59.0):
            now = seconds
            dog._report(frames)
            dog._report(other)
        assert len(told()) == 2
        now = 61.0
        dog._report(frames)
        assert len(told()) == 3

    def test_one_that_is_over(self, dog: watchdog.Watchdog, told: Told) -> None:
        dog._report([])
        dog._report([])
        (message,) = told()
        assert "is done" in message

    def test_a_thread_without_users_code(self) -> None:
        class Nobody:
            thread = None

        assert watchdog.stack_of(Nobody()) == []  # type: ignore[arg-type]
        assert watchdog.users(sys._getframe())[-1].name == "test_a_thread_without_users_code"

    def test_examples_count_as_users_code(self) -> None:
        assert watchdog.is_ours(watchdog.OURS / "http" / "answer.py")
        assert not watchdog.is_ours(watchdog.EXAMPLES / "kv" / "__init__.py")


def test_it_ends_with_the_server() -> None:
    with fastloop.Server(bytes.upper, "tcp://127.0.0.1:0", framing="line", slow_handler="1h"):
        assert "fastloop-watchdog" in {thread.name for thread in threading.enumerate()}
    assert "fastloop-watchdog" not in {thread.name for thread in threading.enumerate()}


def test_nobody_is_watched_unless_asked_for() -> None:
    with fastloop.Server(bytes.upper, "tcp://127.0.0.1:0", framing="line"):
        assert "fastloop-watchdog" not in {thread.name for thread in threading.enumerate()}
