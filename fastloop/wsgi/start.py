"""The ``start_response`` of a request."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType
from wsgiref.util import is_hop_by_hop

log = logging.getLogger("fastloop")

Info = tuple[type[BaseException], BaseException, TracebackType]
Headers = list[tuple[str, str | bytes]]

MOST = 1000
"""Texts that are remembered as right; more would be of an application that makes them up."""

_codes: dict[str, int] = {}
_names: set[str] = set()
_refused: set[str] = set()


class Start:
    """What an application said of its response so far. ``start`` is its ``start_response``."""

    __slots__ = ("begun", "code", "headers", "sink", "written")

    def __init__(self, sink: Callable[[bytes], None] | None = None) -> None:
        """``sink`` sends what is given to ``write()``; without one it is kept in ``written``."""
        self.code = 0
        """The status; 0 until the application said it."""

        self.headers: Headers = []
        self.begun = False
        """Whether these were sent, so that they cannot change any more."""

        self.written: list[bytes] = []
        self.sink = sink

    def start(
        self, status: str, headers: Headers, exc_info: Info | None = None
    ) -> Callable[[bytes], None]:
        """PEP 3333, "The start_response() Callable". Returns ``write``.

        Raises what ``exc_info`` tells if the response has begun; RuntimeError for a second call
        without that; TypeError and ValueError for a status or fields that are none.
        """
        if self.code or exc_info is not None:
            self._again(exc_info)
        code = _codes.get(status) or _code(status)
        self.headers = headers
        for name, value in headers:
            if name not in _names or not value.isascii():
                self.headers = _checked(headers)
                break
        self.code = code
        return self.write

    def _again(self, exc_info: Info | None) -> None:
        if exc_info is None:
            raise RuntimeError("start_response() was called twice")
        try:
            if self.begun:
                raise exc_info[1].with_traceback(exc_info[2])
        finally:
            exc_info = None  # or the traceback would hold this frame, and this frame it

    def write(self, data: bytes) -> None:
        """PEP 3333, "The write() Callable": for applications that cannot return an iterable."""
        if not isinstance(data, bytes):
            raise TypeError(f"write() takes bytes, not {type(data).__name__}")
        if self.sink is None:
            self.written.append(data)
        else:
            self.sink(data)

    @property
    def length(self) -> int | None:
        """The Content-Length that the application said; None: none."""
        for name, value in self.headers:
            if len(name) == 14 and name.lower() == "content-length":
                return int(value)
        return None


def _code(status: str) -> int:
    if not isinstance(status, str):
        raise TypeError(f"a status is a str such as '200 OK', not {type(status).__name__}")
    digits = status[:3]
    if not (digits.isascii() and digits.isdigit()) or status[3:4] not in ("", " "):
        raise ValueError(f"{status!r} is no status such as '200 OK'")
    code = int(digits)
    if code < 200:
        raise ValueError(f"{status!r} is no status of a whole response")
    if len(_codes) < MOST:
        _codes[status] = code
    return code


def _checked(headers: Headers) -> Headers:
    """The fields as they cross, without those that are the server's. Whether names and values are
    such is for the core to see.
    """
    if not isinstance(headers, list):
        raise TypeError(f"headers are a list of tuples, not {type(headers).__name__}")
    found: Headers = []
    for name, value in headers:
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"names and values of headers are str: {name!r}: {value!r}")
        if any((c < " " and c != "\t") or c == "\x7f" for c in value):
            raise ValueError(f"a control character in a header: {name}: {value!r}")
        if is_hop_by_hop(name) or name.lower() == "trailer":
            if name not in _refused and len(_refused) < MOST:
                _refused.add(name)
                log.warning("the header %s is the server's (PEP 3333): it is left out", name)
            continue
        if len(_names) < MOST:
            _names.add(str(name))
        found.append((str(name), str(value) if value.isascii() else value.encode("latin-1")))
    return found
