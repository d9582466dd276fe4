"""The kinds of handlers: functions, objects, classes, batches and what they raise."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from client import wait_for

import fastloop
from conftest import Connect, Serve
from fastloop import Connection, batch

Answers = Callable[..., bytes]


def fail_on_bad(message: Any) -> Any:
    """Raises for some messages; echoes the others."""
    word = message[0] if isinstance(message, tuple) else message
    if word == b"bad":
        raise LookupError("no such thing")
    if word == b"stop":
        raise StopIteration
    if word == b"cancel":
        raise asyncio.CancelledError
    if word == b"exit":
        raise GeneratorExit
    return word


# -- how they are called --


def test_function_of_the_message(answers: Answers) -> None:
    assert answers(lambda line: line.upper(), b"a\nb\n") == b"A\nB\n"


def test_builtin_function(answers: Answers) -> None:
    assert answers(bytes.swapcase, b"aB\n") == b"Ab\n"


def test_function_of_connection_and_message(answers: Answers) -> None:
    def handler(connection: Connection, line: bytes) -> bytes:
        assert isinstance(connection, Connection)
        return line * 2

    assert answers(handler, b"ab\n" * 3) == b"abab\n" * 3


class Visitors:
    """Greets whoever comes, and keeps a list of who went."""

    def __init__(self) -> None:
        self.gone: list[tuple[Any, str]] = []

    def open(self, connection: Connection) -> None:
        connection.state = 0
        connection.send("hello")

    def message(self, connection: Connection, line: bytes) -> str:
        connection.state += 1
        return f"{connection.state} {line.decode()}"

    def close(self, connection: Connection, reason: str) -> None:
        self.gone.append((connection.state, reason))


@pytest.mark.shared_state
def test_object(answers: Answers) -> None:
    visitors = Visitors()
    assert answers(visitors, b"a\nb\n") == b"hello\n1 a\n2 b\n"
    wait_for(lambda: visitors.gone)
    assert visitors.gone == [(2, "")]


def test_class_is_instantiated(answers: Answers) -> None:
    assert answers(Visitors, b"a\n") == b"hello\n1 a\n"


@pytest.mark.shared_state
def test_batch_gets_all_messages_at_once(answers: Answers) -> None:
    sizes = []

    @batch
    def handler(lines: list[bytes]) -> list[bytes]:
        sizes.append(len(lines))
        return lines[::-1]

    assert answers(handler, b"a\nb\nc\n") == b"c\nb\na\n"
    assert sizes == [3]


def test_batch_with_connections(answers: Answers) -> None:
    @batch
    def handler(connections: list[Connection], lines: list[bytes]) -> list[str]:
        assert len(connections) == len(lines) == 2
        assert len(set(connections)) == 1
        return [connection.peer.split(":")[0] for connection in connections]

    assert answers(handler, b"a\nb\n") == b"127.0.0.1\n127.0.0.1\n"


@pytest.mark.parametrize("replies", [[b"one"], [b"one", b"two", b"three"], 7])
@pytest.mark.shared_state
def test_batch_with_wrong_count_fails_whole(
    answers: Answers, caplog: pytest.LogCaptureFixture, replies: Any
) -> None:
    command = b"*1\r\n$1\r\na\r\n"
    answer = answers(batch(lambda messages: replies), command * 2, framing="resp")
    assert answer == b"-ERR internal error\r\n" * 2
    assert "failed" in caplog.text


@pytest.mark.parametrize("handler", [7, None, lambda: None, lambda a, b, c: None, object()])
def test_what_cannot_be_called_is_refused(backend: str, handler: Any) -> None:
    with pytest.raises(fastloop.ConfigError, match="handler"):
        fastloop.Server(handler, "tcp://127.0.0.1:0", framing="raw", backend=backend)


class AsyncOpen:
    """Nobody would await its open()."""

    async def open(self, connection: Connection) -> None: ...
    async def message(self, message: bytes) -> None: ...


async def async_batch(messages: list[bytes]) -> list[bytes]:
    """Asks for what there is not: a batch that is awaited."""
    return messages


@pytest.mark.parametrize("handler", [AsyncOpen, batch(async_batch)])
def test_async_where_nobody_awaits_is_refused(handler: Any) -> None:
    with pytest.raises(fastloop.ConfigError, match="async"):
        fastloop.Server(handler, "tcp://127.0.0.1:0", framing="line")


# -- what they raise --


@pytest.mark.parametrize("word", [b"bad", b"stop"])
@pytest.mark.shared_state
def test_raising_closes_after_the_earlier_replies(
    answers: Answers, caplog: pytest.LogCaptureFixture, word: bytes
) -> None:
    """What was asked later must not be taken for the answer to what failed."""
    assert answers(fail_on_bad, b"1\n2\n" + word + b"\n4\n5\n") == b"1\n2\n"
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "fail_on_bad" in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize("word", [b"bad", b"stop", b"cancel", b"exit"])
def test_raising_in_resp_harms_only_its_own_message(answers: Answers, word: bytes) -> None:
    commands = b"".join(b"*1\r\n$%d\r\n%s\r\n" % (len(w), w) for w in (b"1", word, b"3", word))
    error = b"-ERR internal error\r\n"
    assert answers(fail_on_bad, commands, framing="resp") == (
        b"$1\r\n1\r\n" + error + b"$1\r\n3\r\n" + error
    )


def test_raising_leaves_other_connections_alone(serve: Serve, connect: Connect) -> None:
    server = serve(fail_on_bad)
    steady, failing = connect(server), connect(server)
    assert steady.ask(b"1\n") == b"1\n"
    failing.send(b"bad\n")
    assert failing.rest() == b""
    assert steady.ask(b"2\n") == b"2\n"


@pytest.mark.shared_state
def test_raising_in_open_and_close_is_logged(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    class Clumsy:
        def open(self, connection: Connection) -> None:
            raise LookupError("open")

        def message(self, line: bytes) -> bytes:
            return line

        def close(self, connection: Connection, reason: str) -> None:
            raise LookupError("close")

    client = connect(serve(Clumsy))
    assert client.ask(b"a\n") == b"a\n"
    client.close()
    wait_for(lambda: caplog.text.count("failed") == 2)


# -- in threads --


@pytest.mark.event_loop
def test_blocking_keeps_the_order_of_a_connection(answers: Answers) -> None:
    """Each message sees what the ones before it did."""
    seen: list[bytes] = []

    def handler(line: bytes) -> int:
        seen.append(line)
        return len(seen)

    lines = [b"%d" % n for n in range(200)]
    answer = answers(handler, b"\n".join(lines) + b"\n", blocking=4)
    assert answer == b"".join(b"%d\n" % n for n in range(1, 201))
    assert seen == lines


@pytest.mark.event_loop
def test_blocking_runs_connections_in_parallel(serve: Serve, connect: Connect) -> None:
    """Each of four handlers waits until all four are there."""
    barrier = threading.Barrier(4, timeout=20)
    server = serve(lambda line: b"%d" % (barrier.wait() * 0 + 1), blocking=4)
    clients = [connect(server) for _ in range(4)]
    for client in clients:
        client.send(b"a\n")
    assert [client.line() for client in clients] == [b"1\n"] * 4


@pytest.mark.event_loop
def test_blocking_handler_that_raises(answers: Answers) -> None:
    assert answers(fail_on_bad, b"1\nbad\n3\n", blocking=2) == b"1\n"
