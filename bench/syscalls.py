"""Which system calls a request takes under each technique: `strace -f -c`, as a table for docs/.

    python bench/syscalls.py

A server runs under strace while 16 connections send 2,000 messages of 64 bytes each, one at a time.
What the server calls to start and to stop is counted by a run without any message, and taken off.
Writes syscalls.md.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

try:
    import click
except ImportError as error:
    sys.exit(f"{error}: run  pip install '.[bench]'  in the checkout")

from fastloop import bind
from fastloop.compare import techniques, workload
from fastloop.compare.driver import Client, interpreter
from fastloop.compare.techniques import Technique
from harness import BENCH, CLIENT_CORE, BenchError, program

CONNECTIONS, MESSAGES = 16, 2000
SHOWN = 0.02
"""Calls for each message below which a call is not worth a line."""
TIMEOUT = 60.0

Counts = dict[str, int]


def parse(text: str) -> Counts:
    """Read the table that `strace -c -U calls,name` prints."""
    found: Counts = {}
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 2 and parts[0].isdigit() and parts[1] != "total":
            found[parts[1]] = int(parts[0])
    return found


def traced(technique: Technique, batches: int) -> Counts:
    """Count the calls of a server to which each connection says something so many times."""
    what = workload.builtin()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "counts"
        argv = [program("strace", "strace"), "-f", "-c", "-U", "calls,name", "-o", str(table)]
        argv += [*interpreter(), "-m", "fastloop", "serve", what.target, "--bind", what.url]
        server = subprocess.Popen(
            [*argv, *what.options, *technique.options],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            talk(server, what.load, batches)
            end(server)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.communicate()
        return parse(table.read_text())


def talk(server: subprocess.Popen[str], load: dict[str, object], batches: int) -> None:
    """Send the messages, on connections that are open in any case."""
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line.startswith("listening on "):
        raise BenchError("the server does not start under strace")
    where = bind.parse(line.removeprefix("listening on ").strip())
    with Client([where.host, where.port], load, [CLIENT_CORE]) as client:
        client.open("busy", CONNECTIONS, TIMEOUT)
        for _ in range(batches):
            client("again")


def end(server: subprocess.Popen[str]) -> None:
    """Stop the server as Ctrl-C does; strace then writes its table."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    time.sleep(0.3)
    os.kill(int(children[0]), signal.SIGINT)
    server.wait(TIMEOUT)


def table(technique: Technique) -> list[str]:
    """Return the lines for one technique: calls for each message."""
    none, many = traced(technique, 0), traced(technique, MESSAGES)
    messages = CONNECTIONS * MESSAGES
    rates = {name: (many[name] - none.get(name, 0)) / messages for name in many}
    shown = sorted(((rate, name) for name, rate in rates.items() if rate >= SHOWN), reverse=True)
    lines = [f"    {technique.title}", "       calls   per message  system call"]
    for rate, name in shown:
        lines.append(f"    {many[name] - none.get(name, 0):>8,}  {rate:>12.2f}  {name}")
    total = sum(rates.values())
    return [*lines, f"    {round(total * messages):>8,}  {total:>12.2f}  in all", ""]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--techniques", "names", metavar="NAMES", help="Some, with commas.  [all]")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=BENCH / "results",
    help="Folder for syscalls.md.  [default: bench/results]",
)
def main(names: str | None, output: Path) -> None:
    """Count the system calls of a message under each technique."""
    lines = [f"{CONNECTIONS} connections, {CONNECTIONS * MESSAGES:,} messages.", ""]
    for technique in techniques.chosen(names):
        click.echo(technique.title, err=True)
        lines += table(technique)
    output.mkdir(parents=True, exist_ok=True)
    (output / "syscalls.md").write_text("\n".join(lines))
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
