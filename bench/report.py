"""Results in every form: for the terminal, as Markdown, as JSON and as SVG plots."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from case import Case
from client import Sample

matplotlib.rcParams.update({"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9})
OURS, YARDSTICK, OTHERS = "#e4572e", "#3d405b", "#b8bcc8"


@dataclass
class Result:
    """What was measured for a case: a list of samples, one a round, for each contender."""

    suite: str
    case: Case
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def median(self, contender: str) -> Sample:
        """Return the median of every figure over the rounds."""
        rounds = self.samples[contender]
        return {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}

    def header(self) -> list[str]:
        """Return the names of the columns."""
        labels = [metric.label for metric in self.case.metrics]
        return [self.case.title, *labels, *(ratio.label for ratio in self.case.ratios)]

    def rows(self) -> Iterable[list[str]]:
        """Yield the cells of the table."""
        for contender in self.case.contenders:
            name = contender.name
            if name in self.errors:
                yield [name, "failed", *[""] * (len(self.header()) - 2)]
            elif name in self.samples:
                median = self.median(name)
                cells = [f"{median[m.key] * m.scale:{m.format}}" for m in self.case.metrics]
                yield [name, *cells, *(self._ratio(median, r.base) for r in self.case.ratios)]

    def _ratio(self, median: Sample, to: str) -> str:
        key = self.case.metrics[0].key
        base = self.median(to)[key] if to in self.samples else 0
        return f"{median[key] / base:.2f}" if base > 0 else "-"


def machine() -> dict[str, str]:
    """Describe what the figures depend on."""
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": f"{cpu}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "fastloop": _version("fastloop-server"),
    }


def terminal(result: Result) -> Table:
    """Return the table of a case for rich."""
    title, *labels = result.header()
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    table.add_column("", min_width=12)
    for label in labels:
        table.add_column(label, justify="right")
    for row in result.rows():
        table.add_row(*row, style="bold" if _ours(row[0]) else "")
    return table


def markdown(results: Iterable[Result]) -> str:
    """Return all tables as Markdown."""
    lines = [", ".join(f"{key}: {value}" for key, value in machine().items()), ""]
    for result in results:
        header = result.header()
        lines += [_line(header), _line(["---", *["---:"] * (len(header) - 1)])]
        for row in result.rows():
            lines.append(_line(f"**{cell}**" if _ours(row[0]) and cell else cell for cell in row))
        lines += [f"\n{name} failed: {error}" for name, error in result.errors.items()]
        lines.append("")
    return "\n".join(lines)


def save(results: list[Result], folder: Path) -> None:
    """Write results.json, report.md and one SVG for each suite."""
    folder.mkdir(exist_ok=True)
    data = {"machine": machine(), "cases": [_plain(result) for result in results]}
    (folder / "results.json").write_text(json.dumps(data, indent=1) + "\n")
    (folder / "report.md").write_text(markdown(results))
    for suite in {result.suite for result in results}:
        plot([r for r in results if r.suite == suite and r.samples], folder / f"{suite}.svg")


def plot(results: list[Result], file: Path) -> None:
    """Draw the first metric of every case as bars, with whiskers from the least to the most."""
    if not results:
        return
    columns = min(2, len(results))
    lines = -(-len(results) // columns)
    bars = max(len(result.samples) for result in results)
    width = 9.2 if columns > 1 else 6.4
    figure = Figure(figsize=(width, lines * (0.8 + 0.3 * bars)), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).flat
    for ax, result in zip(axes, results, strict=False):
        _draw(ax, result)
    for ax in list(axes)[len(results) :]:
        ax.set_axis_off()
    figure.savefig(file, metadata={"Date": None})


def _draw(ax: Axes, result: Result) -> None:
    metric = result.case.metrics[0]
    names = [c.name for c in result.case.contenders if c.name in result.samples]
    rounds = [[s[metric.key] * metric.scale for s in result.samples[name]] for name in names]
    middles = [statistics.median(values) for values in rounds]
    low = [middle - min(values) for middle, values in zip(middles, rounds, strict=True)]
    high = [max(values) - middle for middle, values in zip(middles, rounds, strict=True)]
    colors = [_color(name, result.case.ratios[0].base) for name in names]
    bars = ax.barh(names, middles, color=colors, height=0.66)
    ax.errorbar(middles, names, xerr=[low, high], fmt="none", ecolor="#55555599", elinewidth=1)
    ax.bar_label(bars, [f"{m:{metric.format}}" for m in middles], padding=6, fontsize=8)
    ax.set_title(result.case.title, loc="left", fontsize=9, fontweight="bold")
    ax.set_xlabel(f"{metric.label} (less is better)", fontsize=8, color="#666666")
    ax.invert_yaxis()
    ax.margins(x=0.18)
    ax.set_xlim(left=0)
    ax.tick_params(length=0)
    ax.grid(axis="x", color="#e8e8e8", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "bottom"]].set_visible(False)


def _color(name: str, base: str) -> str:
    if _ours(name):
        return OURS
    return YARDSTICK if name in (base, "floor") else OTHERS


def _ours(name: str) -> bool:
    return name.startswith("fastloop")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(result: Result) -> dict[str, Any]:
    return {
        "suite": result.suite,
        "case": result.case.name,
        "title": result.case.title,
        "ratios": [asdict(ratio) for ratio in result.case.ratios],
        "median": {name: result.median(name) for name in result.samples},
        "samples": result.samples,
        "errors": result.errors,
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
