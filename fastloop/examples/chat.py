"""A chat room for people with ``nc``: a handler that knows its connections.

    fastloop serve fastloop.examples.chat:handle --bind tcp://127.0.0.1:7002 --framing line
    nc 127.0.0.1 7002

A line is said to everybody else in the room; ``/nick NAME``, ``/who``, ``/quit`` and ``/help`` are
commands. Everyone is a guest until they take a name.
"""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING

from fastloop.reply import last

if TYPE_CHECKING:
    from fastloop import Connection

HELP = "/nick NAME takes a name, /who lists who is here, /quit leaves."
NAME = re.compile(r"[\w.-]{1,20}")


class Chat:
    """One room. ``conn.state`` is the name of who is there; ``people`` finds them by it."""

    def __init__(self) -> None:
        self.people: dict[str, Connection] = {}
        self.guests = count(1)

    def open(self, conn: Connection) -> None:
        """Let somebody in as a guest."""
        free = (f"guest{n}" for n in self.guests)
        name = conn.state = next(name for name in free if name not in self.people)
        self.people[name] = conn
        conn.send(f"Welcome, {name}. {HELP}")
        self.tell_others(conn, f"* {name} came in")

    def message(self, conn: Connection, line: bytes) -> object:
        """Obey a command, or tell everybody else; the reply goes to who wrote the line."""
        text = line.decode("utf-8", "replace").strip()
        if text.startswith("/"):
            command, _, rest = text.partition(" ")
            return self.obey(conn, command, rest.strip())
        if text:
            self.tell_others(conn, f"{conn.state}: {text}")
        return None

    def close(self, conn: Connection, reason: object) -> None:
        """Tell the others; the name is free again."""
        self.people.pop(conn.state, None)
        self.tell_others(conn, f"* {conn.state} left")

    def tell_others(self, conn: Connection, text: str) -> None:
        """Say something to everybody in the room but one: the server may have other listeners."""
        conn.server.broadcast(text, to=list(self.people.values()), exclude=conn)

    def obey(self, conn: Connection, command: str, rest: str) -> object:
        """Return the reply to one command."""
        match command:
            case "/nick":
                return self.rename(conn, rest)
            case "/who":
                return "Here: " + ", ".join(sorted(self.people))
            case "/quit":
                return last("Bye.")
            case "/help":
                return HELP
        return f"No such command: {command}. {HELP}"

    def rename(self, conn: Connection, name: str) -> str:
        """Give somebody a new name, if it is one and nobody has it."""
        if not NAME.fullmatch(name):
            return "A name is 1 to 20 letters, digits, dots, dashes or underscores."
        if name in self.people:
            return f"The name {name} is taken."
        before, conn.state = conn.state, name
        self.people.pop(before, None)
        self.people[name] = conn
        self.tell_others(conn, f"* {before} is now {name}")
        return f"You are {name}."


handle = Chat()
