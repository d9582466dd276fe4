"""Server-Sent Events: a response that never ends, as browsers' EventSource reads it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Iterable
from typing import Any

from fastloop.http.response import Response
from fastloop.http.serial import dumps

PING = b":\n\n"
"""A comment: it keeps proxies from giving up, and notices peers that left."""

_END_OF_LINE = re.compile(r"\r\n|\r|\n")


class Event:
    """One event: ``data`` is str, or anything else as JSON. ``retry`` is milliseconds.

    Raises ValueError for a name or an id with a line break in it.
    """

    __slots__ = ("data", "event", "id", "retry")

    def __init__(
        self,
        data: Any = "",
        event: str | None = None,
        id: str | int | None = None,
        retry: int | None = None,
    ) -> None:
        for name, value in (("event", event), ("id", id)):
            if value is not None and re.search(r"[\r\n\0]", str(value)):
                raise ValueError(f"the {name} {value!r} of an event has a line break or NUL in it")
        self.data = data
        self.event = event
        self.id = id
        self.retry = retry

    def encode(self) -> bytes:
        """As it is sent (HTML standard, section 9.2.5)."""
        lines = []
        if self.event is not None:
            lines.append(f"event: {self.event}")
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.retry is not None:
            lines.append(f"retry: {int(self.retry)}")
        text = self.data if isinstance(self.data, str) else dumps(self.data).decode()
        lines += [f"data: {line}" for line in _END_OF_LINE.split(text)]
        return ("\n".join(lines) + "\n\n").encode()

    def __repr__(self) -> str:
        return f"Event({self.data!r}, event={self.event!r}, id={self.id!r})"


def encode(item: Any) -> bytes:
    """What was yielded, as an event: an Event, or the data of one."""
    return (item if isinstance(item, Event) else Event(item)).encode()


class Events:
    """The body of such a response."""

    __slots__ = ("ping", "source")

    def __init__(self, source: AsyncIterable[Any] | Iterable[Any], ping: float) -> None:
        self.source = source
        self.ping = ping


def sse(source: AsyncIterable[Any] | Iterable[Any], *, ping: float = 15.0) -> Response:
    """Return it to answer with events: str, dict, list or ``Event``, as the iterator yields them.

    The iterator is closed when the client leaves. Every ``ping`` seconds in which nothing else was
    sent a comment is, so that one that left is noticed; 0 sends none. Add headers to ``.headers``.
    """
    response = Response(Events(source, ping), content_type="text/event-stream")
    response.headers["cache-control"] = "no-cache"
    response.headers["x-accel-buffering"] = "no"
    return response
