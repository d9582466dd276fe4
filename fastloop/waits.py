"""Who waits for what the core tells later: room to send, pieces of bodies, files, ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from threading import get_ident
from typing import TYPE_CHECKING, Any

from fastloop._ffi import lib
from fastloop.crossing import MARK

if TYPE_CHECKING:
    from fastloop.runtime import Runtime

Call = Callable[[Any], None]
"""Gets the answer, or an error code of the core, which is an int below 0."""


_SLOTS = 2**31
"""Numbers that the core takes for reads of files; they begin anew when they are used up."""


def _both(first: Call, second: Call) -> Call:
    def told(answer: Any) -> None:
        first(answer)
        second(answer)

    return told


class Waits:
    """The questions of one loop. Everything but ``wait`` is of the loop's thread alone."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._room: dict[int, dict[int, Call]] = {}
        self._body: dict[int, Call] = {}
        self._files: dict[int, Call] = {}
        self._slots = count()
        self._ends: dict[int, list[Call]] = {}
        self._leaving: dict[int, list[Call]] = {}
        self._over = False

    # -- questions --

    def room(self, id: int, ticket: int, call: Call) -> None:
        """Tells the bytes ahead of the reply promised under this ticket, once it is the next of its
        connection and they are no more than low_water; all bytes for ticket 0.
        """
        if self._open(call):
            waiting = self._room.setdefault(id, {})
            first = waiting.get(ticket)
            waiting[ticket] = call if first is None else _both(first, call)
            self._runtime.command((MARK, lib.FL_ASK, id, ticket))

    def body(self, id: int, call: Call) -> None:
        """Tells the next piece of the body of a request, and whether it is the last: a tuple."""
        if self._open(call):
            self._body[id] = call
            self._runtime.command((MARK, lib.FL_MORE, id))

    def file(self, path: str | os.PathLike[str], offset: int, size: int, call: Call) -> None:
        """Tells so many bytes of a file (-1: all) from an offset on."""
        if self._open(call):
            slot = next(self._slots) % _SLOTS
            self._files[slot] = call
            self._runtime.command((MARK, lib.FL_READ, slot, os.fsencode(path), offset, size))

    def end(self, id: int, call: Call) -> None:
        """Tells when a connection is gone; at once if it is."""
        self._watch(self._ends, lib.FL_WATCH, id, call)

    def leave(self, id: int, call: Call) -> None:
        """Tells when a peer will send no more, or its connection is gone; at once if that is so."""
        self._watch(self._leaving, lib.FL_LEAVE, id, call)

    def _watch(self, waiting: dict[int, list[Call]], op: int, id: int, call: Call) -> None:
        if not self._open(call):
            return
        if not self._runtime.is_open(id):
            call(0)
            return
        waiting.setdefault(id, []).append(call)
        self._runtime.command((MARK, op, id))

    def forget(self, id: int, call: Call) -> None:
        """Takes back ``end`` or ``leave``, if it was not told."""
        for watching in (self._ends, self._leaving):
            waiting = watching.get(id, [])
            if call in waiting:
                waiting.remove(call)
                if not waiting:
                    del watching[id]

    def wait(self, question: Callable[..., None], *args: Any) -> Any:
        """The answer to one of these, in another thread; or, where the loop serves one connection
        alone and its own thread may wait, by turning the loop.
        """
        if self._runtime.thread == get_ident():
            return self._turn_until(question, *args)
        answer: Future[Any] = Future()
        if not self._runtime.post_while_turning(question, *args, answer.set_result):
            return lib.FL_ESTOP
        return answer.result()

    def _turn_until(self, question: Callable[..., None], *args: Any) -> Any:
        answers: list[Any] = []
        question(*args, answers.append)
        while not answers and self._runtime.running:
            self._runtime.turn(-1)
        return answers[0] if answers else lib.FL_ESTOP

    def _open(self, call: Call) -> bool:
        if self._over:
            call(lib.FL_ESTOP)
        return not self._over

    # -- answers --

    def told_room(self, _listener: int, ids: list[int], items: list[int]) -> None:
        """FL_ROOM. It is about the first reply of a connection, so about its lowest ticket."""
        for id, item in zip(ids, items, strict=True):
            waiting = self._room.get(id)
            if waiting is None:
                continue
            calls = [waiting.pop(min(waiting))] if item >= 0 else list(waiting.values())
            if item < 0 or not waiting:
                del self._room[id]
            for call in calls:
                self._runtime.call_user(call, item)

    def told_body(self, _listener: int, ids: list[int], items: list[Any]) -> None:
        """FL_BODY: bytes, None for the end, which may follow in the same breath, or an error."""
        for n, (id, item) in enumerate(zip(ids, items, strict=True)):
            call = self._body.pop(id, None)
            if call is None:
                continue
            answer = item
            if not isinstance(item, int):
                ends = item is None or (ids[n + 1 : n + 2] == [id] and items[n + 1] is None)
                answer = (item or b"", ends)
            self._runtime.call_user(call, answer)

    def told_files(self, _listener: int, slots: list[int], items: list[Any]) -> None:
        """FL_FILES."""
        for slot, item in zip(slots, items, strict=True):
            self._runtime.call_user(self._files.pop(slot), item)

    def told_end(self, id: int) -> None:
        """A connection is gone."""
        for call in [*self._ends.pop(id, ()), *self._leaving.pop(id, ())]:
            self._runtime.call_user(call, 0)

    def told_left(self, _listener: int, ids: list[int], _: list[int]) -> None:
        """FL_LEFT."""
        for id in ids:
            for call in self._leaving.pop(id, ()):
                self._runtime.call_user(call, 0)

    def close(self) -> None:
        """Nothing will be told any more: everyone who waits gets an error."""
        self._over = True
        calls = [*self._body.values(), *self._files.values()]
        for asking in self._room.values():
            calls += asking.values()
        for watching in [*self._ends.values(), *self._leaving.values()]:
            calls += watching
        for waiting in (self._room, self._body, self._files, self._ends, self._leaving):
            waiting.clear()
        for call in calls:
            self._runtime.call_user(call, lib.FL_ESTOP)
