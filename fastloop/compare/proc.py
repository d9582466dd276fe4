"""What a process and all its descendants cost, read from Linux' /proc.

Elsewhere there is no such thing: `AVAILABLE` is False, and nobody should ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
AVAILABLE = (PROC / "self" / "task").is_dir() and (PROC / "self" / "smaps_rollup").exists()
SAMPLED = 64
"""Of more processes than this, so many are looked at, as an estimate for all of them: to read the
memory of one takes a millisecond or more, and they are forks of each other."""


@dataclass(frozen=True)
class Usage:
    """Counters since the start of the processes; subtract two for what happened in between."""

    cpu: float
    """Seconds on a CPU, user and system, of all threads alive."""
    wakeups: int
    """Context switches that were voluntary: a thread went to sleep, and so had to be woken."""
    preempted: int
    """Those that were not: its time was up, or somebody else was more important."""

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(
            self.cpu - earlier.cpu,
            self.wakeups - earlier.wakeups,
            self.preempted - earlier.preempted,
        )


def tree(pid: int) -> list[int]:
    """A process and all its descendants, itself first."""
    found = [pid]
    for parent in found:  # grows while it is walked
        for task in tasks(parent):
            found.extend(int(child) for child in _text(task / "children").split())
    return found


def tasks(pid: int) -> Iterator[Path]:
    """The directory of each of its threads; none if it is gone."""
    try:
        yield from (PROC / str(pid) / "task").iterdir()
    except (FileNotFoundError, ProcessLookupError):
        return


def usage(pid: int) -> Usage:
    """The counters of a process tree.

    CPU time is taken from schedstat, in nanoseconds, as the ticks of /proc/PID/stat are too coarse
    for a window of a second.
    """
    cpu = wakeups = preempted = 0
    for process in tree(pid):
        for task in tasks(process):
            cpu += int((_text(task / "schedstat") or "0").split()[0])
            status = _text(task / "status")
            wakeups += field(status, "voluntary_ctxt_switches")
            preempted += field(status, "nonvoluntary_ctxt_switches")
    return Usage(cpu / 1e9, wakeups, preempted)


def pss(pid: int) -> int:
    """Memory of a process tree in bytes, where of what several processes share each has a part."""
    return _sum(tree(pid), lambda p: _rollup(p, "Pss"))


def allocated(pid: int) -> int:
    """The same without what is mapped from files.

    The part of those pages changes whenever another program that uses the library comes or goes.
    """
    return _sum(tree(pid), lambda p: _rollup(p, "Pss_Anon") + _rollup(p, "Pss_Shmem"))


def page_tables(pid: int) -> int:
    """Bytes of the kernel's that describe the memory of a process tree: many small processes pay
    more for these than for what they describe."""
    return _sum(tree(pid), lambda p: field(_text(PROC / str(p) / "status"), "VmPTE") * 1024)


def threads(pid: int) -> int:
    """How many threads a process tree has."""
    return sum(1 for process in tree(pid) for _ in tasks(process))


def field(text: str, name: str) -> int:
    """The number behind a name and a colon, as in "Pss:   1234 kB"; 0 if it is not there."""
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def available() -> int:
    """Bytes of memory that new programs can get without swapping."""
    return field(_text(PROC / "meminfo"), "MemAvailable") * 1024


def _rollup(pid: int, kind: str) -> int:
    return field(_text(PROC / str(pid) / "smaps_rollup"), kind) * 1024


def _sum(pids: list[int], of: Callable[[int], int]) -> int:
    """The sum over processes: of the first, and of the others or of some of them, scaled up."""
    first, *others = pids
    step = -(-len(others) // SAMPLED) or 1
    looked_at = others[::step]
    rest = sum(map(of, looked_at)) * len(others) // len(looked_at) if others else 0
    return of(first) + rest


def _text(path: Path) -> str:
    """What a file of /proc holds; empty if its process has just ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
