"""A WebSocket of an ASGI application: what its ``receive`` and ``send`` do."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from fastloop._ffi import lib
from fastloop.asgi.cycle import CHUNK, Cycle
from fastloop.asgi.disconnect import is_disconnect
from fastloop.asgi.stages import COMPLETE
from fastloop.crossing import FAULT, MARK
from fastloop.errors import ConnectionClosed
from fastloop.http.pumps import answer_of
from fastloop.http.request import Request
from fastloop.websocket.connection import ABNORMAL, check_close
from fastloop.websocket.handshake import Handshake

if TYPE_CHECKING:
    from fastloop.asgi.sockets import Sockets
    from fastloop.runtime import Runtime

log = logging.getLogger("fastloop")

Message = dict[str, Any]

ASKED, CONNECTING, DENYING, OPEN, CLOSED = range(5)
"""Nothing was told yet; the application decides; refuses by a response; has accepted; is over."""

MANY, MUCH = 32, 64 * 1024
"""Messages, or bytes of them, that wait for the application before its peer is read no more."""

NORMAL, FAILED = 1000, 1011
"""Close codes of RFC 6455, section 7.4.1."""


class Socket:
    """A WebSocket, from the handshake on."""

    def __init__(self, handshake: Handshake, cycle: Cycle, sockets: Sockets) -> None:
        self._handshake: Handshake | None = handshake  # until it is accepted: it is some kilobytes
        self._cycle = cycle  # of the response, if it is to be one
        self._runtime: Runtime = cycle.runtime
        self._sockets = sockets
        self.id = cycle.id
        self.stage = ASKED
        self._arrived: deque[str | bytes] = deque()
        self._size = 0  # of what arrived
        self._paused = False
        self._asked = 0  # bytes that were sent since somebody waited for room
        self._end: Message | None = None
        self._waiting: asyncio.Future[None] | None = None
        cycle.promise()
        self._runtime.waits.leave(self.id, self._left)

    # -- what comes --

    async def receive(self) -> Message:
        """The next event: the handshake, then messages, and then the end, for ever."""
        if self.stage == ASKED:
            self.stage = CONNECTING
            return {"type": "websocket.connect"}
        while not self._arrived:
            if self._end is not None:
                return self._end.copy()
            if self._waiting is None or self._waiting.done():
                self._waiting = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiting)
        message = self._arrived.popleft()
        self._size -= len(message)
        if self._paused and not self._arrived:
            self._pause(False)
        kind = "text" if isinstance(message, str) else "bytes"
        return {"type": "websocket.receive", kind: message}

    def arrived(self, message: str | bytes) -> None:
        """A message came. The peer is read no more while many wait here."""
        if self.stage != OPEN:
            return
        self._arrived.append(message)
        self._size += len(message)
        if not self._paused and (len(self._arrived) >= MANY or self._size >= MUCH):
            self._pause(True)
        self._wake()

    def _pause(self, on: bool) -> None:
        self._paused = on
        self._runtime.command((MARK, lib.FL_PAUSE, self.id, int(on)))

    def ended(self, code: int, reason: str) -> None:
        """It is over, with this close code."""
        if self._end is None:
            self._end = {"type": "websocket.disconnect", "code": code, "reason": reason}
        self.stage = CLOSED
        self._sockets.forget(self)
        self._wake()

    def _left(self, _: Any) -> None:
        """The peer went before it was answered."""
        if self.stage < OPEN:
            self._cycle.gone = True
            self.ended(ABNORMAL, "")
            self._runtime.command((MARK, lib.FL_FILL, self.id, self._cycle.ticket, FAULT))

    def _broken(self, _: Any) -> None:
        """It is over. That it was a WebSocket was told before, unless it did not come to that."""
        self.ended(ABNORMAL, "")

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # -- what is said --

    async def send(self, message: Message) -> None:
        """Accepts, refuses, sends and closes; waits while the peer is slow.

        Raises ConnectionClosed, an OSError, when the peer is known to be gone, and RuntimeError for
        a message that is out of order.
        """
        kind = message["type"]
        if self.stage == CLOSED:
            if kind == "websocket.close":
                return
            raise ConnectionClosed("the WebSocket is closed")
        if kind == "websocket.send" and self.stage == OPEN:
            await self._say(message)
        elif kind == "websocket.accept" and self.stage < DENYING:
            self._accept(message)
        elif kind == "websocket.close" and self.stage != DENYING:
            self._close(int(message.get("code") or NORMAL), message.get("reason") or "")
        elif kind.startswith("websocket.http.response.") and self.stage < OPEN:
            self.stage = DENYING
            await self._cycle.send({**message, "type": kind.removeprefix("websocket.")})
            if self._cycle.stage == COMPLETE and self._end is None:
                self._runtime.waits.forget(self.id, self._left)
                self._end = {"type": "websocket.disconnect", "code": ABNORMAL, "reason": ""}
                self._wake()
        else:
            raise RuntimeError(f"{kind!r} does not fit here: {_EXPECTED[self.stage]}")

    def _accept(self, message: Message) -> None:
        listener, window = self._runtime.sockets[self._sockets.endpoint]
        fields = [(_text(name), _text(value)) for name, value in message.get("headers") or ()]
        subprotocol = message.get("subprotocol")
        assert self._handshake is not None
        answer = self._handshake.accept(
            listener, subprotocol=subprotocol, headers=fields, window=window
        )
        self._handshake = None
        self._sockets.open[self.id] = self
        self.stage = OPEN
        self._answer(answer)
        self._runtime.waits.end(self.id, self._broken)

    async def _say(self, message: Message) -> None:
        said = message.get("bytes")
        if said is None:
            said = message["text"]
        elif type(said) is not bytes:
            said = bytes(said)
        self._asked += len(said)
        self._runtime.command((MARK, lib.FL_SEND, self.id, 0, said))
        if self._asked >= CHUNK:
            self._asked = 0
            if await answer_of(self._runtime.waits.room, self.id, 0) < 0:
                raise ConnectionClosed("the client left")

    def _close(self, code: int, reason: str) -> None:
        if self.stage == OPEN:
            check_close(code, reason)
            self._runtime.command((MARK, lib.FL_WS_CLOSE, self.id, code, reason))
        else:
            self._answer((MARK, lib.FL_HTTP, 403, [], b""))
        self._end = {"type": "websocket.disconnect", "code": code, "reason": reason}
        self.stage = CLOSED
        self._wake()

    def _answer(self, answer: Any) -> None:
        self._runtime.waits.forget(self.id, self._left)
        self._runtime.command((MARK, lib.FL_FILL, self.id, self._cycle.ticket, answer))

    # -- the end --

    def finish(self, task: asyncio.Task[Any]) -> None:
        """The application returned or raised."""
        if task.cancelled():
            self.over(asyncio.CancelledError())
        else:
            self.over(task.exception())

    def over(self, error: BaseException | None) -> None:
        """What the application left open is closed."""
        cancelled = isinstance(error, asyncio.CancelledError)
        if error is None and self.stage < DENYING:
            log.error("the ASGI application neither accepted the WebSocket nor refused it")
        elif not (error is None or cancelled or (self.stage == CLOSED and is_disconnect(error))):
            log.error("the ASGI application failed", exc_info=error)
        if self.stage == OPEN:
            self._close(NORMAL if error is None else FAILED, "")
        elif self.stage == DENYING and self._cycle.stage == COMPLETE:
            self._runtime.waits.forget(self.id, self._left)
        elif self.stage != CLOSED:
            self._answer(FAULT)
        self.stage = CLOSED


_EXPECTED = {
    ASKED: "accept or close the WebSocket first",
    CONNECTING: "accept or close the WebSocket first",
    DENYING: "the handshake is being refused by a response",
    OPEN: "websocket.send or websocket.close may come next",
}


def handshake_of(scope: Message, body: bytes | None) -> Handshake:
    """The handshake in a scope. Raises HTTPError for one that is no good."""
    line = b"%s %s HTTP/%s" % tuple(
        value if isinstance(value, bytes) else value.encode()
        for value in (scope["method"], scope["raw_path"], scope["http_version"])
    )
    head = b"\r\n".join([line, *(b"%s: %s" % field for field in scope["headers"]), b""])
    follows = b"" if body is not None else b"to come"
    return Handshake(Request((scope["method"], scope["path"], "", head, body or follows, 0)))


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else bytes(value).decode("latin-1")
