"""WebSocket: what a message costs that comes back, and one that a thousand peers get."""

from __future__ import annotations

from functools import partial

import client
import roster
from case import Case, Ratio
from harness import Contender

RECEIVERS = 1000
SIZES = {64: "64 B", 1024: "1 KiB"}


def _contenders(mode: str) -> tuple[Contender, ...]:
    return (
        roster.fastloop_ws(mode),
        roster.fastloop_ws(mode, "io_uring"),
        *(roster.ws_peer(name, mode) for name in (roster.PICOWS, roster.WEBSOCKETS)),
        roster.ws_peer(roster.SOCKETIFY, mode),
        roster.granian_ws(mode),
        roster.uvicorn_ws(mode),
    )


def _echo(size: int, depth: int, quick: bool) -> Case:
    at_once = f", {depth} at once" if depth > 1 else ""
    reach = 0.85 if (size, depth) == (64, 1) else None
    return Case(
        f"ws-{size}-{depth}",
        f"WebSocket echo, {SIZES[size]}, 64 connections{at_once}",
        (roster.floor("ws"), *_contenders("echo")),
        partial(
            client.load,
            what=client.web_socket("ws", size),
            connections=64,
            depth=depth,
            seconds=0.5 if quick else 3,
        ),
        ratios=(Ratio(roster.PICOWS, reach), Ratio(roster.FLOOR)),
    )


def cases(quick: bool) -> list[Case]:
    """Return the tables of this suite."""
    return [
        *(_echo(size, depth, quick) for size in SIZES for depth in (1, 16)),
        Case(
            "ws-cast",
            f"WebSocket, 64 B from one to {RECEIVERS:,}, by message received",
            _contenders("cast"),
            partial(
                client.load,
                what=client.web_socket("ws-cast", 64),
                connections=RECEIVERS,
                seconds=0.5 if quick else 3,
            ),
            ratios=(Ratio(roster.SOCKETIFY, 0.5), Ratio(roster.PICOWS, 0.5)),
        ),
    ]
