"""The corpus of tests/http/ through the parser, cut at every byte, and through a server.

The parser alone is run under sanitizers, over all cuts. A served case must get the same answers
whether it comes at once, cut in two, or byte by byte; on every backend.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from client import wait_for
from http_client import HttpClient, Response
from http_corpus import FILES, Case, Wanted, corpus
from http_driver import Reading, Request, misread, read_sanitized
from program import SANITIZED
from stage import Stage

import fastloop
from conftest import Serve

alone = pytest.mark.skipif(SANITIZED, reason="builds what it tests, with sanitizers of its own")

URL = "http://127.0.0.1:0"

LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
"""Sent behind good requests: it is read as itself only if nothing of them is left over."""

CUTS = 20
"""At most so many of each case are served; which ones differs from case to case."""


def wanted(request: Wanted | Request) -> tuple[bytes, bytes, bytes]:
    """What every case says of a request."""
    return request.method, request.target, request.body


def difference(case: Case, reading: Reading) -> str:
    """What the parser read otherwise than the case wants; empty if nothing."""
    got, want = [*map(wanted, reading.requests)], [*map(wanted, case.requests)]
    if (got, reading.end) != (want, case.end):
        return f"{case.file}: {case.name}: got {got} {reading.end!r}, want {want} {case.end!r}"
    for read, asked in zip(reading.requests, case.requests, strict=True):
        if asked.fields not in (None, read.fields):
            return f"{case.file}: {case.name}: got {read.fields}, want {asked.fields}"
        if wrong := misread(read):
            return f"{case.file}: {case.name}: {wrong}"
    return ""


def test_the_corpus_has_what_it_should() -> None:
    cases = corpus()
    assert len(cases) >= 1000
    assert len({case.name for case in cases}) == len(cases)
    assert {case.end for case in cases} >= {"", "more", "close"} | {
        *("400", "413", "414", "417", "431", "501", "505")
    }


@alone
def test_parser_reads_each_case_however_it_is_cut(tmp_path: Path) -> None:
    cases = corpus()
    readings = list(read_sanitized(tmp_path, [case.data for case in cases]))
    assert len(readings) == len(cases)
    assert not [
        f"{c.name}: cut at {cut}" for c, (cut, _) in zip(cases, readings, strict=True) if cut >= 0
    ]
    problems = [difference(c, reading) for c, (_, reading) in zip(cases, readings, strict=True)]
    assert not [problem for problem in problems if problem]


@alone
def test_parser_reads_cases_behind_each_other(tmp_path: Path) -> None:
    """Behind a good case every other one means what it means alone."""
    good = [case for case in corpus() if case.requests and not case.end and len(case.data) < 1000]
    pairs = [
        (good[n % len(good)], case) for n, case in enumerate(corpus()) if len(case.data) < 1000
    ]
    readings = read_sanitized(tmp_path, [one.data + other.data for one, other in pairs])
    for (one, other), (cut, reading) in zip(pairs, readings, strict=True):
        name = f"{one.name} + {other.name}"
        both = Case("pairs", name, one.data + other.data, one.requests + other.requests, other.end)
        assert cut == -1, f"{name}: cut at {cut}"
        assert not difference(both, reading)


@alone
def test_parser_misses_host_in_each_good_case(tmp_path: Path) -> None:
    """Without its Host, a request of HTTP/1.1 is none."""
    host = b"\r\nHost: "
    good = [c for c in corpus() if c.requests and host in c.data and b" HTTP/1.1\r\n" in c.data]
    inputs = []
    for case in good:
        before, _, behind = case.data.partition(host)
        inputs.append(before + b"\r\n" + behind.split(b"\r\n", 1)[1])
    assert len(inputs) > 100
    for case, (_, reading) in zip(good, read_sanitized(tmp_path, inputs), strict=True):
        n = case.data[: case.data.index(host)].count(b" HTTP/1.") - 1
        assert len(reading.requests) == n, case.name
        assert reading.end == "400", case.name


# -- served --


@dataclass
class App:
    """Answers with the number of the request, and keeps what it saw."""

    seen: list[Any] = field(default_factory=list)

    def __call__(self, request: Any) -> str:
        return self.keep(request, request.body)

    async def read(self, request: Any) -> str:
        """The same for a body that comes in pieces."""
        return self.keep(request, await request.read())

    def keep(self, request: Any, body: bytes) -> str:
        """Adds what it saw."""
        target = request.head.split(b" ", 2)[1]
        fields = tuple((n.encode(), v.encode("latin-1")) for n, v in request.headers.items())
        self.seen.append((request.method.encode(), target, body, fields))
        return str(len(self.seen))


@dataclass
class Served:
    """A server with such an application."""

    app: App
    server: fastloop.Server
    in_pieces: bool = False

    def replay(self, case: Case, pieces: list[bytes]) -> str:
        """Sends the pieces; what was answered otherwise than the case wants, or nothing."""
        self.app.seen.clear()
        methods = [request.method.decode() for request in case.requests]
        methods += ["HEAD"] if case.data.startswith(b"HEAD *") else []  # refused, without a body
        with HttpClient(self.server) as client:
            try:
                self.send(client, pieces)
                if case.end == "":
                    client.send(LAST)
                elif case.end == "more":
                    client.finish()
                responses = client.responses(methods)
            except ConnectionResetError:
                return "the connection was reset"
        return self.problem(case, responses)

    def send(self, client: HttpClient, pieces: list[bytes]) -> None:
        """Sends them; of two the second only when the first one was read."""
        if len(pieces) == 2:
            before = self.server.stats().bytes_in
            client.send(pieces[0])
            wait_for(lambda: self.server.stats().bytes_in >= before + len(pieces[0]))
            del pieces[0]
        # Where it refused what was there already, what it said is to be read still.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.send(*pieces)

    def problem(self, case: Case, responses: list[Response]) -> str:
        """What is wrong with these responses."""
        good = [(r.method, r.target, r.body) for r in case.requests]
        statuses = [200] * len(good)
        if case.end == "":
            good.append((b"GET", b"/last", b""))
            statuses.append(200)
        elif case.end.isdigit():
            statuses.append(int(case.end))
        if [request[:3] for request in self.app.seen] != good:
            return f"saw {self.app.seen}, want {good}"
        got = [response.status for response in responses]
        if self.in_pieces:
            got, statuses = self.blurred(got), self.blurred(statuses)
            if case.end == "more" and got == [*statuses, 400]:
                got.pop()  # the handler of a body that was never to end
        if got != statuses:
            return f"got {[*responses]}, want {statuses}"
        return self.details(case, responses)

    def blurred(self, statuses: list[int]) -> list[int]:
        """Without what a handler that reads its body itself cannot tell: whether trailers were too
        long, or the body."""
        return [413 if status == 431 else status for status in statuses]

    def details(self, case: Case, responses: list[Response]) -> str:
        """The same, of fields, order, and how it ends."""
        for number, (response, request) in enumerate(
            zip(responses, case.requests, strict=False), 1
        ):
            if request.method != b"HEAD" and response.body != b"%d" % number:
                return f"response {number} is {response.body!r}"
            fields = self.app.seen[number - 1][3]
            if request.fields and fields != tuple((n.lower(), v) for n, v in request.fields):
                return f"saw {fields}"
        if case.end != "more" and not responses[-1].is_last:
            return "the last response does not announce the close"
        return ""


@pytest.fixture
def served(serve: Serve) -> Served:
    """A server on this backend."""
    app = App()
    return Served(app, serve(app, URL, framing=None))


@pytest.fixture
def served_in_pieces(stage_async: Stage) -> Served:
    """A server whose handler is called when a head is there, and reads the body itself."""
    app = App()
    server = stage_async.serve(app.read, URL, framing=None, stream=True)
    return Served(app, server, in_pieces=True)


def at_once(case: Case, number: int) -> Iterator[list[bytes]]:
    yield [case.data]


def by_the_byte(case: Case, number: int) -> Iterator[list[bytes]]:
    size = 1 if len(case.data) < 2000 else 997
    yield [case.data[at : at + size] for at in range(0, len(case.data), size)]


def in_two(case: Case, number: int) -> Iterator[list[bytes]]:
    """Other cuts for other cases, so that each place of a request has its turn."""
    step = max(1, len(case.data) // CUTS)
    for cut in range(1 + number % step, len(case.data), step):
        yield [case.data[:cut], case.data[cut:]]


FILE = pytest.mark.parametrize("file", [path.stem for path in FILES])
CUT = pytest.mark.parametrize("cut", [at_once, in_two, by_the_byte])

Cut = Callable[[Case, int], Iterator[list[bytes]]]


def replay(served: Served, file: str, cut: Cut) -> None:
    """Replays all cases of a file, cut in this way."""
    problems = []
    cases = [case for case in corpus() if case.file == file]
    for number, case in enumerate(cases):
        for pieces in cut(case, number):
            sizes = [len(piece) for piece in pieces][:3]
            if problem := served.replay(case, pieces):
                problems.append(f"{case.name} {sizes}: {problem}")
    assert not problems, "\n".join(problems)


@pytest.mark.event_loop  # a cut is a matter of framing, and here each is a connection
@FILE
@CUT
def test_served(served: Served, file: str, cut: Cut) -> None:
    replay(served, file, cut)


@FILE
@CUT
def test_served_in_pieces(served_in_pieces: Served, file: str, cut: Cut) -> None:
    replay(served_in_pieces, file, cut)
