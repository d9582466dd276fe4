"""What one table shows: a load, the servers that take it, and the columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from client import Sample
from harness import Contender, Server


@dataclass(frozen=True)
class Metric:
    """A column."""

    key: str
    """Of the sample."""
    label: str
    format: str = ",.0f"
    scale: float = 1.0


CPU = Metric("cpu_us", "CPU µs/req", ".2f")
RPS = Metric("rps", "req/s")
P50 = Metric("p50_us", "p50 µs")
P99 = Metric("p99_us", "p99 µs")
BUSY = Metric("busy", "busy %")
COST = (CPU, RPS, P50, P99, BUSY)


@dataclass(frozen=True)
class Ratio:
    """A column that compares the first figure with that of one contender."""

    base: str
    """Whose figure is the 1.00."""
    reach: float | None = None
    """What fastloop wants to reach, at most."""

    @property
    def label(self) -> str:
        """The head of the column."""
        return f"/ {self.base}" + (f" (≤ {self.reach:.2f})" if self.reach is not None else "")


@dataclass(frozen=True)
class Case:
    """A table of a suite: one row for each contender."""

    name: str
    title: str
    contenders: tuple[Contender, ...]
    measure: Callable[[Server], Sample]
    ratios: tuple[Ratio, ...]
    metrics: tuple[Metric, ...] = COST
    """The first is the one to steer by: it is plotted, and ratios are of it."""
