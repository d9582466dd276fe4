"""The place of a response that comes later, or in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastloop._ffi import lib
from fastloop.crossing import FAULT, MARK
from fastloop.dispatch import next_ticket
from fastloop.wsgi.start import Start

if TYPE_CHECKING:
    from fastloop.runtime import Runtime

_END = (MARK, lib.FL_HTTP_END)


class Place:
    """Where a response goes. From any one thread at a time."""

    def __init__(self, runtime: Runtime, id: int) -> None:
        self.runtime = runtime
        self.id = id
        self.ticket = next_ticket()

    @property
    def later(self) -> tuple[Any, ...]:
        """What stands there meanwhile."""
        return (MARK, lib.FL_LATER, self.ticket)

    def begin(self, start: Start) -> None:
        """Sends the head, unless it was sent."""
        if not start.begun:
            start.begun = True
            self.say((MARK, lib.FL_HTTP_START, start.code, start.headers))

    def say(self, value: Any) -> None:
        """Sends something ahead of what is still to come."""
        self._call(lib.FL_SEND, value)

    def keep(self, value: Any) -> None:
        """Gives the whole response, or what ends it."""
        self._call(lib.FL_FILL, value)

    def end(self) -> None:
        """That was all of it."""
        self.keep(_END)

    def fail(self) -> None:
        """It cannot be completed: the peer must not take what it has for the whole."""
        self.keep(FAULT)

    def _call(self, op: int, value: Any) -> None:
        runtime = self.runtime
        runtime.call(runtime.command, (MARK, op, self.id, self.ticket, value))
