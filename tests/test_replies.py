"""What handlers return, and how it looks on the wire; what cannot be sent; last words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from client import wait_for

from conftest import Connect, Serve
from fastloop import NOTHING, last, resp

Answers = Callable[..., bytes]


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (b"bytes", b"bytes\n"),
        ("text \u20ac", "text \u20ac\n".encode()),
        (-12, b"-12\n"),
        (None, b""),
        (NOTHING, b""),
        ([b"a", "b", 3, None], b"a\nb\n3\n"),
        ((b"a", b"b"), b"a\nb\n"),
        ([], b""),
        (bytearray(b"array"), b"array\n"),
        (memoryview(b"view"), b"view\n"),
        (type("Str", (str,), {})("s"), b"s\n"),
        (type("Int", (int,), {})(5), b"5\n"),
        ([type("Bytes", (bytes,), {})(b"b")], b"b\n"),
    ],
)
def test_replies(answers: Answers, reply: object, answer: bytes) -> None:
    """Between two plain ones, to see that each reply keeps its place."""
    replies = {b"1": b"first", b"2": reply, b"3": b"third"}
    assert answers(replies.__getitem__, b"1\n2\n3\n") == b"first\n" + answer + b"third\n"


@pytest.mark.parametrize(
    "reply", [object(), {1: 2}, {1}, 1.5, [[b"nested"]], 2**70, [object()], 1j, ...]
)
@pytest.mark.shared_state
def test_replies_of_a_wrong_type_close(
    answers: Answers, caplog: pytest.LogCaptureFixture, reply: object
) -> None:
    replies = {b"1": b"first", b"2": reply, b"3": b"third"}
    assert answers(replies.__getitem__, b"1\n2\n3\n") == b"first\n"
    wait_for(lambda: caplog.records)


@pytest.mark.shared_state
def test_a_reply_that_only_marshal_understands_ends_no_server(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(lambda line: wait_for.__code__ if line == b"code" else line)
    bad, good = connect(server), connect(server)
    bad.send(b"code\n")
    assert bad.rest() == b""
    good.send(b"still here\n")
    assert good.line() == b"still here\n"  # a turn later: what it is about was logged
    assert "no protocol can say" in caplog.text


def test_last_closes_and_later_messages_get_no_answer(serve: Serve, connect: Connect) -> None:
    """The client need not close for that, and the reply of any framing may be the last."""
    client = connect(serve(lambda line: last(b"bye") if line == b"quit" else line))
    client.send(b"a\nquit\nb\nc\n")
    assert client.rest() == b"a\nbye\n"


def test_last_of_none_closes_without_a_word(serve: Serve, connect: Connect) -> None:
    client = connect(serve(lambda line: last(None)))
    client.send(b"a\nb\n")
    assert client.rest() == b""


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (None, b"$-1\r\n"),
        (NOTHING, b""),
        (resp.Error("ERR text"), b"-ERR text\r\n"),
        ([1, resp.Error("ERR in")], b"*2\r\n:1\r\n-ERR in\r\n"),
        ([[resp.Error(b"ERR deep")]], b"*1\r\n*1\r\n-ERR deep\r\n"),
        (type("Status", (str,), {})("OK"), b"+OK\r\n"),
        ({"k": [True]}, b"*2\r\n+k\r\n*1\r\n:1\r\n"),
        (object(), b"-ERR internal error\r\n"),
        ([object()], b"-ERR internal error\r\n"),
        (2**70, b"-ERR internal error\r\n"),
    ],
)
def test_resp_replies(answers: Answers, reply: object, answer: bytes) -> None:
    replies = {b"1": "first", b"2": reply, b"3": "third"}
    commands = b"".join(b"*1\r\n$1\r\n%d\r\n" % n for n in (1, 2, 3))
    got = answers(lambda command: replies[command[0]], commands, framing="resp")
    assert got == b"+first\r\n" + answer + b"+third\r\n"


def test_resp_error_raised(answers: Answers, caplog: pytest.LogCaptureFixture) -> None:
    def handler(command: tuple[bytes, ...]) -> None:
        raise resp.Error("ERR raised")

    assert answers(handler, b"PING\r\n", framing="resp") == b"-ERR raised\r\n"
    assert not caplog.records
