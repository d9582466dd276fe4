"""Timers of the user's, kept in C by slot number and here by what they call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastloop._ffi import lib
from fastloop.crossing import MARK

if TYPE_CHECKING:
    from fastloop.runtime import Runtime


class Timer:
    """A call that is due later; ``cancel()`` takes it back."""

    def __init__(self, owner: Timers, function: Callable[[], Any]) -> None:
        self._owner = owner
        self.function: Callable[[], Any] | None = function
        self.slot = -1

    def cancel(self) -> None:
        """Forgets the call if it was not made yet. From any thread; twice is fine."""
        self.function = None
        self._owner.runtime.call(self._owner.cancel, self)


class Timers:
    """Small numbers, reused, for the timers of one loop."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._slots: list[Timer | None] = []
        self._free: list[int] = []
        self.cancelled: list[int] = []

    def set(self, seconds: float, function: Callable[[], Any]) -> Timer:
        """Calls the function on the loop's thread after so many seconds; from any thread."""
        timer = Timer(self, function)
        self.runtime.call(self._file, timer, seconds)
        return timer

    def _file(self, timer: Timer, seconds: float) -> None:
        if timer.function is None:  # cancelled before it came here
            return
        if not self._free:
            self._free.append(len(self._slots))
            self._slots.append(None)
        timer.slot = self._free.pop()
        self._slots[timer.slot] = timer
        self.runtime.command((MARK, lib.FL_TIMER, timer.slot, int(max(0.0, seconds) * 1e6)))

    def cancel(self, timer: Timer) -> None:
        """Frees the slot of a timer; on the loop's thread."""
        if timer.slot >= 0 and self._slots[timer.slot] is timer:
            self._slots[timer.slot] = None
            self.cancelled.append(timer.slot)
            self.runtime.command((MARK, lib.FL_CANCEL, timer.slot))

    def recycle(self) -> None:
        """Between two turns: what was cancelled in the last one can no longer be told as due."""
        self._free += self.cancelled
        self.cancelled.clear()

    def fired(self, _listener: int, _ids: None, slots: list[int]) -> None:
        """The C side says that these are due."""
        for slot in slots:
            timer = self._slots[slot]
            if timer is None:
                continue
            self._slots[slot] = None
            self._free.append(slot)
            function, timer.function = timer.function, None
            self.runtime.call_user(function)
