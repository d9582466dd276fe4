"""What a server costs, read from /proc: CPU time, wake-ups and memory of its whole process tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Usage:
    """Counters since the server's start; subtract two to get what happened in between."""

    cpu: float
    """Seconds on a CPU, user and system, of all threads alive."""
    wakeups: int
    """How often a thread went to sleep by its own will, and so had to be woken."""

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(self.cpu - earlier.cpu, self.wakeups - earlier.wakeups)


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for parent in found:  # grows while it is walked
        for task in (PROC / str(parent) / "task").iterdir():
            found.extend(int(child) for child in (task / "children").read_text().split())
    return found


def usage(pid: int) -> Usage:
    """Return the counters of a process tree.

    CPU time is taken from schedstat, in nanoseconds, as the ticks of /proc/PID/stat are too coarse
    for a window of a second.
    """
    cpu = wakeups = 0
    for process in tree(pid):
        for task in (PROC / str(process) / "task").iterdir():
            cpu += int((task / "schedstat").read_text().split()[0])
            wakeups += _field(task / "status", "voluntary_ctxt_switches")
    return Usage(cpu / 1e9, wakeups)


def pss(pid: int) -> int:
    """Return the memory of a process tree, in bytes; shared pages count in proportion."""
    return _memory(pid, "Pss")


def allocated(pid: int) -> int:
    """Return the same without what is mapped from files.

    The share of those pages changes whenever another program that uses the library comes or goes.
    """
    return _memory(pid, "Pss_Anon") + _memory(pid, "Pss_Shmem")


def _memory(pid: int, kind: str) -> int:
    return sum(_field(PROC / str(p) / "smaps_rollup", kind) * 1024 for p in tree(pid))


def _field(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    raise LookupError(f"{file} has no {name}")
