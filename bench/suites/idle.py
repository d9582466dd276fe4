"""Connections that say nothing: the memory each one holds, and what they cost while they wait."""

from __future__ import annotations

import time
from collections.abc import Callable

import client
import roster
from case import Case, Metric, Ratio
from client import Load, Sample
from fastloop.compare.proc import allocated, pss, usage
from harness import Server, document

SETTLE = 1.0
"""Seconds before a figure is read: for frees, closes and timers that follow the last message."""
KV = (roster.REDIS, roster.FASTLOOP_KV)
TEXT = "Hello, World!"


def _metrics(seconds: float) -> tuple[Metric, ...]:
    return (
        Metric("bytes", "bytes/connection"),
        Metric("base", "MB without any", ".1f", 1e-6),
        Metric("wakeups", f"wake-ups in {seconds:.0f} s"),
        Metric("cpu_ms", f"CPU ms in {seconds:.0f} s", ".2f"),
    )


def _framed(server: Server) -> Load:
    return client.echoing("resp" if server.name in KV else "raw")


def _http(_server: Server) -> Load:
    return client.getting("/plaintext", document("plaintext.txt", len(TEXT), TEXT.encode()))


def _measure(
    what: Callable[[Server], Load], server: Server, connections: int, seconds: float
) -> Sample:
    # What a server allocates once, whatever the number of connections, is not theirs.
    client.load(server, what(server), connections=64, seconds=0.5)
    time.sleep(SETTLE)
    base, empty = pss(server.pid), allocated(server.pid)
    with client.idle(server, what(server), connections=connections):
        time.sleep(SETTLE)
        full, before = allocated(server.pid), usage(server.pid)
        time.sleep(seconds)
        cost = usage(server.pid) - before
    return {
        "bytes": (full - empty) / connections,
        "base": base,
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
            lambda server: _measure(_framed, server, connections, seconds),
            ratios=(Ratio(roster.REDIS),),
            metrics=_metrics(seconds),
        ),
        Case(
            "idle-http",
            f"{connections:,} idle HTTP connections after one request each (reach: 256 bytes)",
            (
                roster.floor("http", "application/octet-stream", TEXT),
                roster.fastloop_http("plaintext"),
                roster.nginx(),
                roster.granian("plaintext"),
                roster.fastpysgi("plaintext"),
                roster.uvicorn("plaintext"),
            ),
            lambda server: _measure(_http, server, connections, seconds),
            ratios=(Ratio(roster.NGINX),),
            metrics=_metrics(seconds),
        ),
    ]
