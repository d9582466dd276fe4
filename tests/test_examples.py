"""The small examples, without a server: echo, chat with connections that only note, and score."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest

from fastloop import resp
from fastloop._ffi import lib
from fastloop.examples import chat, echo, score
from fastloop.reply import last

# -- echo --


@pytest.mark.parametrize("line", [b"", b"hello", b"\x00\xff"])
def test_echo(line: bytes) -> None:
    assert echo.handle(line) == line


# -- chat --


class Server:
    """Broadcasts as a server does: to those named, but one."""

    def broadcast(
        self, text: str, *, to: Iterable[Connection], exclude: Connection | None = None
    ) -> None:
        for conn in to:
            if conn is not exclude:
                conn.send(text)


class Connection:
    """Notes what it was sent."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.state: Any = None
        self.got: list[str] = []

    def send(self, text: str) -> None:
        self.got.append(text)

    def news(self) -> list[str]:
        """What came since this was last asked."""
        news, self.got = self.got, []
        return news


class Room:
    """A chat with people in it."""

    def __init__(self) -> None:
        self.server = Server()
        self.chat = chat.Chat()

    def enter(self) -> Connection:
        conn = Connection(self.server)
        self.chat.open(conn)
        return conn

    def say(self, conn: Connection, text: str) -> Any:
        return self.chat.message(conn, text.encode())


@pytest.fixture
def room() -> Room:
    return Room()


def test_guests_are_welcomed_and_announced(room: Room) -> None:
    first, second = room.enter(), room.enter()
    assert first.news() == [f"Welcome, guest1. {chat.HELP}", "* guest2 came in"]
    assert second.news() == [f"Welcome, guest2. {chat.HELP}"]


def test_a_line_goes_to_everybody_else(room: Room) -> None:
    people = [room.enter() for _ in range(3)]
    for conn in people:
        conn.news()
    assert room.say(people[1], "hello\r") is None
    assert [conn.news() for conn in people] == [["guest2: hello"], [], ["guest2: hello"]]


def test_an_empty_line_says_nothing(room: Room) -> None:
    people = [room.enter(), room.enter()]
    for conn in people:
        conn.news()
    assert room.say(people[0], "  ") is None
    assert people[1].news() == []


def test_bytes_that_are_no_text_do_no_harm(room: Room) -> None:
    people = [room.enter(), room.enter()]
    people[1].news()
    assert room.chat.message(people[0], b"\xff!") is None
    assert people[1].news() == ["guest1: \N{REPLACEMENT CHARACTER}!"]


def test_names_are_taken_changed_and_freed(room: Room) -> None:
    ann, bob = room.enter(), room.enter()
    ann.news(), bob.news()
    assert room.say(ann, "/nick ann") == "You are ann."
    assert bob.news() == ["* guest1 is now ann"]
    assert room.say(bob, "/nick ann") == "The name ann is taken."
    assert room.say(bob, "/who") == "Here: ann, guest2"
    assert room.say(ann, "/nick anna") == "You are anna."
    assert room.say(bob, "/nick ann") == "You are ann."
    room.chat.close(bob, 0)
    assert room.say(ann, "/nick ann") == "You are ann."
    assert room.say(ann, "/who") == "Here: ann"


@pytest.mark.parametrize("name", ["", "two words", "x" * 21, "nötig!", "a\x1b[31m"])
def test_bad_names_are_refused(room: Room, name: str) -> None:
    conn = room.enter()
    assert room.say(conn, f"/nick {name}").startswith("A name is")
    assert conn.state == "guest1"


def test_a_guest_does_not_get_a_name_that_somebody_took(room: Room) -> None:
    first = room.enter()
    assert room.say(first, "/nick guest2") == "You are guest2."
    assert room.enter().state == "guest3"
    assert room.say(first, "/who") == "Here: guest2, guest3"


def test_leaving(room: Room) -> None:
    first, second = room.enter(), room.enter()
    first.news()
    assert room.say(second, "/quit") == last("Bye.")
    room.chat.close(second, 0)
    assert first.news() == ["* guest2 left"]
    assert room.say(first, "/who") == "Here: guest1"


def test_unknown_commands_are_explained(room: Room) -> None:
    conn = room.enter()
    assert room.say(conn, "/dance now") == f"No such command: /dance. {chat.HELP}"
    assert room.say(conn, "/help") == chat.HELP


# -- score --

LINES = [
    b"0 0 0 0",
    b"5.1,3.5,1.4,0.2",
    b"1e308 1e308 1e308 1e308",
    b"-1e308 1e308 0 0",
    b"1 2 3 4",
]


def test_scores_are_those_of_the_model() -> None:
    wanted = 1 / (1 + math.exp(6.0))
    assert score.handle([b"0 0 0 0"]) == [b"%.6f" % wanted]
    assert score.handle([b"0,0, 0  0"]) == [b"%.6f" % wanted]


def test_a_bad_line_costs_only_its_own_answer() -> None:
    good = score.handle(LINES)
    bad = [b"", b"1 2 3", b"1 2 3 4 5", b"1 2 3 x", b"1 2 3 nan", b"\xff"]
    mixed = score.handle([line for pair in zip(LINES, bad, strict=False) for line in pair])
    assert mixed[::2] == good
    assert all(answer.startswith(b"error: ") for answer in mixed[1::2])
    assert score.handle([b"x", b""]) == [
        b"error: numbers only, separated by spaces or commas",
        b"error: 4 numbers wanted, 0 given",
    ]


def test_with_numpy_and_without_it_is_the_same() -> None:
    pytest.importorskip("numpy")
    rows = [row for row in map(score.parse, LINES) if not isinstance(row, str)]
    assert score.predict_matrix(rows) == pytest.approx(score.predict_plain(rows))


# -- replies beyond plain values --


def test_escapes_begin_with_the_mark() -> None:
    error = resp.Error("ERR no such key")
    assert resp.encode(error) == (StopIteration, lib.FL_RESP_ERROR, "ERR no such key")
    assert resp.push([b"a", 1]) == (StopIteration, lib.FL_RESP_PUSH, [b"a", 1])
    assert resp.hello(3, {b"k": 1}) == (StopIteration, lib.FL_RESP_HELLO, 3, {b"k": 1})
    assert last(b"bye") == (StopIteration, lib.FL_LAST, b"bye")
    with pytest.raises(ValueError, match="only 2 and 3"):
        resp.hello(4, None)
