"""Pictures of a comparison, if matplotlib is installed: how each technique scales."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastloop.compare.point import ACTIVE, BUSY, IDLE, Point
from fastloop.compare.tables import Comparison

COLORS = {
    "io_uring": "#7b2cbf",
    "epoll": "#e4572e",
    "kqueue": "#e4572e",
    "poll": "#2a9d8f",
    "select": "#8d99ae",
    "thread-per-connection": "#1d6fb8",
    "process-per-connection": "#3d405b",
}
MARKS = {"io_uring": "D", "epoll": "o", "poll": "s", "select": "v"}
Value = Callable[[Point], float | None]


def available() -> bool:
    """Whether there is something to draw with."""
    return find_spec("matplotlib") is not None


def save(found: Comparison, folder: Path) -> list[str]:
    """Draws compare-throughput, -idle and -memory as SVG and PNG; returns the files' names."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update({"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "fastloop"})
    counted = {(point.kind, point.connections) for point in found.points}
    names = []
    for name, title, label, kind, value in (
        (
            "compare-throughput",
            "Throughput with all connections busy",
            "messages/s",
            BUSY,
            lambda p: p.throughput,
        ),
        (
            "compare-idle",
            f"What a message on {ACTIVE} busy connections costs beside idle ones",
            "server's CPU µs for each message",
            IDLE,
            lambda p: p.cpu_us,
        ),
        (
            "compare-memory",
            "Memory of the server",
            "MiB",
            BUSY,
            lambda p: None if p.memory is None else p.memory / 1024**2,
        ),
    ):
        if not any(each[0] == kind for each in counted):
            continue
        figure = Figure(figsize=(9.0, 4.2), layout="constrained")
        axes = figure.subplots()
        draw(axes, found, kind, value)
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axes.set_ylabel(label)
        axes.set_xlabel("connections" if kind == BUSY else "idle connections")
        for suffix in ("svg", "png"):
            metadata = {"Date": None} if suffix == "svg" else None
            figure.savefig(folder / f"{name}.{suffix}", dpi=150, metadata=metadata)
            names.append(f"{name}.{suffix}")
    return names


def draw(axes: Any, found: Comparison, kind: str, value: Value) -> None:
    """One line for each technique, which ends where it does."""
    grades = found.grades()
    for technique in found.techniques:
        mine = [p for p in found.points if p.technique == technique.name and p.kind == kind]
        shown = [(max(p.connections, 1), value(p)) for p in mine if value(p) is not None]
        if not shown:
            continue
        color = COLORS.get(technique.name, "#555555")
        axes.plot(
            [x for x, _ in shown],
            [y for _, y in shown],
            color=color,
            marker=MARKS.get(technique.name, "^"),
            markersize=4.5,
            linewidth=1.6,
            label=f"{technique.title} ({grades[technique.name].word})",
        )
        if any(p.status != "ok" and p.connections > shown[-1][0] for p in mine):
            axes.plot(*shown[-1], marker="x", markersize=10, markeredgewidth=2, color=color)
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = sorted({max(p.connections, 1) for p in found.points if p.kind == kind})
    zero = any(p.connections == 0 for p in found.points if p.kind == kind)
    named = [n for n, after in zip(ticks, [*ticks[1:], 10**9], strict=True) if after > 2 * n]
    axes.set_xticks(named, [f"{n:,}" if n > 1 or not zero else "none" for n in named])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(locator())
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}" if y >= 10 else f"{y:g}")
    axes.grid(color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(
            fontsize=8,
            frameon=False,
            title="✕ goes no further",
            title_fontsize=7,
            loc="upper left",  # beside the lines, wherever those run
            bbox_to_anchor=(1.0, 1.0),
        )


def locator() -> Any:
    """Marks at 1, 2 and 5 of each power of ten: a plot may span less than one."""
    from matplotlib.ticker import LogLocator

    return LogLocator(10, subs=(1.0, 2.0, 5.0))
