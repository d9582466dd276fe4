"""Busy connections beside idle ones: epoll does not notice them, poll and select ask each."""

from __future__ import annotations

import client
import roster
from case import COST, Case, Ratio
from client import Sample
from harness import Server

COUNTS = {"epoll": (0, 900, 10_000), "poll": (0, 900, 10_000), "select": (0, 900)}
"""select() ends at descriptor 1,024."""
REACH = {"epoll": 1.1, "poll": None, "select": None}


def cases(quick: bool) -> list[Case]:
    """Return the tables of this suite."""

    def measure(server: Server) -> Sample:
        idle = int(server.name.rpartition(" ")[2].replace(",", ""))
        return client.load_beside_idle(
            server,
            client.echoing("line"),
            idle=idle,
            connections=64,
            seconds=0.5 if quick else 3,
        )

    return [
        Case(
            f"{backend}-beside-idle",
            f"{backend}: 64 busy connections beside idle ones",
            tuple(roster.beside(backend, idle) for idle in counts),
            measure,
            ratios=(Ratio(roster.beside(backend, 0).name, REACH[backend]),),
            metrics=COST,
        )
        for backend, counts in COUNTS.items()
    ]
