"""Measure fastloop beside its peers: `python bench/run.py http kv`, or all suites.

See bench/README.md for what is measured, and how.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

try:
    import click
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    import report
except ImportError as error:
    sys.exit(f"{error}: run  pip install '.[bench]'  in the checkout")

from harness import BENCH, CLIENT_CORE, CORES, BenchError, Contender, Server, raise_file_limit
from report import Result
from suites import SUITES

RESULTS = BENCH / "results"


Run = tuple[Result, Contender]


def select(suites: tuple[str, ...], only: tuple[str, ...], quick: bool) -> list[Run]:
    """Return what was asked for: of the cases, and of the contenders, those named; or all."""
    runs = []
    cases = [(suite, case) for suite in suites for case in SUITES[suite](quick)]
    named = {case.name for _, case in cases} & set(only)
    contenders = set(only) - named
    for suite, case in cases:
        if not named or case.name in named:
            result = Result(suite, case)
            runs += [(result, c) for c in case.contenders if not contenders or c.name in contenders]
    return runs


def prepare(runs: list[Run]) -> None:
    """Build and install what the contenders need; note why one of them cannot run."""
    for result, contender in runs:
        try:
            contender.argv(1)
        except BenchError as error:
            result.errors[contender.name] = str(error)


def measure(result: Result, contender: Contender) -> None:
    """Start a contender, measure it once and stop it."""
    try:
        with Server(contender) as server:
            sample = result.case.measure(server)
    except BenchError as error:
        result.errors[contender.name] = str(error)
    else:
        result.samples.setdefault(contender.name, []).append(sample)


def session(runs: list[Run], rounds: int, console: Console) -> None:
    """Measure everything in each round, so that a slow minute of the machine hits all alike."""
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    # Drawn on the client's core, so seldom.
    with Progress(*columns, console=console, refresh_per_second=2, transient=True) as progress:
        task = progress.add_task("", total=rounds * len(runs))
        for number in range(rounds):
            for result, contender in runs:
                what = f"round {number + 1}: {result.suite} {result.case.name}, {contender.name}"
                progress.update(task, description=what)
                if contender.name not in result.errors:
                    measure(result, contender)
                progress.advance(task)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("suites", nargs=-1, type=click.Choice(list(SUITES)))
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Rounds, of which the median counts.",
)
@click.option("--quick", is_flag=True, help="Short runs: to see that all works, not to publish.")
@click.option("--only", multiple=True, metavar="NAME", help="A contender or a case; repeatable.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=RESULTS,
    help="Folder for results.json, report.md and the plots.  [default: bench/results]",
)
def main(
    suites: tuple[str, ...], rounds: int, quick: bool, only: tuple[str, ...], output: Path
) -> None:
    """Measure SUITES (all of them if none is named) and print their tables."""
    console = Console()
    if len(CORES) < 2 or not sys.platform.startswith("linux"):
        raise click.ClickException("this needs Linux, and two cores: one for each end")
    raise_file_limit()
    runs = select(suites or tuple(SUITES), only, quick)
    if not runs:
        raise click.ClickException(f"no case or contender is called {' or '.join(only)}")
    with console.status("building programs, installing peers"):
        prepare(runs)
    os.sched_setaffinity(0, {CLIENT_CORE})
    session(runs, rounds, console)
    results = list({id(result): result for result, _ in runs}.values())
    for result in results:
        console.print(report.terminal(result))
        for name, error in result.errors.items():
            console.print(f"[red]{name} failed:[/red] {escape(error)}", highlight=False)
    report.save(results, output)
    console.print(f"[dim]written: {output / 'results.json'}, report.md and plots[/dim]")
    sys.exit(1 if any(result.errors for result in results) else 0)


if __name__ == "__main__":
    main()
