"""The body of a request that is read as it arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from fastloop._ffi import lib, strerror
from fastloop.errors import ConnectionClosed, FastloopError
from fastloop.http.errors import HTTPError
from fastloop.http.pumps import answer_of

if TYPE_CHECKING:
    from fastloop.http.request import Request
    from fastloop.runtime import Runtime

_STATUS = {lib.FL_EPROTO: 400, lib.FL_ELIMIT: 413, lib.FL_ESLOW: 408}


class Body:
    """Pieces of one body, for one reader: ``next`` in a task, ``wait`` in a worker thread."""

    def __init__(self, runtime: Runtime, id: int, here: bytes | None) -> None:
        """``here`` is all of it if it came with the head."""
        self._runtime = runtime
        self._id = id
        self._here = here
        self._ended = False
        self._kept: bytes | None = None

    @property
    def whole(self) -> bytes:
        """All of it, once ``keep`` has it. Raises FastloopError before."""
        if self._kept is None:
            raise FastloopError("the body is not read yet: use read() or stream()")
        return self._kept

    def keep(self, rest: bytes) -> bytes:
        """Keeps what was read, unless it was before. Returns it."""
        if self._kept is None:
            self._kept = rest
        return self._kept

    async def next(self) -> bytes:
        """The next piece; b"" at the end."""
        if self._ended or self._here is not None:
            return self._at_hand()
        return self._take(await answer_of(self._runtime.waits.body, self._id))

    def wait(self) -> bytes:
        """The same by waiting, in another thread."""
        if self._ended or self._here is not None:
            return self._at_hand()
        waits = self._runtime.waits
        return self._take(waits.wait(waits.body, self._id))

    def _at_hand(self) -> bytes:
        piece, self._here = self._here or b"", None
        self._ended = True
        return piece

    def _take(self, answer: Any) -> bytes:
        piece, self._ended = checked(answer)
        return piece


def checked(answer: Any) -> tuple[bytes, bool]:
    """A piece of a body and whether it is the last; or raises what is wrong with the rest of it."""
    if isinstance(answer, int):
        if answer in _STATUS:
            raise HTTPError(_STATUS[answer], strerror(answer))
        raise ConnectionClosed("the client left before the end of the body")
    return cast("tuple[bytes, bool]", answer)


class Gather:
    """Reads a whole body on the loop, for a handler that takes no pieces."""

    def __init__(
        self, request: Request, done: Callable[[bytes | None, Exception | None], None]
    ) -> None:
        """Calls ``done`` with the body, or with what is wrong with it."""
        self._waits = request._runtime.waits
        self._id = request[5]
        self._done = done
        self._pieces: list[bytes] = []
        self._waits.body(self._id, self._took)

    def _took(self, answer: Any) -> None:
        try:
            piece, ended = checked(answer)
        except Exception as error:
            self._done(None, error)
            return
        self._pieces.append(piece)
        if ended:
            self._done(b"".join(self._pieces), None)
        else:
            self._waits.body(self._id, self._took)
