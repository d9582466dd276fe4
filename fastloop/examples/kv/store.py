"""The data: values by key, and when keys expire.

Workload: mostly GET and SET of keys that never expire, so ``expires`` is usually empty and every
command asks only that. An expired key goes when it is next looked at, or by a sweep over a sample
of those that have a time, every SWEEP_MS at most.

Invariants: no container here is empty; a key in ``expires`` is in ``data``. Commands return copies
of containers, since a reply is encoded only after the commands behind it ran.
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from time import time_ns
from typing import TypeVar

from fastloop.examples.kv.sortedset import SortedSet
from fastloop.resp import Error

Stored = bytes | deque[bytes] | dict[bytes, bytes] | set[bytes] | SortedSet
K = TypeVar("K", bytes, deque[bytes], dict[bytes, bytes], set[bytes], SortedSet)

WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
SWEEP_MS = 100
SAMPLE = 20
SAMPLES = 50  # in one sweep, so that it never holds up a turn for long

data: dict[bytes, Stored] = {}
expires: dict[bytes, int] = {}
"""Milliseconds since 1970."""


def now() -> int:
    """Return the milliseconds since 1970."""
    return time_ns() // 1_000_000


def find(key: bytes, kind: type[K]) -> K | None:
    """Return the value, or None without one; raises Error if it is of another kind."""
    if expires:
        touch(key)
    value = data.get(key)
    if type(value) is kind:
        return value
    if value is None:
        return None
    raise Error(WRONGTYPE)


def make(key: bytes, kind: type[K]) -> K:
    """Return the value, which is a new and empty one if there is none: the caller fills it."""
    value = find(key, kind)
    if value is None:
        value = data[key] = kind()
    return value


def has(key: bytes) -> bool:
    """Tell whether there is a value of any kind."""
    if expires:
        touch(key)
    return key in data


def remove(key: bytes) -> bool:
    """Forget a key; returns whether there was one."""
    expires.pop(key, None)
    return data.pop(key, None) is not None


def settle(key: bytes, value: deque[bytes] | dict[bytes, bytes] | set[bytes] | SortedSet) -> None:
    """Forget a container that has become empty."""
    if not value:
        remove(key)


def expire(key: bytes, when: int) -> None:
    """Let a key end at a time, which may be over: then it is gone at once."""
    expires[key] = when
    touch(key)


def clear() -> None:
    """Forget everything."""
    data.clear()
    expires.clear()
    sweeper.restart()


def touch(key: bytes) -> None:
    """Drop this key if its time is over, and now and then some of the others."""
    moment = now()
    if expires.get(key, moment) < moment:
        remove(key)
    if moment >= sweeper.due:
        sweeper.sweep(moment)


class Sweeper:
    """Goes round all keys that have a time, a sample at a time."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin anew, with whatever keys there will be."""
        self.due = 0
        self._round: Iterator[bytes] = iter(())

    def sweep(self, moment: int) -> None:
        """Drop expired keys, as long as a quarter of each sample was expired."""
        self.due = moment + SWEEP_MS
        for _ in range(SAMPLES):
            sample = list(islice(self._round, SAMPLE))
            if not sample:
                self._round = iter(tuple(expires))
                return
            gone = [key for key in sample if expires.get(key, moment) < moment]
            for key in gone:
                remove(key)
            if 4 * len(gone) < len(sample):
                return
        self.due = moment  # there are many: go on at the next command


sweeper = Sweeper()
