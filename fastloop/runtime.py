"""The turn on the Python side: one loop of the C core and the handlers behind it.

A turn is one call of ``fl_step``: it takes the answers of the last batch (the outbox) and returns
with the next (the inbox). Both cross as marshal bytes. Everything that handlers say meanwhile,
replies and commands, is appended to one list in the order it was said.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from marshal import dumps, loads
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any

from fastloop import notices
from fastloop._ffi import check, ffi, lib
from fastloop.connection import Connection
from fastloop.crossing import marshallable
from fastloop.posting import Posting
from fastloop.timers import Timer, Timers
from fastloop.turned import register, turned
from fastloop.waits import Waits

if TYPE_CHECKING:
    from fastloop.route import Route
    from fastloop.server import Server
    from fastloop.websocket.connection import Opening

log = logging.getLogger("fastloop")


class Runtime(Posting):
    """One loop, used by one thread: the one that calls ``run`` or ``turn``."""

    def __init__(self, server: Server, loop: Any, routes: list[Route]) -> None:
        super().__init__(loop)
        self.server = server
        self.states: dict[int, Any] = {}
        self.closing: set[int] = set()  # connections that the outbox closes
        self.routes = routes
        self.out: list[Any] = []
        self.commands = 0
        self._inbox: Any = None
        self.sockets: dict[object, tuple[int, int]] = {}  # listener, window of compression
        self.openings: dict[int, Opening] = {}  # how WebSockets came about
        self._reasons: dict[int, str] = {}
        self.running = True
        self.drained = 0.0  # until when, by time.monotonic(), what is under way may end
        self.on_command: Callable[[], None] | None = None  # asyncio wants to know of commands
        self._timers = Timers(self)
        self.waits = Waits(self)
        self._on: dict[int, Callable[..., None]] = {
            lib.FL_OPENED: self._opened,
            lib.FL_MESSAGES: self._messages,
            lib.FL_CLOSED: self._closed,
            lib.FL_TIMERS: self._timers.fired,
            lib.FL_NOTICES: notices.report,
            lib.FL_ROOM: self.waits.told_room,
            lib.FL_BODY: self.waits.told_body,
            lib.FL_FILES: self.waits.told_files,
            lib.FL_LEFT: self.waits.told_left,
            lib.FL_REASONS: self._told_reasons,
        }
        register(self)

    # -- the turn --

    def run(self) -> None:
        """Turns until ``stop``."""
        self.begin()
        try:
            while self.running:
                self.turn(-1)
        finally:
            self.end()

    def expect(self) -> None:
        """From now on another thread is to turn it: nothing may be done in this one any more."""
        self.thread = None
        self.turning = True

    def attend(self) -> bool:
        """Does what was posted before the first turn. Returns whether there is to be one."""
        self.thread = get_ident()
        self._run_posted()
        return self.running

    def begin(self) -> None:
        """This thread turns it from now on."""
        self.thread = get_ident()
        self.turning = True
        turned().append(self)

    def end(self) -> None:
        """Nobody turns it any more: who still waits for an answer gets it, or an error."""
        with self._lifetime:
            self.turning = False
        self.waits.close()
        self._run_posted()
        if self in turned():
            turned().remove(self)

    def turn(self, timeout_ms: int) -> None:
        """One turn; waits at most so long for something to do (-1: no limit)."""
        if self._timers.cancelled:
            self._timers.recycle()
        outbox = self._take_outbox()
        n = lib.fl_step(self.loop, outbox, len(outbox), timeout_ms)
        if n > 0:
            if n >= lib.FL_MOVED:
                n -= lib.FL_MOVED
                self._inbox = ffi.buffer(lib.fl_inbox(self.loop), lib.fl_inbox_size(self.loop))
            on = self._on
            for kind, listener, ids, items in loads(self._inbox):
                on[kind](listener, ids, items)
        elif n < 0:
            self._survive(n)
        if self._awake:
            self._run_posted()

    def _take_outbox(self) -> bytes:
        out = self.out
        if not out:
            return b""
        try:
            outbox = dumps(out, 2)
        except ValueError:
            outbox = dumps(marshallable(out), 2)
        out.clear()
        self.closing.clear()
        return outbox

    def flush(self) -> None:
        """Sends what was said so far, in the middle of a batch."""
        outbox = self._take_outbox()
        self._survive(lib.fl_flush(self.loop, outbox, len(outbox)))

    def _survive(self, rc: int) -> None:
        """Goes on after what costs the replies of one turn, and no more."""
        if rc == -errno.ENOMEM:
            log.error("out of memory: messages of this turn may be answered by an error")
        elif rc == lib.FL_EOUTBOX:
            log.error(
                "a handler returned something that marshal carries and no protocol can say, such as"
                " a code object: what was said behind it in this turn is lost"
            )
        else:
            check(rc, "the loop")

    @property
    def quiet(self) -> bool:
        """Whether nothing waits to be applied."""
        return not self.out

    # -- what a turn brings --

    def _messages(self, listener: int, ids: list[int] | None, items: list[Any]) -> None:
        route = self.routes[listener]
        route.dispatch(self, route, ids, items)

    def reply(self, value: Any) -> None:
        """Appends the reply to the next message of the batch."""
        self.out.append(value)

    def connection(self, id: int, ticket: int = 0) -> Connection:
        """A handle for this id."""
        return Connection(self, id, ticket)

    def _opened(self, listener: int, ids: list[int], _: None) -> None:
        route = self.routes[listener]
        make = route.connection or self.connection
        for id in ids:
            self.call_user(route.handler.open, make(id))

    def _told_reasons(self, _listener: int, ids: list[int], texts: list[str]) -> None:
        self._reasons.update(zip(ids, texts, strict=True))

    def _closed(self, listener: int, ids: list[int], reasons: list[int]) -> None:
        route = self.routes[listener]
        close, make = route.handler.close, route.connection or self.connection
        for id, reason in zip(ids, reasons, strict=True):
            given = self._reasons.pop(id, "")
            if close is not None:
                tell = route.reason or _in_words
                self.call_user(close, make(id), tell(reason, given))
            self.states.pop(id, None)
            self.openings.pop(id, None)
            self.waits.told_end(id)

    def is_open(self, id: int) -> bool:
        """Whether anything can still be sent to this connection."""
        return id not in self.closing and bool(lib.fl_alive(self._alive(), id))

    # -- commands --

    def command(self, command: tuple[Any, ...]) -> None:
        """Says something that is no reply; it takes effect in the order it was said."""
        self.commands += 1
        self.out.append(command)
        if self.on_command is not None:
            self.on_command()

    def call_later(self, seconds: float, function: Callable[[], Any]) -> Timer:
        """Calls it on the loop's thread after this time."""
        return self._timers.set(seconds, function)

    # -- ending --

    def drain(self, seconds: float) -> None:
        """Stops accepting, and stops when all is answered and closed, or time is up."""
        lib.fl_drain(self._alive())
        self.drained = monotonic() + seconds
        self._timers.set(seconds, self.stop)
        self._stop_when_empty()

    def _stop_when_empty(self) -> None:
        if self.stats().connections == 0:
            self.stop()
        elif self.running:
            self._timers.set(0.01, self._stop_when_empty)

    def stop(self) -> None:
        """Ends ``run`` after this turn."""
        self.running = False
        self.wake()

    def stats(self) -> Any:
        """The counters of the loop, an ``fl_stats``."""
        stats = ffi.new("fl_stats *")
        lib.fl_read_stats(self._alive(), stats)
        return stats

    def free(self) -> None:
        """Closes every connection and gives the loop back; the thread must be out of ``run``."""
        with self._lifetime:
            loop, self.loop = self.loop, None
        self.running = False
        if loop is not None:
            lib.fl_free(loop)

    def forget(self) -> None:
        """In the child of a fork: lets go of everything without a word to any peer."""
        loop, self.loop = self.loop, None
        if loop is not None and get_ident() == self.thread:  # otherwise it may be in mid-turn
            lib.fl_forget(loop)


def _in_words(reason: int, _: str) -> str:
    """An error of the core; "" for none."""
    return ffi.string(lib.fl_strerror(reason)).decode() if reason else ""
