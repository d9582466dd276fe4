"""All measurements of a comparison: in which order, and which make no sense."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastloop.compare import proc
from fastloop.compare.point import ACTIVE, BUSY, IDLE, Point, Setting, measure
from fastloop.compare.techniques import Technique
from fastloop.config import EVENT_LOOP, FILES

COUNTS: tuple[int, ...] = (1, 10, 100, 1000, 5000, 10_000)
QUICK_COUNTS: tuple[int, ...] = (1, 10, 100, 1000, 10_000)
IDLE_FROM, QUICK_IDLE_FROM = 100, 1000
"""Fewer idle connections cost nothing that could be seen."""
SPARE_FILES = 100
"""Descriptors that are not connections, in either process."""
SHARE = 0.5
"""Of the free memory, and of the threads or processes that the system allows, used at most."""
GIB = 1024**3


@dataclass(frozen=True)
class Step:
    """One measurement that is to be made."""

    technique: Technique
    kind: str
    connections: int


def plan(
    techniques: Sequence[Technique], counts: Sequence[int], idle_from: int = IDLE_FROM
) -> list[Step]:
    """All of them. At each count the techniques take turns, so that a slow minute of the machine
    hits all alike; the measurement without any idle connection comes first."""
    idle = [0, *(count for count in counts if count >= idle_from)]
    if len(idle) == 1:
        idle = [0, max(counts)]
    wanted = [(BUSY, n) for n in counts] + [(IDLE, n) for n in idle]
    wanted.sort(key=lambda each: each[1])
    return [Step(technique, kind, n) for kind, n in wanted for technique in techniques]


def run(
    setting: Setting, steps: Sequence[Step], before: Callable[[Step], object]
) -> Iterator[Point]:
    """Makes the measurements, and calls `before` ahead of each; what makes no sense is a point that
    says why."""
    done: list[Point] = []
    for step in steps:
        before(step)
        why = pointless(step, done, setting.patience)
        if why is None:
            point = measure(setting, step.technique, step.kind, step.connections)
        else:
            point = Point(step.technique.name, step.kind, step.connections, "not run", why)
        done.append(point)
        yield point


def pointless(step: Step, done: Sequence[Point], patience: float) -> str | None:
    """Why this measurement would fail, or take the machine down with it; None if it is to be made.

    What a connection takes, in memory and in time, is taken from the measurement of this technique
    with the most connections so far.
    """
    total = step.connections + (ACTIVE if step.kind == IDLE else 0)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    each = FILES[step.technique.model]
    if files != resource.RLIM_INFINITY and total * each + SPARE_FILES > files:
        needs = f", and each connection takes {each}" if each > 1 else ""
        return f"a process may open {files:,} files only (ulimit -Hn){needs}"
    most = None if step.technique.model == EVENT_LOOP else most_tasks()
    if most is not None and total > most * SHARE:
        return f"the system allows {most:,} threads and processes; half of them are enough"
    mine = [p for p in done if p.technique == step.technique.name]
    failed = [p for p in mine if p.status in ("refused", "timeout") and p.connections < total]
    if failed:
        return f"{failed[0].status} with {failed[0].connections:,} already"
    return too_much(total, [p for p in mine if p.status == "ok" and p.connections >= 10], patience)


def too_much(total: int, measured: Sequence[Point], patience: float) -> str | None:
    """Why the machine or the user's patience is too small for so many connections, if it is."""
    if not measured:
        return None
    last = max(measured, key=lambda p: p.connections)
    needed = (last.per_connection or 0.0) * total
    free = proc.available() if proc.AVAILABLE else 0
    if free and needed > free * SHARE:
        return f"would need {needed / GIB:.1f} GiB of memory; {free / GIB:.1f} GiB are free"
    seconds = (last.opening or 0.0) / last.connections * total
    if seconds > patience:
        return f"would take about {seconds:.0f} s to open ({patience:g} s is the limit)"
    return None


def most_tasks() -> int | None:
    """How many threads and processes there may be; None where nobody tells."""
    found = []
    for name in ("/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max", *cgroup_limits()):
        try:
            found.append(int(Path(name).read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if soft != resource.RLIM_INFINITY and os.geteuid() != 0:
        found.append(soft)
    return min(found, default=None)


def cgroup_limits() -> list[str]:
    """Files that say how many tasks this process's control group may have, and those above it."""
    try:
        group = Path("/proc/self/cgroup").read_text().strip().rpartition(":")[2]
    except OSError:
        return []
    root = Path("/sys/fs/cgroup")
    here = root / group.lstrip("/")
    return [
        str(each / "pids.max") for each in (here, *here.parents) if root in (each, *each.parents)
    ]


def raise_file_limit() -> int:
    """Lets this process, and those it starts, open as many files as the system allows.

    Returns how many; -1 for no limit.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(most, 1_000_000) if most != resource.RLIM_INFINITY else 1_000_000
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    except (OSError, ValueError):  # macOS names a limit here that it does not allow
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, 10_240), most))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
