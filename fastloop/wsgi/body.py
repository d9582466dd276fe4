"""What an application returned, and how it is sent: as a whole, as a file, or piece by piece."""

from __future__ import annotations

import logging
import os
import stat
from typing import Any

from fastloop._ffi import lib
from fastloop.crossing import MARK
from fastloop.http.pumps import close
from fastloop.wsgi.environ import FileWrapper
from fastloop.wsgi.start import Start

log = logging.getLogger("fastloop")

Part = tuple[bytes, int, int]
"""Path, offset and count of bytes of a file."""


class Returned:
    """The iterable of a response. ``close`` is called once, whatever becomes of it."""

    def __init__(self, environ: dict[str, Any], start: Start, result: Any) -> None:
        self._result = result
        self._start = start
        self._head = environ["REQUEST_METHOD"] == "HEAD"
        self._closed = False
        self.source: Any = None

    @property
    def bodiless(self) -> bool:
        """Whether only the head is wanted, so that nothing more needs to be asked for."""
        return self._head or self._start.code in (204, 304)

    def whole(self) -> Any:
        """The whole response as it crosses, if that is known already, and b"" or the first piece
        otherwise.

        An application may work long on a second piece, and must not delay the first by that; so
        the end is asked for only where the length tells that there will be none.
        """
        result, start = self._result, self._start
        self.source = source = iter(result)
        body = b"".join(start.written)
        for piece in source:
            body += piece if type(piece) is bytes else checked(piece)
            if piece:
                break
        else:
            return self._reply(body)
        known = start.length
        if known is None:
            if not isinstance(result, list | tuple) or len(result) != 1:
                return body
        elif known > len(body):
            return body
        for piece in source:
            if checked(piece):
                log.error("a response is longer than its Content-Length: the rest is left out")
                break
        return self._reply(body if known is None else body[:known])

    def _reply(self, body: bytes) -> Any:
        if not self._start.code:
            raise RuntimeError("the application did not call start_response()")
        self._start.begun = True
        return (MARK, lib.FL_HTTP, self._start.code, self._start.headers, body)

    def next(self) -> bytes:
        """The next piece. Raises StopIteration at the end."""
        return checked(next(self.source))

    def part(self) -> Part | None:
        """The part of a real file that this is, with its length among the headers; or None."""
        result, start = self._result, self._start
        if type(result) is not FileWrapper or not start.code or start.written or start.begun:
            return None
        part = part_of(result.file)
        if part is None:
            return None
        path, offset, count = part
        known = start.length
        if known is None:
            start.headers = [*start.headers, ("content-length", str(count))]
        elif known <= count:
            count = known
        else:
            return None
        return path, offset, count

    def close(self) -> None:
        """Tells the application that it is over."""
        if not self._closed:
            self._closed = True
            close(self._result)


def checked(piece: Any) -> bytes:
    """A piece of a body. Raises TypeError for anything but bytes."""
    if not isinstance(piece, bytes):
        raise TypeError(f"the application yielded {type(piece).__name__}, not bytes")
    return piece


def part_of(file: Any) -> Part | None:
    """What is left of a regular file that can be opened again by its name; None for others."""
    try:
        name = file.name
        found = os.fstat(file.fileno())
        if not isinstance(name, str | bytes) or not stat.S_ISREG(found.st_mode):
            return None
        if not os.path.samestat(found, os.stat(name)):
            return None
        offset = file.tell()
    except (AttributeError, OSError, ValueError):
        return None
    return os.fsencode(os.path.abspath(name)), offset, max(0, found.st_size - offset)
