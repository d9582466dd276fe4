"""A key-value store with its logic in Python against Redis, by Redis' own benchmark."""

from __future__ import annotations

from functools import partial

import client
import roster
from case import Case, Ratio

REQUESTS = {1: 200_000, 16: 1_000_000, 64: 2_000_000}
"""By how many are sent at once: each some seconds of work."""


def cases(quick: bool) -> list[Case]:
    """Return the tables of this suite."""
    contenders = (roster.redis(), roster.fastloop_kv(), roster.fastloop_kv("io_uring"))
    return [
        Case(
            f"{test}-{depth}",
            f"{test.upper()}, 50 connections, -P {depth}",
            contenders,
            partial(
                client.redis, test=test, depth=depth, requests=requests // 10 if quick else requests
            ),
            ratios=(Ratio(roster.REDIS),),
        )
        for depth, requests in REQUESTS.items()
        for test in ("set", "get")
    ]
