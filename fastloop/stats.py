"""What the loops counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class Stats:
    """Counters since the start, summed over the loop threads; bytes where it says bytes."""

    connections: int = 0
    """Open now."""
    accepted: int = 0
    refused: int = 0
    closed: int = 0
    messages: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    unsent: int = 0
    """Bytes that wait for peers now."""
    turns: int = 0
    """Waits of the pollers."""
    crossings: int = 0
    """Batches handed to Python."""
    protocol_errors: int = 0

    @classmethod
    def total(cls, counted: Iterable[Any]) -> Self:
        """Sums up ``fl_stats`` structs."""
        sums = dict.fromkeys((field.name for field in fields(cls)), 0)
        for stats in counted:
            for name in sums:
                sums[name] += getattr(stats, name)
        return cls(**sums)
