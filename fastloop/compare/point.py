"""One measurement: a technique, so many connections, busy or idle."""

from __future__ import annotations

import time
from dataclasses import dataclass

from fastloop.compare import proc
from fastloop.compare.driver import Client, Server, settled
from fastloop.compare.errors import PointError
from fastloop.compare.techniques import Technique
from fastloop.compare.workload import Workload

BUSY, IDLE = "busy", "idle"
KINDS = (BUSY, IDLE)
ACTIVE = 64
"""Connections that are busy beside those that are idle."""
SETTLE = 0.1
"""Seconds before memory is read."""


@dataclass
class Point:
    """What was measured, or why it was not. None is what could not be measured."""

    technique: str
    kind: str
    """"busy": all connections ask, each anew when it has its answer. "idle": they asked once and
    say nothing, while 64 others are busy."""
    connections: int
    status: str = "ok"
    """"ok", "refused", "timeout", "failed" or "not run"."""
    why: str = ""
    throughput: float | None = None
    """Messages answered in a second."""
    cpu_us: float | None = None
    """Microseconds of the server's CPU time for each message."""
    server_busy: float | None = None
    """Per cent of a core."""
    client_busy: float | None = None
    """Per cent of a core; near 100, the client is what limits throughput."""
    p50_us: float | None = None
    p99_us: float | None = None
    memory: int | None = None
    """Bytes of the server, all its processes, with what the kernel needs to map them."""
    per_connection: float | None = None
    """Bytes that a connection adds to those."""
    wakeups: float | None = None
    """Voluntary context switches of the server for each message."""
    preempted: float | None = None
    """Involuntary ones."""
    opening: float | None = None
    """Seconds until all connections had their first answer."""


@dataclass(frozen=True)
class Setting:
    """What is the same for all points."""

    workload: Workload
    seconds: float
    server_core: int | None = None
    client_core: int | None = None
    patience: float = 60.0
    """Seconds in which all connections must be open and have their first answer."""

    @property
    def warmup(self) -> float:
        """Seconds before the measurement begins."""
        return self.seconds / 3


def measure(setting: Setting, technique: Technique, kind: str, connections: int) -> Point:
    """Starts a server and a client and measures; what went wrong is in the point."""
    point = Point(technique.name, kind, connections)
    active = connections if kind == BUSY else ACTIVE
    total = connections + (ACTIVE if kind == IDLE else 0)
    workload = setting.workload
    options = [*workload.options, *technique.options, "--max-connections", str(total + 16)]
    server = Server(
        workload.target, workload.url, [*options, "--log-level", "warning"], setting.server_core
    )
    try:
        with server:
            try:
                _measure(setting, point, server, active)
            except PointError as error:
                said = server.complaints()
                raise PointError(
                    error.status, f"{error}; server: {said}" if said else str(error)
                ) from error
    except PointError as error:
        point.status, point.why = error.status, str(error)
    return point


def _measure(setting: Setting, point: Point, server: Server, active: int) -> None:
    load = setting.workload.load
    core = None if setting.client_core is None else [setting.client_core]
    with Client(server.address, load, core) as client:
        client.open("busy", 2)  # what is allocated once is not a connection's
        client("start")
        client("mark")
        time.sleep(SETTLE)
    settled(SETTLE)
    before = _allocated(server)
    with Client(server.address, load, core) as client:
        point.opening = 0.0
        if point.kind == IDLE and point.connections:
            point.opening = client.open("idle", point.connections, setting.patience)
            settled(SETTLE)
            point.memory, point.per_connection = _memory(server, before, point.connections)
        seconds = client.open("busy", active, setting.patience)
        if point.kind == BUSY:
            point.opening = seconds
        client("start")
        time.sleep(setting.warmup)
        _window(setting, point, server, client)
        if point.kind == BUSY:
            point.memory, point.per_connection = _memory(server, before, active)
        elif point.connections:
            client("still")


def _window(setting: Setting, point: Point, server: Server, client: Client) -> None:
    """What happens in the seconds to come. The client asks on while the counters are read, so each
    of them is read at both ends of a window of the same length."""
    client("mark")
    earlier = proc.usage(server.pid) if proc.AVAILABLE else None
    time.sleep(setting.seconds)
    figures = client("mark")
    point.throughput = figures["messages"] / figures["seconds"]
    point.client_busy = figures["busy"]
    point.p50_us, point.p99_us = figures["p50_us"], figures["p99_us"]
    if earlier is not None:
        cost, messages = proc.usage(server.pid) - earlier, figures["messages"]
        point.cpu_us = cost.cpu * 1e6 / messages
        point.server_busy = cost.cpu * 100 / figures["seconds"]
        point.wakeups, point.preempted = cost.wakeups / messages, cost.preempted / messages


def _allocated(server: Server) -> int:
    if not proc.AVAILABLE:
        return 0
    return proc.allocated(server.pid) + proc.page_tables(server.pid)


def _memory(server: Server, before: int, connections: int) -> tuple[int | None, float | None]:
    """All memory, and what each connection added."""
    if not proc.AVAILABLE:
        return None, None
    total = proc.pss(server.pid) + proc.page_tables(server.pid)
    return total, (_allocated(server) - before) / connections
