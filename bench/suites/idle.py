"""Connections that say nothing: the memory each one holds, and what they cost while they wait."""

from __future__ import annotations

import time

import client
import roster
from case import Case, Metric
from client import Sample
from harness import Server
from measure import pss, usage

SETTLE = 1.0
"""Seconds before a figure is read: for frees, closes and timers that follow the last message."""
KV = (roster.REDIS, roster.FASTLOOP_KV)


def _metrics(seconds: float) -> tuple[Metric, ...]:
    return (
        Metric("bytes", "bytes/connection"),
        Metric("base", "MB without any", ".1f", 1e-6),
        Metric("wakeups", f"wake-ups in {seconds:.0f} s"),
        Metric("cpu_ms", f"CPU ms in {seconds:.0f} s", ".2f"),
    )


def _measure(server: Server, connections: int, seconds: float) -> Sample:
    framing = "resp" if server.name in KV else "raw"
    # What a server allocates once, whatever the number of connections, is not theirs.
    client.echo(server, framing=framing, connections=64, depth=1, seconds=0.5)
    time.sleep(SETTLE)
    empty = pss(server.pid)
    with client.idle(server, framing=framing, connections=connections):
        time.sleep(SETTLE)
        full, before = pss(server.pid), usage(server.pid)
        time.sleep(seconds)
        cost = usage(server.pid) - before
    return {
        "bytes": (full - empty) / connections,
        "base": empty,
        "wakeups": cost.wakeups,
        "cpu_ms": cost.cpu * 1000,
    }


def cases(quick: bool) -> list[Case]:
    """Return the tables of this suite."""
    connections, seconds = (1000, 2.0) if quick else (10_000, 10.0)
    peers = [roster.peer(name, "raw") for name in ("uvloop", "asyncio", "gevent")]
    return [
        Case(
            "idle",
            f"{connections:,} idle connections after one message each",
            (
                roster.floor("raw"),
                roster.fastloop("raw", "raw"),
                roster.fastloop_kv(),
                *peers,
                roster.redis(),
            ),
            lambda server: _measure(server, connections, seconds),
            base=roster.REDIS,
            metrics=_metrics(seconds),
        )
    ]
