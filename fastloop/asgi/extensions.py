"""What an application may say of a response beside its head and its body: extensions of ASGI."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastloop._ffi import lib
from fastloop.asgi.stages import BEGUN, NEW, STARTED, TRAILING
from fastloop.crossing import MARK

if TYPE_CHECKING:
    from fastloop.asgi.cycle import Cycle

Message = dict[str, Any]


@dataclass(frozen=True)
class Extension:
    """A kind of message: when it may come, and what it does."""

    stages: tuple[int, ...]
    send: Callable[[Cycle, Message], Awaitable[None]]

    def fits(self, stage: int) -> bool:
        """Whether it may be said of a response that is so far."""
        return stage in self.stages


async def early_hint(cycle: Cycle, message: Message) -> None:
    """103 (Early Hints, RFC 8297), as long as the response proper did not begin."""
    fields = [(b"link", bytes(link)) for link in message["links"]]
    cycle.put((MARK, lib.FL_HTTP_START, 103, fields))


async def trailers(cycle: Cycle, message: Message) -> None:
    """Fields behind a body in chunks; behind any other there is no place, and they are dropped."""
    cycle.trailers += map(tuple, message.get("headers", ()))
    if not message.get("more_trailers", False):
        cycle.end()


async def path_send(cycle: Cycle, message: Message) -> None:
    """The whole body: a file, by its path. It is read and sent without Python.

    Raises OSError if there is no such file, which is answered by 500.
    """
    path = os.fsencode(message["path"])
    size = regular(os.stat(path))
    length = length_of(cycle.headers)
    if length is None:
        cycle.headers = [*cycle.headers, (b"content-length", b"%d" % size)]
    count = size if length is None else min(size, length)
    await cycle.piece((MARK, lib.FL_PART, path, 0, count), count, more=False)


async def zero_copy_send(cycle: Cycle, message: Message) -> None:
    """A piece of the body: a part of an open file, from its position on unless ``offset`` is given.

    The file may be closed as soon as this returns. Raises ValueError for what is no regular file.
    """
    file, offset = message["file"], message.get("offset")
    fd = file if isinstance(file, int) else file.fileno()
    begin = os.lseek(fd, 0, os.SEEK_CUR) if offset is None else offset
    rest = max(0, regular(os.fstat(fd)) - begin)
    count = message.get("count")
    size = rest if count is None else min(rest, count)
    if offset is None:
        os.lseek(fd, begin + size, os.SEEK_SET)
    part = (MARK, lib.FL_PART, fd, begin, size)
    await cycle.piece(part, size, more=message.get("more_body", False))


def regular(found: os.stat_result) -> int:
    """The size of a file. Raises ValueError for what cannot be sent as one."""
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("only regular files can be sent so")
    return found.st_size


def length_of(headers: Iterable[Any]) -> int | None:
    """The content length that these fields tell."""
    for name, value in headers:
        if bytes(name).lower() == b"content-length":
            return int(value)
    return None


EXTENSIONS = {
    "http.response.early_hint": Extension((NEW, STARTED), early_hint),
    "http.response.pathsend": Extension((STARTED,), path_send),
    "http.response.trailers": Extension((TRAILING,), trailers),
    "http.response.zerocopysend": Extension((STARTED, BEGUN), zero_copy_send),
}
"""By the type of the message, which is also the name of the extension."""
