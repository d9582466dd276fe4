"""Don't block the event loop: what one handler that waits does to everybody else.

    python bench/blocking.py

One client asks for something slow again and again: a sleep of 50 ms, or a file of 32 MiB that is
not in memory. Meanwhile 16 others send messages that are answered at once. Shown is the latency of
those 16, with the slow work done in different places. Writes blocking.md, .json and .svg.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

try:
    import click
    from matplotlib.figure import Figure

    import report
except ImportError as error:
    sys.exit(f"{error}: run  pip install '.[bench]'  in the checkout")

from fastloop.compare.driver import Client, Server
from harness import BENCH, BUILD, CLIENT_CORE, CONTENDERS, SERVER_CORE

OTHERS = 16
SIZE = 32 << 20
WORDS = {
    "": "nobody is slow",
    "slow": "a sleep of 50 ms",
    "read": "32 MiB of a file that is not in memory",
}


@dataclass(frozen=True)
class Way:
    """A place where slow work can be done."""

    word: str
    """What the slow client says."""
    name: str
    handler: str
    options: tuple[str, ...] = ()


WAYS = (
    Way("", "no slow client", "sleeping"),
    Way("slow", "inline", "sleeping"),
    Way("slow", "blocking=8", "sleeping", ("--blocking", "8")),
    Way("slow", "async", "awaiting"),
    Way("read", "inline: open().read()", "reading"),
    Way("read", "blocking=8: open().read()", "reading", ("--blocking", "8")),
    Way("read", "async: fastloop.read_file()", "pooled"),
)


@dataclass(frozen=True)
class Outcome:
    """What the others saw, and how often the slow client was answered."""

    work: str
    way: str
    throughput: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    slow_per_second: float


@contextmanager
def slow_client(address: list[object], word: str) -> Iterator[list[int]]:
    """Ask for something slow again and again; gives the number of answers, in a list."""
    answers, over = [0], threading.Event()
    message = word.encode() + b"\n"

    def ask() -> None:
        with socket.create_connection((str(address[0]), int(str(address[1]))), 30) as sock:
            lines = sock.makefile("rb")
            while not over.is_set():
                sock.sendall(message)
                if lines.readline() != message:
                    raise RuntimeError("a wrong answer to the slow client")
                answers[0] += 1

    thread = threading.Thread(target=ask)
    if word:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        if word:
            thread.join()


def measure(way: Way, seconds: float) -> Outcome:
    """Let the slow client and the others work for a while."""
    target = f"{CONTENDERS / 'waiting.py'}:{way.handler}"
    options = ["--framing", "line", *way.options]
    with (
        Server(target, "tcp://127.0.0.1:0", options, SERVER_CORE) as server,
        Client(server.address, {"dialect": "line", "size": 16}, [CLIENT_CORE]) as client,
    ):
        client.open("busy", OTHERS)
        with slow_client(server.address, way.word) as answers:
            client("start")
            time.sleep(seconds / 4)
            client("mark")
            before = answers[0]
            time.sleep(seconds)
            figures = client("mark")
            slow = (answers[0] - before) / figures["seconds"]
    return Outcome(
        WORDS[way.word],
        way.name,
        figures["messages"] / figures["seconds"],
        figures["p50_us"] / 1000,
        figures["p99_us"] / 1000,
        figures["max_us"] / 1000,
        slow,
    )


def markdown(outcomes: list[Outcome]) -> str:
    """Return the table."""
    lines = [", ".join(f"{key}: {value}" for key, value in report.machine().items()), ""]
    lines += ["| slow work | done | others: msg/s | p50 ms | p99 ms | max ms | slow answers/s |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {o.work} | {o.way} | {o.throughput:,.0f} | {o.p50_ms:.2f} | {o.p99_ms:.2f}"
        f" | {o.max_ms:.1f} | {o.slow_per_second:.0f} |"
        for o in outcomes
    ]
    return "\n".join(lines) + "\n"


def plot(outcomes: list[Outcome], file: Path) -> None:
    """Draw the latencies of the others."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = figure.subplots()
    names = [
        o.way if o.work == WORDS[""] else f"{o.work.split(' that')[0]}\n{o.way}" for o in outcomes
    ]
    for n, outcome in enumerate(outcomes):
        color = "#e4572e" if outcome.way.startswith("inline") else "#2a9d8f"
        axes.plot([outcome.p50_ms, outcome.p99_ms], [n, n], color=color, linewidth=3, alpha=0.5)
        axes.plot(outcome.p50_ms, n, "o", color=color)
        axes.plot(outcome.p99_ms, n, "|", color=color, markersize=12)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.set_xlabel("latency of the 16 others in ms: median (dot) to p99 (bar)")
    axes.grid(axis="x", color="#e4e4e4")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None})


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", type=click.FloatRange(0.2, 60), default=3, show_default=True)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=BENCH / "results",
    help="Folder for blocking.md, blocking.json and blocking.svg.  [default: bench/results]",
)
def main(seconds: float, output: Path) -> None:
    """Measure what a handler that waits does to the clients of other handlers."""
    BUILD.mkdir(exist_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    file = BUILD / "blocking.bin"
    file.write_bytes(os.urandom(SIZE))
    os.sync()  # what is not on the disk yet cannot be dropped from memory
    os.environ["FILE"] = str(file)
    outcomes = []
    for way in WAYS:
        click.echo(f"{WORDS[way.word]}, {way.name}", err=True)
        outcomes.append(measure(way, seconds))
    file.unlink()
    (output / "blocking.json").write_text(json.dumps([asdict(o) for o in outcomes], indent=1))
    (output / "blocking.md").write_text(markdown(outcomes))
    plot(outcomes, output / "blocking.svg")
    click.echo(markdown(outcomes))


if __name__ == "__main__":
    main()
