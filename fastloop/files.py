"""Reading files without blocking the loop: threads of the core do what is not in memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, overload

from fastloop._ffi import check
from fastloop.errors import FastloopError
from fastloop.runtime import Runtime
from fastloop.turned import here

Path = str | os.PathLike[str]
Done = Callable[[bytes | None, Exception | None], object]


@overload
def read_file(path: Path, *, offset: int = 0, count: int = -1) -> Awaitable[bytes]: ...
@overload
def read_file(path: Path, callback: Done, *, offset: int = 0, count: int = -1) -> None: ...
def read_file(
    path: Path, callback: Done | None = None, *, offset: int = 0, count: int = -1
) -> Awaitable[bytes] | None:
    """Reads ``count`` bytes of a file from ``offset`` on; -1: all that follow.

    In an async handler ``data = await fastloop.read_file(path)``. Elsewhere on a loop's thread give
    a ``callback(data, error)``, one of which is None; it is called on that thread, later.

    The error, raised or handed over, is an OSError such as FileNotFoundError, or a BlockingIOError
    if more reads wait than the option file_queue allows. Raises FastloopError on a thread that
    turns no loop: a worker thread may simply open the file.
    """
    if offset < 0 or count < -1:
        raise ValueError(f"offset={offset}, count={count}: they are not below 0, but for -1")
    runtime = here()
    if runtime is None:
        raise FastloopError("read_file() is for handlers that run on a loop; here, use open()")
    if callback is None:
        return _read(runtime, path, offset, count)
    give = callback

    def done(answer: Any) -> None:
        try:
            data = _checked(answer, path)
        except Exception as error:
            give(None, error)
        else:
            give(data, None)

    runtime.waits.file(path, offset, count, done)
    return None


async def _read(runtime: Runtime, path: Path, offset: int, count: int) -> bytes:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(answer: Any) -> None:
        if not future.done():
            future.set_result(answer)

    runtime.waits.file(path, offset, count, done)
    return _checked(await future, path)


def _checked(answer: Any, path: Path) -> bytes:
    if isinstance(answer, int):
        check(answer, f"reading {os.fspath(path)}")
    data: bytes = answer
    return data
