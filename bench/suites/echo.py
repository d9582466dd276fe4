"""Echo of 64 bytes: what a message costs, framed or not, on few connections and on many."""

from __future__ import annotations

from functools import partial

import client
import roster
from case import Case, Ratio


def _case(name: str, title: str, framing: str, connections: int, depth: int, quick: bool) -> Case:
    peers = [roster.peer(peer, framing) for peer in ("uvloop", "asyncio", "gevent")]
    return Case(
        name,
        title,
        (
            roster.floor(framing),
            roster.fastloop(framing, framing),
            roster.fastloop(framing, framing, backend="io_uring"),
            *peers,
        ),
        partial(
            client.load,
            what=client.echoing(framing),
            connections=connections,
            depth=depth,
            seconds=0.5 if quick else 3,
        ),
        ratios=(Ratio(roster.FLOOR),),
    )


def cases(quick: bool) -> list[Case]:
    """Return the tables of this suite."""
    return [
        _case("raw", "raw echo, 64 B, 64 connections", "raw", 64, 1, quick),
        _case("raw-1000", "raw echo, 64 B, 1,000 busy connections", "raw", 1000, 1, quick),
        _case("line", "line echo, 64 B, 64 connections", "line", 64, 1, quick),
        _case("line-16", "line echo, 64 B, 64 connections, 16 at once", "line", 64, 16, quick),
    ]
