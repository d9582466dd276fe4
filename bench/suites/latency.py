"""A handler that computes: batching must not make the first answers wait for the last."""

from __future__ import annotations

from functools import partial

import client
import roster
from case import COST, Case, Metric, Ratio

MS = (Metric("p50_us", "p50 ms", ".2f", 1e-3), Metric("p99_us", "p99 ms", ".2f", 1e-3))


def cases(quick: bool) -> list[Case]:
    """Return the tables of this suite."""
    return [
        Case(
            f"busy-{connections}",
            f"a handler of 1 ms, {connections} connections",
            (
                roster.peer("uvloop", "busy_1ms"),
                roster.fastloop("busy_1ms", "raw"),
                roster.peer("asyncio", "busy_1ms"),
            ),
            partial(
                client.load,
                what=client.echoing("raw"),
                connections=connections,
                depth=1,
                seconds=1 if quick else 5,
            ),
            ratios=(Ratio("uvloop"),),
            metrics=(*MS, *COST[:2]),
        )
        for connections in (8, 64)
    ]
