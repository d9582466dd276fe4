"""Low, Medium or High: the word of the classic table for how a technique scales, by measurement.

A technique *carries* so many connections if all of them get their answers, at no more than twice
the server's CPU time for a message that it takes at its best, both when all are busy and when all
but 64 say nothing, and in no more than 1 GiB of memory. CPU time and not throughput is judged since
it moves little when other programs run; where it cannot be measured, half of the best throughput
takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastloop.compare.point import BUSY, Point

TWICE = 2.0
MEMORY = 1024**3
MEDIUM, HIGH = 1000, 10_000
FEW = 100
"""Fewer busy connections keep no server busy: they have only to be answered."""


@dataclass(frozen=True)
class Grade:
    """How a technique scales."""

    word: str
    """"Low" (below 1,000 connections), "Medium" or "High" (10,000 and more)."""
    carries: int
    """The most connections that were measured and carried."""
    open_end: bool
    """Whether nothing larger was asked for, so that it may carry more than that."""


def grade(points: Sequence[Point], technique: str) -> Grade:
    """Judges a technique by its points."""
    mine = [point for point in points if point.technique == technique]
    counts = sorted({point.connections for point in mine if point.connections})
    least = min(filter(None, map(cost, mine)), default=0.0)
    carried = 0
    for count in counts:
        if not all(carries(point, least) for point in mine if point.connections == count):
            break
        carried = count
    word = "High" if carried >= HIGH else "Medium" if carried >= MEDIUM else "Low"
    return Grade(word, carried, bool(counts) and carried == counts[-1])


def cost(point: Point) -> float | None:
    """Microseconds for a message: of the server's CPU, or else of time."""
    if point.cpu_us is not None:
        return point.cpu_us
    return 1e6 / point.throughput if point.throughput else None


def carries(point: Point, least: float) -> bool:
    """Whether this measurement is a success, for a technique whose least cost is this."""
    if point.status != "ok" or (point.memory or 0) > MEMORY:
        return False
    few = point.kind == BUSY and point.connections < FEW
    return few or (cost(point) or 0.0) <= TWICE * least
