"""Measure everything that docs/io-models.md shows, and put it there.

    python bench/io_models.py             ten minutes, on a machine that does nothing else
    python bench/io_models.py compare     some of: compare blocking syscalls

Tables go between the marks <!-- begin: NAME --> and <!-- end: NAME --> of the document, and plots
into docs/plots/. What was written can be looked through with git diff.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

try:
    import click
except ImportError as error:
    sys.exit(f"{error}: run  pip install '.[bench]'  in the checkout")

from harness import BENCH

RESULTS = BENCH / "results"
DOCUMENT = BENCH.parent / "docs" / "io-models.md"
PLOTS = BENCH.parent / "docs" / "plots"
PLOTTED = ("compare-throughput", "compare-idle", "compare-memory", "blocking")


def insert(name: str, content: str) -> None:
    """Replace what is between two marks of the document."""
    text = DOCUMENT.read_text()
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    found = re.search(f"{re.escape(begin)}.*?{re.escape(end)}", text, re.DOTALL)
    if found is None:
        raise click.ClickException(f"{DOCUMENT.name} has no {begin} and {end}")
    text = f"{text[: found.start()]}{begin}\n{content.strip()}\n{end}{text[found.end() :]}"
    DOCUMENT.write_text(text)


def run(*argv: str) -> None:
    """Run a command of this interpreter; its failure is ours."""
    if subprocess.run([sys.executable, *argv], check=False, cwd=BENCH).returncode != 0:
        raise click.ClickException(f"failed: python {' '.join(argv)}")


def compare(seconds: str) -> None:
    """Run `fastloop compare`."""
    run("-m", "fastloop", "compare", "--seconds", seconds, "--output", str(RESULTS))
    machine, _, rest = (RESULTS / "compare.md").read_text().partition("\n")
    figures, _, summary = rest.rpartition("\n| technique | scales ")
    insert("summary", f"{machine}\n\n| technique | scales {summary}")
    insert("figures", figures)


def blocking(_: str) -> None:
    """Run the experiment with handlers that wait."""
    run("blocking.py", "--output", str(RESULTS))
    insert("blocking", (RESULTS / "blocking.md").read_text())


def syscalls(_: str) -> None:
    """Count system calls."""
    run("syscalls.py", "--output", str(RESULTS))
    insert("syscalls", (RESULTS / "syscalls.md").read_text())


PARTS = {"compare": compare, "blocking": blocking, "syscalls": syscalls}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--seconds", default="2", show_default=True, help="For each point of compare.")
def main(parts: tuple[str, ...], seconds: str) -> None:
    """Measure PARTS (all of them if none is named) and write docs/io-models.md anew."""
    for part in parts or tuple(PARTS):
        PARTS[part](seconds)
    for name in PLOTTED:
        plot: Path = RESULTS / f"{name}.svg"
        if plot.exists():
            shutil.copy(plot, PLOTS)


if __name__ == "__main__":
    main()
