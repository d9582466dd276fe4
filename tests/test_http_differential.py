"""The parser against h11 and httptools (llhttp) on requests that hypothesis makes up and breaks.

Whatever the bytes are, they must be read the same however they are cut. And nothing that fastloop
accepts may be read in another way by others, or a proxy in front of it could be made to see other
requests than it. So where fastloop reads a request, each of the two must read the same (method,
target, version, fields, body, and hence the same bytes left over) or refuse; not both may refuse;
and where fastloop waits for more, neither may have read a request.

Intended differences:

- h11 makes names small, and `Chunked` as well: compared are names and codings in small letters.
- httptools refuses methods that are not in its list, h11 a length of more than 20 digits. So one of
  the two may refuse. h11 does not get the empty line that may precede a request.
- Both stop at a request to upgrade, since what is behind it may not be HTTP, and h11 at each of
  HTTP/1.0; httptools does not even read its body. fastloop waits until the request is answered,
  and reads on if it stays with HTTP. So what is behind the head of such a request is not compared.
- fastloop refuses more than either: what it refuses is not compared.

FASTLOOP_EXAMPLES=100000 looks longer than the usual 1500 examples.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from http_corpus import corpus
from http_driver import OLD, Driver, Reading, Request, misread
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from program import SANITIZED

pytestmark = pytest.mark.skipif(SANITIZED, reason="builds what it tests, without sanitizers")

h11 = pytest.importorskip("h11")
httptools = pytest.importorskip("httptools")

EXAMPLES = int(os.environ.get("FASTLOOP_EXAMPLES", "1500"))


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """The parser as a shared library."""
    return Driver(tmp_path_factory.mktemp("driver"))


# -- readings of others, in our form --


@dataclass(frozen=True)
class Normal:
    """A request as all can tell it."""

    method: bytes
    target: bytes
    version: str
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True)
class Theirs:
    """Requests that were complete, and what came then: ``error``, ``more``, ``close``, ``upgrade``,
    or empty."""

    requests: tuple[Normal, ...]
    end: str


def normal_fields(fields: Any) -> tuple[tuple[bytes, bytes], ...]:
    """Names in small letters, and values without white space around; those of codings in small
    letters too."""
    named = [(bytes(name).lower(), bytes(value).strip(b" \t")) for name, value in fields]
    return tuple((n, v.lower() if n == b"transfer-encoding" else v) for n, v in named)


def normal(request: Request) -> Normal:
    """A request that fastloop read."""
    version = "1.0" if request.flags & OLD else "1.1"
    fields = normal_fields(request.fields)
    return Normal(request.method, request.target, version, fields, request.body)


def by_h11(data: bytes) -> Theirs:
    """What h11 reads, to which each request comes alone."""
    requests: list[Normal] = []
    while data := data.removeprefix(b"\r\n"):
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        connection.receive_data(data)
        try:
            request = next_request(connection)
        except h11.RemoteProtocolError:
            return Theirs(tuple(requests), "error")
        if request is None:
            return Theirs(tuple(requests), "more")
        requests.append(request)
        connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
        if connection.our_state is not h11.SEND_BODY:
            return Theirs(tuple(requests), "upgrade")
        connection.send(h11.EndOfMessage())
        if connection.our_state is not h11.DONE:
            return Theirs(tuple(requests), "close")
        data = connection.trailing_data[0]
    return Theirs(tuple(requests), "")


def next_request(connection: Any) -> Normal | None:
    """The request that h11 has; None if it is not complete. Raises RemoteProtocolError."""
    head: Any = None
    body = b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            return None
        if isinstance(event, h11.Request):
            head = event
        else:
            body += bytes(event.data)
    version = head.http_version.decode()
    return Normal(head.method, head.target, version, normal_fields(head.headers), body)


class Collector:
    """What httptools tells of a stream."""

    def __init__(self) -> None:
        self.requests: list[Normal] = []
        self.parser = httptools.HttpRequestParser(self)
        self.is_open = False
        self.is_closed = False

    def on_message_begin(self) -> None:
        self.is_open = True
        self.target = self.body = b""
        self.fields: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.head_fields = normal_fields(self.fields)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self.requests.append(Normal(method, self.target, version, self.head_fields, self.body))
        self.is_open = False
        self.is_closed = not self.parser.should_keep_alive()


def by_httptools(data: bytes) -> Theirs:
    """What httptools reads."""
    collector = Collector()
    try:
        collector.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        return Theirs(tuple(collector.requests[:-1]), "upgrade")
    except httptools.HttpParserError:
        return Theirs(tuple(collector.requests), "close" if collector.is_closed else "error")
    end = "close" if collector.is_closed else "more" if collector.is_open else ""
    return Theirs(tuple(collector.requests), end)


# -- comparing --


def disagreement(ours: Reading, theirs: Theirs) -> str:
    """What the two read differently; empty if nothing."""
    for n, request in enumerate(map(normal, ours.requests)):
        if n == len(theirs.requests):
            return f"{request}: they wait" if theirs.end in ("", "more") else ""
        if request != theirs.requests[n]:
            return f"{request}: they read {theirs.requests[n]}"
    if len(theirs.requests) > len(ours.requests) and ours.end in ("", "more"):
        return f"nothing more: they read {theirs.requests[len(ours.requests)]}"
    return ""


def is_read(n: int, theirs: Theirs) -> bool:
    """Whether they read a request with this number, or could not for a reason that is none."""
    return n < len(theirs.requests) or theirs.end in ("close", "upgrade")


def check(driver: Driver, data: bytes) -> Reading:
    """Compares all readings of these bytes."""
    assert driver.cuts(data) == -1, f"cut at {driver.cuts(data)}: {data!r}"
    ours = driver.read(data)
    h, llhttp = by_h11(data), by_httptools(data)
    assert not disagreement(ours, h), f"h11: {data!r}"
    assert not disagreement(ours, llhttp), f"httptools: {data!r}"
    for n, request in enumerate(ours.requests):
        assert not misread(request), f"request {n}: {data!r}"
        assert is_read(n, h) or is_read(n, llhttp), f"only fastloop reads request {n}: {data!r}"
    return ours


# -- requests that are made up --

METHODS = [b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH", b"QUERY", b"get"]
TARGETS = [
    b"/",
    b"/a/b?c=d",
    b"/%41",
    b"http://a/",
    b"http://a:80/b?c",
    b"//a",
    b"/?",
    b"/%00",
    b"/%c3%a9%ff%",
]
NAMES = [b"Accept", b"X", b"x_y", b"Content-Lengt", b"Cookie", b"Upgrade", b"!#$%&'*+-.^_`|~0aZ"]
VALUES = [b"", b"x", b"a, b", b"caf\xc3\xa9", b"x \t y", b'"q"', b"websocket", b"5", b"chunked"]
SPECIAL = [
    *(
        b"Connection: close",
        b"Connection: keep-alive",
        b"Connection: x, Close",
        b"Connection: Upgrade",
    ),
    *(b"Expect: 100-continue", b"Expect: x", b"Host: b", b"TE: trailers", b"Trailer: X"),
    *(b"Content-Length: 3", b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Upgrade: h2c"),
    *(b"Transfer-Encoding: gzip, chunked", b"Content-Length: +3", b"Content-Length: 3, 3"),
]
BYTES = [
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"\x00", b"\x0b", b"\x0c", b"\x7f", b"\x80"),
    *(
        b"\x85",
        b"\xa0",
        b"\xff",
        b":",
        b",",
        b";",
        b"=",
        b'"',
        b"\\",
        b"+",
        b"-",
        b"_",
        b"0",
        b"0x",
    ),
    *(b"1", b"a", b"F", b"#", b"/", b"*", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"0\r\n\r\n"),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"chunked", b"HTTP/1.0"),
]
BODY = st.binary(max_size=24) | st.sampled_from(
    [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"0\r\n\r\n"]
)
FIELD = st.tuples(
    st.sampled_from(NAMES), st.sampled_from([b":", b": ", b":\t ", b": "]), st.sampled_from(VALUES)
).map(b"".join)
FIELDS = st.lists(st.one_of(*[FIELD] * 5, st.sampled_from(SPECIAL)), max_size=4)


@st.composite
def chunks(draw: Callable[..., Any]) -> bytes:
    """A body in chunks, right in most of its parts."""
    parts = []
    for data in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=3)):
        size = draw(
            st.sampled_from([b"%x", b"%X", b"0%x", b"00%x", b"%x;a", b'%x;a="b"', b"%x; a=b"])
        )
        parts += [size % len(data), b"\r\n", data, b"\r\n"]
    last = draw(st.sampled_from([b"0\r\n", b"0\r\n", b"000\r\n", b"0;a=b\r\n", b"0\r\nX: y\r\n"]))
    return b"".join([*parts, last, b"\r\n"])


@st.composite
def requests(draw: Callable[..., Any]) -> bytes:
    """One request, right in most of its parts."""
    version = draw(st.sampled_from([b"HTTP/1.1"] * 4 + [b"HTTP/1.0"]))
    method, target = draw(st.sampled_from(METHODS)), draw(st.sampled_from(TARGETS))
    fields = draw(FIELDS)
    if draw(st.integers(0, 29)):
        fields.insert(draw(st.integers(0, len(fields))), b"Host: a")
    kind = draw(st.sampled_from(["none", "none", *["length"] * 3, *["chunks"] * 3, "wrong"]))
    body = b""
    if kind == "chunks":
        body = draw(chunks())
        fields.append(
            draw(st.sampled_from([b"Transfer-Encoding: chunked", b"TRANSFER-ENCODING:Chunked"]))
        )
    elif kind != "none":
        body = draw(BODY)
        size = len(body) if kind == "length" else draw(st.integers(0, 30))
        fields.append(b"Content-Length: %d" % size)
    lines = [b" ".join((method, target, version)), *fields, b"", body]
    return b"\r\n".join(lines)


@st.composite
def streams(draw: Callable[..., Any]) -> bytes:
    """A few requests behind each other, some of them broken in a few places."""
    data = b"".join(draw(st.lists(requests(), min_size=1, max_size=3)))
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3]))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 6)))
        put = draw(st.sampled_from([b"", data[start:end] * 2, *BYTES]))
        data = data[:start] + put + data[end:]
    return data


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=streams())
@example(data=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
def test_requests_that_are_made_up(driver: Driver, data: bytes) -> None:
    check(driver, data)


def test_the_corpus(driver: Driver) -> None:
    """The cases that were thought of, too."""
    for case in corpus():
        check(driver, case.data)


def test_the_comparison_would_notice() -> None:
    """Both others read what is asked of them, and a difference is one."""
    one, two = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /2 HTTP/1.1\r\nHost: a\r\n"
    data = one + two + b"Content-Length: 3\r\n\r\nabc"
    for theirs in (by_h11(data), by_httptools(data)):
        assert [request.target for request in theirs.requests] == [b"/1", b"/2"]
        assert theirs.requests[1].body == b"abc"
        host = b"GET /1 HTTP/1.1\r\nHost: a\r\n"
        mine = Request(b"GET", b"/1", b"/1", b"", host, b"", 0)
        assert not disagreement(Reading((mine,), "400"), theirs)
        assert "they read" in disagreement(Reading((mine,), "more"), theirs)
        assert "they read" in disagreement(Reading((mine, mine), ""), theirs)
        assert "they wait" in disagreement(Reading((mine,), ""), Theirs((), "more"))
    assert by_h11(one + b"bad\r\n\r\n").end == by_httptools(one + b"bad\r\n\r\n").end == "error"
    assert by_h11(one[:-2]).end == by_httptools(one[:-2]).end == "more"
