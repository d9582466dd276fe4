"""From what a handler returns to what crosses to the core."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from fastloop._ffi import lib
from fastloop.crossing import MARK
from fastloop.http.file import File
from fastloop.http.response import BYTES, JSON, TEXT, Response
from fastloop.http.serial import dumps
from fastloop.http.sse import Events
from fastloop.http.sse import encode as encode_event

_JSON = (("content-type", JSON),)

NEEDS_ASYNC = (
    "the handler returned an async iterator, which needs an asyncio loop: declare the handler with"
    " `async def`"
)

Pairs = list[tuple[str, str | bytes]]


@dataclass(slots=True)
class Stream:
    """A response whose body comes in pieces: somebody has to pump it."""

    status: int
    headers: Pairs
    source: Any
    """An iterator or async iterator of what `encode` takes."""

    encode: Callable[[Any], bytes | str]
    eager: bool = False
    """Whether the head is sent before the first piece is there."""

    ping: float = 0.0
    """Seconds without a piece after which a comment is sent; 0: never."""

    @property
    def is_async(self) -> bool:
        """Whether only an event loop can pump it."""
        return hasattr(self.source, "__anext__")


def convert(value: Any, head: bytes) -> Any:
    """The form in which a reply crosses, or a Stream.

    ``head`` is that of the request: what a file is answered with depends on it. Raises TypeError
    for what is no reply, and whatever JSON raises for a dict or list that it cannot say.
    """
    kind = type(value)
    if kind is bytes or kind is str or value is None:
        return value
    if kind is dict or kind is list:
        return (MARK, lib.FL_HTTP, 200, _JSON, dumps(value))
    if kind is tuple and value[:2] == (MARK, lib.FL_WS_ACCEPT):
        return value
    if kind is File:
        return (MARK, lib.FL_FILE, value.path, head, value.headers.crossing())
    return of_response(response(value), head)


def response(value: Any) -> Response:
    """Any reply as a Response."""
    if isinstance(value, Response):
        return value
    if isinstance(value, tuple) and value[:2] == (MARK, lib.FL_LAST):
        last = response(value[2])
        return Response(last.body, last.status, [*last.headers.items(), ("connection", "close")])
    return Response(value)


def of_response(value: Response, head: bytes) -> Any:
    """The form in which a Response crosses, or a Stream."""
    body, headers = value.body, value.headers.crossing()
    if isinstance(body, File):
        return (MARK, lib.FL_FILE, body.path, head, body.headers.crossing() + headers)
    if isinstance(body, Events):
        events = body.source
        source = stream_source(events if hasattr(events, "__aiter__") else iter(events))
        return Stream(value.status, headers, source, encode_event, eager=True, ping=body.ping)
    if body is None or isinstance(body, bytes | bytearray | memoryview):
        body = bytes(body or b"")
        kind = BYTES if body else ""
    elif isinstance(body, str):
        body = str(body).encode()
        kind = TEXT
    elif isinstance(body, dict | list):
        body = dumps(body)
        kind = JSON
    else:
        return Stream(value.status, headers, stream_source(body), piece)
    if kind and "content-type" not in value.headers:
        headers.append(("content-type", kind))
    return (MARK, lib.FL_HTTP, value.status, headers, body)


def stream_source(value: Any) -> Iterator[Any] | AsyncIterator[Any]:
    """What can be pumped. Raises TypeError, naming what a handler may return."""
    if hasattr(value, "__aiter__"):
        value = aiter(value)
    if hasattr(value, "__anext__") or hasattr(value, "__next__"):
        return cast("Iterator[Any] | AsyncIterator[Any]", value)
    if hasattr(value, "__await__"):
        raise TypeError("a handler returned something to await: declare it with `async def`")
    raise TypeError(
        f"a handler returned {type(value).__name__}: return bytes, str, dict, list, None, a"
        " Response, fastloop.file(path), or an iterator of bytes or str"
    )


def piece(value: Any) -> bytes | str:
    """A piece of a body, as it crosses. Raises TypeError for anything but bytes or str."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"the body of a response yielded {type(value).__name__}, not bytes or str")
