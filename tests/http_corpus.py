r"""The request corpus: bytes as a client sends them, and what they mean, in tests/http/*.txt.

    === chunk size with an underscore          a case and its name
    # CVE-2023-47627: int() takes it           where it comes from, what goes wrong elsewhere
    POST / HTTP/1.1\r\n                        the bytes: \r \n \t \\ \xHH; line ends of the file
    Host: a\r\n                                itself do not count
    Transfer-Encoding: chunked\r\n
    \r\n
    0_2e\r\n
    --- 400                                    refused with this status, and nothing read behind it

``\{8192*a}`` repeats, and ``\[+1|-1|0x1\]`` makes one case of each alternative (``\m`` is that
alternative, in what follows). Behind ``---`` stand, in this order, the requests that are there, and
how it ends:

    --- POST /path?query      method and target as sent
    Name: value               all fields, if the case is about them
    > hello                   the body, decoded; the lines are joined
    --- 501                   a refusal, with its status
    --- more                  what is left is the beginning of a request
    --- close                 the connection ends; what is left is not looked at
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("http")

Field = tuple[bytes, bytes]


@dataclass(frozen=True)
class Wanted:
    """A request that has to be read."""

    method: bytes
    target: bytes
    fields: tuple[Field, ...] | None = None
    body: bytes = b""


@dataclass(frozen=True)
class Case:
    """Bytes, and what has to be made of them."""

    file: str
    name: str
    data: bytes
    requests: tuple[Wanted, ...]
    end: str = ""
    """A status, ``more``, ``close``, or empty: nothing is left, and more may come."""


@dataclass
class Block:
    """A case as it stands in its file."""

    file: str
    name: str
    data: list[str] = field(default_factory=list)
    events: list[list[str]] = field(default_factory=list)

    def cases(self) -> Iterator[Case]:
        """One, or one for each alternative."""
        variants = list(alternatives("".join(self.data)))
        for number, (text, chosen) in enumerate(variants, start=1):
            name = f"{self.name} ({number})" if len(variants) > 1 else self.name
            yield self.case(name, unescape(text), chosen)

    def case(self, name: str, data: bytes, chosen: str) -> Case:
        """The case with these bytes."""
        events = [[line.replace(r"\m", chosen) for line in lines] for lines in self.events]
        end = ""
        if events and re.fullmatch(r"\d{3}|more|close", events[-1][0]):
            end = events[-1][0]
            events = events[:-1]
        return Case(self.file, name, data, tuple(map(wanted, events)), end)


def wanted(lines: list[str]) -> Wanted:
    """The request that these lines tell of."""
    method, target = lines[0].split(" ")
    body = b"".join(unescape(line[2:]) for line in lines[1:] if line.startswith("> "))
    fields = tuple(field_of(line) for line in lines[1:] if not line.startswith(">"))
    return Wanted(unescape(method), unescape(target), fields or None, body)


def field_of(line: str) -> Field:
    """Name and value."""
    name, _, value = line.partition(":")
    return unescape(name), unescape(value.removeprefix(" "))


def unescape(text: str) -> bytes:
    """The bytes that a line of a file stands for."""
    text = re.sub(r"\\\{(\d+)\*([^}]*)\}", lambda match: match[2] * int(match[1]), text)
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")


def alternatives(text: str) -> Iterator[tuple[str, str]]:
    r"""The text with each of ``\[one|other\]``, and which; without such a place, itself."""
    match = re.search(r"\\\[(.*?)\\\]", text)
    if match is None:
        yield text, ""
        return
    for each in match[1].split("|"):
        yield text[: match.start()] + each + text[match.end() :], each


def blocks(path: Path) -> Iterator[Block]:
    """The cases of a file, as they stand there."""
    block = Block(path.stem, "")
    for line in path.read_text("ascii").splitlines():
        if line.startswith("=== "):
            if block.name:
                yield block
            block = Block(path.stem, line[4:])
        elif line.startswith("--- "):
            block.events.append([line[4:]])
        elif line and not line.startswith("#"):
            (block.events[-1] if block.events else block.data).append(line)
    yield block


FILES = sorted(FOLDER.glob("*.txt"))


@cache
def corpus() -> tuple[Case, ...]:
    """All cases of all files, sorted by file."""
    return tuple(case for path in FILES for block in blocks(path) for case in block.cases())
