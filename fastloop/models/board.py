"""Counters of many small loops, where the loop that accepts can add them up."""

from __future__ import annotations

import mmap
from typing import Any

from fastloop._ffi import ffi

TOLD = ("messages", "bytes_in", "bytes_out", "turns", "crossings", "protocol_errors", "unsent")
"""What the loop of a connection counts; connections are counted by the one that accepts."""

_PAGE = 256


class Board:
    """Slots in memory that child processes share; what a process counted outlives its crash."""

    def __init__(self) -> None:
        self._pages: list[Any] = []
        self._free: list[Any] = []
        self._used: dict[int, Any] = {}
        self._ended = dict.fromkeys(TOLD, 0)

    def slot(self, id: int) -> Any:
        """A slot for this connection: an ``fl_stats *``."""
        if not self._free:
            size = ffi.sizeof("fl_stats")
            page = ffi.from_buffer("fl_stats[]", mmap.mmap(-1, _PAGE * size))
            self._pages.append(page)
            self._free = [page + n for n in range(_PAGE)]
        slot = self._used[id] = self._free.pop()
        return slot

    def release(self, id: int) -> None:
        """The connection ended; what it counted stays in the sum."""
        slot = self._used.pop(id, None)
        if slot is None:
            return
        for name in TOLD:
            if name != "unsent":
                self._ended[name] += getattr(slot, name)
            setattr(slot, name, 0)
        self._free.append(slot)

    def add_to(self, stats: Any) -> None:
        """Adds all that was counted to an ``fl_stats``."""
        for name in TOLD:
            total = getattr(stats, name) + self._ended[name]
            setattr(stats, name, total + sum(getattr(slot, name) for slot in self._used.values()))
