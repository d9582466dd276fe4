"""One request of ASGI and its response: what ``receive`` and ``send`` do.

A response that is said in one go is one reply of the core; one that comes in pieces, or after the
turn that brought its request, is a promise that is filled. Nothing is sent before the first part of
the body is known, as the specification demands: until then an error can still be answered by 500.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Iterable
from typing import Any, ClassVar

from fastloop._ffi import lib, strerror
from fastloop.asgi.disconnect import is_disconnect
from fastloop.asgi.extensions import EXTENSIONS
from fastloop.asgi.stages import BEGUN, COMPLETE, EXPECTED, NEW, STARTED, TRAILING
from fastloop.crossing import FAULT, MARK
from fastloop.dispatch import next_ticket
from fastloop.errors import ConnectionClosed
from fastloop.http.pumps import answer_of
from fastloop.runtime import Runtime

log = logging.getLogger("fastloop")

Message = dict[str, Any]

CHUNK = 64 * 1024
"""Bytes of a body that are sent before ``send`` waits until the peer takes them."""

_STATUS = {lib.FL_EPROTO: 400, lib.FL_ELIMIT: 413, lib.FL_ESLOW: 408}
_END = (MARK, lib.FL_HTTP_END)
_TEXT = [(b"content-type", b"text/plain; charset=utf-8")]


class Cycle:
    """A request and its response. Each runtime has a class of its own."""

    runtime: ClassVar[Runtime]
    out: ClassVar[list[Any]]  # the runtime's

    ticket = 0  # of the promise; 0: the reply is still to be said in this turn
    stage = NEW
    gone = False
    _read = False  # whether the whole body was handed over
    _piece: asyncio.Future[Any] | None = None  # of the body: it was asked for, and not handed over
    status = 200
    headers: Any = ()
    trailers: Any = None  # fields behind the body, if there are to be any
    _asked = 0  # bytes since somebody waited for room
    _leaving: asyncio.Future[None] | None = None
    _watched = False
    _listens = False  # for the end of what the peer says
    _told = False  # that end, which may not be that of the connection

    def __init__(self, body: bytes | None, id: int) -> None:
        self.body = body
        self.id = id

    # -- the request --

    async def receive(self) -> Message:
        """The next event: pieces of the body, and then the end, when that comes."""
        if self.gone or self.stage == COMPLETE:
            return {"type": "http.disconnect"}
        if self._read:
            return await self._disconnect()
        if self.body is not None:
            self._read = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        if self._piece is None:
            self.promise()
            self._piece = asyncio.get_running_loop().create_future()
            self.runtime.waits.body(self.id, self._came)
        piece = self._piece
        answer = await asyncio.shield(piece)  # who is cancelled leaves it to the next
        if piece is not self._piece or self.stage == COMPLETE:  # another who waited has it
            return await self.receive()
        if isinstance(answer, int):  # whoever asks again is told so again
            self._body_failed(answer)
            return {"type": "http.disconnect"}
        self._piece = None
        body, self._read = answer
        return {"type": "http.request", "body": body, "more_body": not self._read}

    def _came(self, answer: Any) -> None:
        if self._piece is not None and not self._piece.done():
            self._piece.set_result(answer)

    async def _disconnect(self) -> Message:
        """Waits until the peer is done with us; one that shut its side only may still read."""
        if self._leaving is None:
            self._leaving = asyncio.get_running_loop().create_future()
            self._listens = True
            self.promise()
            self.runtime.waits.leave(self.id, self._done)
        await asyncio.shield(self._leaving)
        return {"type": "http.disconnect"}

    def _watch(self) -> None:
        if not self._watched:
            self._watched = True
            self.promise()
            self.runtime.waits.end(self.id, self._left)

    def _left(self, _: Any) -> None:
        self.gone = True
        self._release()

    def _done(self, why: int) -> None:
        self._told = True
        self.gone = self.gone or why != 0 or not self.runtime.is_open(self.id)
        self._listens = False
        self._wake()

    def _wake(self) -> None:
        if self._leaving is not None and not self._leaving.done():
            self._leaving.set_result(None)

    def _release(self) -> None:
        """Nobody needs to wait for the end of this any more."""
        if self._watched:
            self._watched = False
            self.runtime.waits.forget(self.id, self._left)
        if self._listens:
            self.runtime.waits.forget(self.id, self._done)
            self._listens = False
        self._came(-errno.ENOTCONN)
        self._wake()

    def _body_failed(self, why: int) -> None:
        """The rest of the body cannot be read: a peer that is still there is told why."""
        status = _STATUS.get(why)
        if status is None:
            self._left(why)
        elif self.stage < BEGUN:
            self.refuse(status, (), strerror(why))

    # -- the response --

    async def send(self, message: Message) -> None:
        """Takes the next part of the response; waits while the peer is slow.

        Raises ConnectionClosed, an OSError, when the peer is known to be gone (ASGI 2.4), and
        RuntimeError for a message that is out of order. After the end everything is ignored.
        """
        if self.gone:
            raise ConnectionClosed("the client left")
        stage = self.stage
        if stage == COMPLETE:
            return
        kind = message["type"]
        if kind == "http.response.body" and stage != NEW and stage != TRAILING:
            body = message.get("body", b"")
            if type(body) is not bytes:
                body = bytes(body)
            if stage == STARTED and self.trailers is None and not message.get("more_body"):
                self._say((MARK, lib.FL_HTTP, self.status, self.headers, body))
            else:
                await self.piece(body, len(body), more=message.get("more_body", False))
        elif kind == "http.response.start" and stage == NEW:
            self.status = int(message["status"])
            headers = message.get("headers", ())
            self.headers = headers if type(headers) is list else list(map(tuple, headers))
            if message.get("trailers"):
                self.trailers = []
            self.stage = STARTED
        elif kind in EXTENSIONS and (extension := EXTENSIONS[kind]).fits(stage):
            await extension.send(self, message)
        else:
            raise RuntimeError(f"{kind!r} does not fit here: {EXPECTED[stage]}")

    def promise(self) -> None:
        """Takes the place of the reply, if nothing did."""
        if not self.ticket and self.stage != COMPLETE:
            self.ticket = next_ticket()
            self.out.append((MARK, lib.FL_LATER, self.ticket))

    def _say(self, value: Any) -> None:
        """The whole response, or its end."""
        self.stage = COMPLETE
        if self.ticket:
            self.runtime.command((MARK, lib.FL_FILL, self.id, self.ticket, value))
            self._release()  # who waits has promised
        else:
            self.out.append(value)

    def put(self, value: Any) -> None:
        """Says a part of the response, in the place that was promised to it."""
        self.promise()
        self.runtime.command((MARK, lib.FL_SEND, self.id, self.ticket, value))

    async def piece(self, piece: Any, size: int, *, more: bool) -> None:
        """Sends a piece of the body, of so many bytes; waits for room unless it is the last."""
        if self.stage == STARTED:
            self.stage = BEGUN
            self.put((MARK, lib.FL_HTTP_START, self.status, self.headers))
            self._watch()
        if size:
            self.put(piece)
            if type(piece) is tuple:  # a file, which may be closed or removed from now on
                self.runtime.flush()
            self._asked += size
        if not more:
            self.stage = TRAILING
            if self.trailers is None:
                self.end()
        elif self._asked >= CHUNK:
            self._asked = 0
            if await answer_of(self.runtime.waits.room, self.id, self.ticket) < 0:
                self._left(None)
                raise ConnectionClosed("the client left")

    def end(self) -> None:
        """All of the body was sent, and the trailers are known."""
        self._say((*_END, self.trailers) if self.trailers else _END)

    def refuse(self, status: int, headers: Iterable[tuple[str, str]], text: str) -> None:
        """Answers in words, instead of the application."""
        self._say((MARK, lib.FL_HTTP, status, [*_TEXT, *headers], text + "\n"))

    # -- the end --

    def finish(self, task: asyncio.Task[Any]) -> None:
        """The application returned or raised."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failed(error)
        else:
            self.returned(cancelled=task.cancelled())

    def returned(self, *, cancelled: bool = False) -> None:
        """The application is done: what it left open is a failure of its."""
        if self.stage != COMPLETE:
            if not (self.gone or self._told or cancelled):
                log.error("the ASGI application returned without a complete response")
            self._say(FAULT)

    def failed(self, error: BaseException) -> None:
        """Logs what was raised; an answer that did not begin becomes 500, any other is cut."""
        if self.gone and is_disconnect(error):
            log.debug("the client left: %s", error)
        else:
            log.error("the ASGI application failed", exc_info=error)
        if self.stage != COMPLETE:
            self._say(FAULT)
