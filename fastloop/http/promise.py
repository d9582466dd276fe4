"""A reply that comes later, and one that comes in pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastloop._ffi import lib
from fastloop.crossing import FAULT, MARK
from fastloop.dispatch import next_ticket
from fastloop.http.convert import Stream
from fastloop.http.response import BYTES, TEXT
from fastloop.http.sse import PING

if TYPE_CHECKING:
    from fastloop.http.request import Request
    from fastloop.runtime import Runtime
    from fastloop.timers import Timer

CHUNK = 64 * 1024
"""Bytes of a body that are sent before somebody asks whether the peer takes them."""

Failed = Callable[["Request", BaseException], Any]
"""Logs what a handler raised, and returns the reply to it."""

_END = (MARK, lib.FL_HTTP_END)


class Promise:
    """The place of a reply that comes later. From any thread."""

    __slots__ = ("failed", "request", "runtime", "ticket")

    def __init__(self, runtime: Runtime, request: Request, failed: Failed) -> None:
        self.runtime = runtime
        self.request = request
        self.failed = failed
        self.ticket = next_ticket()

    @property
    def later(self) -> tuple[Any, ...]:
        """What stands in that place meanwhile."""
        return (MARK, lib.FL_LATER, self.ticket)

    def say(self, value: Any) -> None:
        """Sends something ahead of what is still to come."""
        runtime = self.runtime
        runtime.call(runtime.command, (MARK, lib.FL_SEND, self.request[5], self.ticket, value))

    def keep(self, value: Any) -> None:
        """Gives the reply, or the end of one that was sent in pieces."""
        runtime = self.runtime
        runtime.call(runtime.command, (MARK, lib.FL_FILL, self.request[5], self.ticket, value))


class Outgoing:
    """A response that is sent in pieces. From any one thread at a time."""

    def __init__(self, promise: Promise, stream: Stream) -> None:
        self.promise = promise
        self.stream = stream
        self.gone = False
        """Whether the peer left."""
        self._begun = False
        self._ended = False
        self._asked = 0  # bytes since somebody asked for room
        self._spoke = False  # since the last look of the timer
        self._timer: Timer | None = None
        if stream.eager:
            self._begin(b"")

    @property
    def bodiless(self) -> bool:
        """Whether only the head is wanted; true once that is sent."""
        return self._begun and (
            self.promise.request[0] == "HEAD" or self.stream.status in (204, 304)
        )

    def put(self, item: Any) -> None:
        """Sends one piece. Raises TypeError for what is none."""
        piece = self.stream.encode(item)
        if not self._begun:
            self._begin(piece)
        if piece and not self.bodiless:
            self.promise.say(piece)
            self._asked += len(piece)
            self._spoke = True

    def filled(self) -> bool:
        """Whether it is time to ask for room, now and then."""
        if self._asked < CHUNK:
            return False
        self._asked = 0
        return True

    def leave(self, _: Any) -> None:
        """The peer left: nothing needs to be sent any more."""
        self.gone = True

    def end(self, error: BaseException | None = None) -> None:
        """No more pieces; with an error the peer must not take what it has for the whole."""
        self._ended = True  # also for a look of the timer that is under way in the loop's thread
        if self._timer is not None:
            self._timer.cancel()
        value: Any = _END
        if error is not None and not self.gone:
            reply = self.promise.failed(self.promise.request, error)
            value = FAULT if self._begun else reply
        elif not self._begun:
            self._begin(b"")
        self.promise.keep(value)

    def _begin(self, piece: bytes | str) -> None:
        self._begun = True
        stream = self.stream
        headers = stream.headers
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers = [*headers, ("content-type", TEXT if isinstance(piece, str) else BYTES)]
        self.promise.say((MARK, lib.FL_HTTP_START, stream.status, headers))
        if stream.ping > 0:
            self._arm()

    def _arm(self) -> None:
        self._timer = self.promise.runtime.call_later(self.stream.ping, self._ping)

    def _ping(self) -> None:
        if self.gone or self._ended:
            return
        if not self._spoke:
            self.promise.say(PING)
        self._spoke = False
        self._arm()
