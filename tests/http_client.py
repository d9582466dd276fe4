"""A strict client of HTTP/1.1 that shows all that came, for tests of the server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from client import Client

import fastloop

STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ([\x20-\x7e]*)\r\n")
FIELD_LINE = re.compile(rb"([!#-'*+.0-9A-Z^-z|~-]+): ?([\t\x20-\x7e\x80-\xff]*)\r\n")
DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d "
    r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT"
)


@dataclass(frozen=True)
class Response:
    """What the server said to one request."""

    status: int
    reason: str
    fields: tuple[tuple[str, str], ...]
    """Names in small letters."""
    body: bytes
    interim: tuple[int, ...] = ()
    """Statuses of 1xx responses before it."""
    chunks: tuple[int, ...] = field(default=(), compare=False)
    """Sizes of its chunks."""

    def __getitem__(self, name: str) -> str:
        """The value of a field. Raises KeyError if it is not there, ValueError if it is twice."""
        values = self.all(name)
        if not values:
            raise KeyError(name)
        (value,) = values
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def all(self, name: str) -> list[str]:
        """Its values, in their order."""
        return [value for each, value in self.fields if each == name]

    @property
    def is_last(self) -> bool:
        """Whether it announces the close."""
        return "close" in self.all("connection")

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class HttpClient:
    """One connection. Everything that the server says must be HTTP/1.1 to the letter."""

    def __init__(self, server: fastloop.Server | int, **options: Any) -> None:
        """Connects to a server, or to a port of the loopback; the options are Client's."""
        port = server if isinstance(server, int) else server.port
        self.client = Client(("127.0.0.1", port), **options)

    def send(self, *parts: bytes) -> None:
        """Sends them, each as a packet of its own."""
        for part in parts:
            self.client.send(part)

    def get(self, target: str, **fields: str) -> Response:
        """The response to GET; fields as keywords, with ``_`` for ``-``."""
        return self.ask("GET", target, None, **fields)

    def ask(self, method: str, target: str, body: bytes | None = None, **fields: str) -> Response:
        """The response to a request; ``version="1.0"`` sends one of HTTP/1.0."""
        self.send(request(method, target, body, **fields))
        return self.response(method)

    def response(self, method: str = "GET") -> Response:
        """The next response. Raises EOFError if the server closed instead of beginning one."""
        interim: list[int] = []
        while True:
            line = self.client.line()
            if not line:
                raise EOFError("the server closed")
            match = STATUS_LINE.fullmatch(line)
            assert match, f"no status line: {line!r}"
            status, fields = int(match[1]), tuple(self._fields())
            if status >= 200 or status == 101:
                break
            assert not fields, f"{status} with {fields}"
            interim.append(status)
        reason = match[2].decode()
        body, chunks = self._body(Response(status, reason, fields, b""), method)
        return Response(status, reason, fields, body, tuple(interim), chunks)

    def _fields(self) -> Iterator[tuple[str, str]]:
        while (line := self.client.line()) != b"\r\n":
            match = FIELD_LINE.fullmatch(line)
            assert match, f"no field: {line!r}"
            yield match[1].decode().lower(), match[2].decode("latin-1")

    def _body(self, head: Response, method: str) -> tuple[bytes, tuple[int, ...]]:
        if "date" in head:
            assert DATE.fullmatch(head["date"])
        if method == "HEAD" or head.status in (101, 204, 304):
            assert head.status not in (101, 204) or "content-length" not in head
            assert "transfer-encoding" not in head or method == "HEAD"
            return b"", ()
        if "transfer-encoding" in head:
            assert head["transfer-encoding"] == "chunked"
            assert "content-length" not in head
            return self._chunks()
        if "content-length" in head:
            return self._exactly(int(head["content-length"])), ()
        assert head.is_last, "a body until the close has to announce it"
        return self.client.rest(), ()

    def _chunks(self) -> tuple[bytes, tuple[int, ...]]:
        parts: list[bytes] = []
        while True:
            line = self.client.line()
            assert re.fullmatch(rb"[0-9a-f]+\r\n", line), f"no size of a chunk: {line!r}"
            parts.append(self._exactly(int(line, 16)))
            assert self.client.read(2) == b"\r\n"
            if not parts[-1]:
                return b"".join(parts), tuple(map(len, parts[:-1]))

    def _exactly(self, size: int) -> bytes:
        data = self.client.read(size)
        if len(data) != size:
            raise EOFError(f"{len(data)} bytes of {size}")
        return data

    def responses(self, methods: list[str] | None = None) -> list[Response]:
        """All until the server closes, to requests with these methods (default: GET)."""
        found: list[Response] = []
        while True:
            method = methods[len(found)] if methods and len(found) < len(methods) else "GET"
            try:
                found.append(self.response(method))
            except EOFError as error:
                if str(error) == "the server closed":
                    return found
                raise

    def finish(self) -> None:
        """Says that no more is coming."""
        self.client.finish()

    def is_closed(self) -> bool:
        """Waits until the server says something or closes; whether it closed."""
        return self.client.read(1) == b""

    def close(self) -> None:
        """Closes; twice is fine."""
        self.client.close()

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def request(
    method: str, target: str, body: bytes | None = None, version: str = "1.1", **fields: str
) -> bytes:
    """The bytes of a request; Host and Content-Length are added, fields as keywords."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    named = {"host": "a", **named}
    if body is not None:
        named.setdefault("content-length", str(len(body)))
    lines = [f"{method} {target} HTTP/{version}", *(f"{n}: {v}" for n, v in named.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + (body or b"")
