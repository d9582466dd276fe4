"""Loop threads: what several event loops in one process bring, beside as many processes.

Two cores, on which the clients run too, so that nothing is gained for free: a second loop must earn
what it costs. A light handler returns its argument; a heavy one computes for 200 microseconds and
holds the GIL all the while.
"""

from __future__ import annotations

from functools import partial

import client
import roster
from case import BUSY, CPU, P50, P99, RPS, Case, Metric, Ratio

CLIENT = Metric("client_busy", "client %")
COUNTS = (1, 2, 4)
ONE = roster.loops("threads", 1, "", "").name


def cases(quick: bool) -> list[Case]:
    """Return the tables of this suite."""
    rows = [("threads", n) for n in COUNTS] + [("processes", n) for n in COUNTS[1:]]

    def case(name: str, title: str, handler: str, framing: str, depth: int) -> Case:
        return Case(
            name,
            f"{title} (same two cores for all)",
            tuple(roster.loops(kind, n, handler, framing) for kind, n in rows),
            partial(
                client.load,
                what=client.echoing(framing),
                connections=64,
                depth=depth,
                seconds=0.5 if quick else 3,
            ),
            ratios=(Ratio(ONE),),
            metrics=(RPS, CPU, P50, P99, BUSY, CLIENT),
        )

    return [
        case("threads-line", "a light handler, 64 connections", "line", "line", 1),
        case("threads-resp-16", "RESP PING, 64 connections, 16 at once", "resp", "resp", 16),
        case("threads-heavy", "a handler of 0.2 ms, 64 connections", "busy_200us", "line", 1),
    ]
