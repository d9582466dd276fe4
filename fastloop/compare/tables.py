"""What was measured, as text, as Markdown and as JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastloop.check import DISTRIBUTION
from fastloop.compare import proc
from fastloop.compare.grades import Grade, grade
from fastloop.compare.point import ACTIVE, BUSY, IDLE, Point, Setting
from fastloop.compare.techniques import Technique

HEADER = (
    "technique",
    "msg/s",
    "CPU µs/msg",
    "p50 ms",
    "p99 ms",
    "KiB/conn",
    "MiB",
    "sleeps/msg",
    "preempt/msg",
    "server %",
    "client %",
)
LIMITED = 95.0
"""Per cent of a core, of the client, above which it is said to be what limits."""


@dataclass(frozen=True)
class Comparison:
    """All that came out."""

    setting: Setting
    techniques: Sequence[Technique]
    points: Sequence[Point]

    def grades(self) -> dict[str, Grade]:
        """How each technique scales."""
        return {each.name: grade(self.points, each.name) for each in self.techniques}

    def groups(self) -> Iterable[tuple[str, list[Point]]]:
        """The tables: a title, and the points that it shows."""
        for kind in (BUSY, IDLE):
            mine = [point for point in self.points if point.kind == kind]
            for count in sorted({point.connections for point in mine}):
                noun = "connection" if count == 1 else "connections"
                title = f"{count:,} {kind} {noun}"
                title += f", and {ACTIVE} busy ones" if kind == IDLE else ""
                yield title, [point for point in mine if point.connections == count]


def number(value: float | None, digits: int = 0, scale: float = 1.0) -> str:
    """A cell; "-" for what could not be measured."""
    return "-" if value is None else f"{value * scale:,.{digits}f}"


def cells(point: Point, title: str) -> list[str]:
    """A line of a table."""
    if point.status != "ok":
        return [title, f"{point.status}: {point.why}"]
    star = " *" if (point.client_busy or 0) > LIMITED > (point.server_busy or 0) else ""
    return [
        title,
        number(point.throughput),
        number(point.cpu_us, 2),
        number(point.p50_us, 2, 1e-3),
        number(point.p99_us, 2, 1e-3),
        number(point.per_connection if point.connections >= 10 else None, 1, 1 / 1024),
        number(point.memory, 1, 1 / 1024**2),
        number(point.wakeups, 3),
        number(point.preempted, 3),
        number(point.server_busy),
        number(point.client_busy) + star,
    ]


def text(found: Comparison) -> str:
    """All tables for a terminal of some hundred columns."""
    titles = {each.name: each.title for each in found.techniques}
    lines = [f"{key}: {value}" for key, value in machine().items()]
    lines += [f"handler: {found.setting.workload.description}", ""]
    for title, points in found.groups():
        lines += [
            title,
            *aligned([list(HEADER), *(cells(p, titles[p.technique]) for p in points)]),
            "",
        ]
    lines += ["How far each scales", *aligned(summary(found)), "", *notes(found)]
    return "\n".join(lines)


def aligned(rows: list[list[str]]) -> list[str]:
    """Lines of a table; a row with two cells is one with a remark."""
    full = [row for row in rows if len(row) == len(rows[0])]
    first = max(len(row[0]) for row in rows)
    widths = [max(len(row[n]) for row in full) for n in range(1, len(rows[0]))]
    lines = []
    for row in rows:
        rest = row[1:]
        if len(rest) == len(widths):
            rest = [cell.rjust(width) for cell, width in zip(rest, widths, strict=True)]
        lines.append("  " + "  ".join([row[0].ljust(first), *rest]).rstrip())
    return lines


def summary(found: Comparison) -> list[list[str]]:
    """The classic table: a word for each technique, and what it rests on."""
    rows = [["technique", "scales", "carries", "best msg/s"]]
    for each in found.techniques:
        got = found.grades()[each.name]
        mine = [p.throughput or 0 for p in found.points if p.technique == each.name]
        more = "+" if got.open_end else ""
        rows.append([each.title, got.word, f"{got.carries:,}{more}", number(max(mine, default=0))])
    return rows


def notes(found: Comparison) -> list[str]:
    """How to read it."""
    lines = [
        "Carried: everybody is answered, for at most twice the CPU time of a message at best, busy",
        "and idle, in at most 1 GiB. Low: below 1,000. High: 10,000. +: no more were tried.",
        "Latency is that of a saturated server: about connections / throughput.",
    ]
    if any(cells(point, "")[-1].endswith("*") for point in found.points if point.status == "ok"):
        lines.append("* The client was at its limit and the server was not: it can do more.")
    if found.setting.server_core is None:
        lines.append(
            "Server and client shared the cores: they could not be pinned to different ones."
        )
    if not proc.AVAILABLE:
        lines.append(
            "CPU, memory and context switches need Linux' /proc, and are not measured here."
        )
    return lines


def markdown(found: Comparison) -> str:
    """All tables as Markdown."""
    titles = {each.name: each.title for each in found.techniques}
    lines = ["; ".join(f"{key}: {value}" for key, value in machine().items()), ""]
    for title, points in found.groups():
        lines += [f"**{title}**", "", row(HEADER), row(["---", *["---:"] * (len(HEADER) - 1)])]
        for point in points:
            shown = cells(point, titles[point.technique])
            lines.append(row([*shown, *[""] * (len(HEADER) - len(shown))]))
        lines.append("")
    header, *rest = summary(found)
    lines += [row(header), row(["---", "---", "---:", "---:"]), *map(row, rest), ""]
    return "\n".join(lines)


def row(parts: Iterable[str]) -> str:
    """A line of a table of Markdown."""
    return f"| {' | '.join(parts)} |"


def plain(found: Comparison) -> dict[str, Any]:
    """All of it as plain values fit for JSON."""
    setting = found.setting
    return {
        "machine": machine(),
        "handler": setting.workload.description,
        "seconds": setting.seconds,
        "pinned": setting.server_core is not None,
        "techniques": [
            {**asdict(each), "title": each.title, "grade": asdict(found.grades()[each.name])}
            for each in found.techniques
        ],
        "points": [asdict(point) for point in found.points],
    }


def save(found: Comparison, folder: Path) -> list[str]:
    """Writes compare.json, compare.txt and compare.md; returns their names."""
    folder.mkdir(parents=True, exist_ok=True)
    data = json.dumps(plain(found), indent=1) + "\n"
    for name, content in (
        ("compare.json", data),
        ("compare.txt", text(found) + "\n"),
        ("compare.md", markdown(found)),
    ):
        (folder / name).write_text(content, encoding="utf-8")
    return ["compare.json", "compare.txt", "compare.md"]


def machine() -> dict[str, str]:
    """What the figures depend on."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else ():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": f"{cpu}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "fastloop": version(DISTRIBUTION),
    }
