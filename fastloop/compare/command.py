"""`fastloop compare`."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import click

from fastloop import framing
from fastloop.compare import driver, plots, session, tables, techniques, workload
from fastloop.compare.point import Setting
from fastloop.compare.tables import Comparison
from fastloop.errors import ConfigError
from fastloop.options import count, duration

EPILOG = """\b
Examples:
  fastloop compare --quick
  fastloop compare app:handle --framing line --message "hello"
  fastloop compare app:app --bind http://127.0.0.1:0 --path /users/7
  fastloop compare --techniques epoll,io_uring --connections 64,1000 --seconds 5
  fastloop compare --json | jq .techniques

For each technique and number of connections a server is started on one core and a client on
another. The client sends one message on each connection, and the next when it has the answer, which
it checks. "busy": all connections do so. "idle": they did so once, and 64 others go on.

CPU, memory and context switches are those of the server and all its children, and need Linux.
For plots and a progress bar: pip install 'fastloop-server[compare]' (in a checkout: '.[compare]').
"""
QUICK_SECONDS, SECONDS = 0.4, 2.0
QUICK_PATIENCE, PATIENCE = 10.0, 60.0
EXTRA = "pip install 'fastloop-server[compare]' (in a checkout: pip install '.[compare]')"


@click.command("compare", epilog=EPILOG)
@click.argument("target", metavar="[TARGET]", required=False)
@click.option("--quick", is_flag=True, help="short runs: the picture in less than two minutes")
@click.option(
    "--techniques",
    "names",
    metavar="NAMES",
    help="some of them, as epoll,poll,select,io_uring,thread-per-connection; by default all",
)
@click.option(
    "--connections",
    metavar="NUMBERS",
    help=f"how many, as 10,100,1000  [{','.join(map(str, session.COUNTS))}]",
)
@click.option("--seconds", metavar="TIME", help=f"for each measurement  [{SECONDS:g}]")
@click.option(
    "--bind",
    "url",
    metavar="URL",
    help="where TARGET shall listen, as for serve; decides its protocol  [tcp://127.0.0.1:0]",
)
@click.option("--framing", "name", metavar="NAME", help=f"of TARGET: {', '.join(framing.NAMES)}")
@click.option(
    "--message",
    metavar="TEXT",
    default="hello",
    show_default=True,
    help="what TARGET gets; of resp the words of a command; escapes such as \\n are understood",
)
@click.option("--path", metavar="PATH", default="/", show_default=True, help="http: what to GET")
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default="compare",
    show_default=True,
    help="where to write tables, JSON and plots",
)
@click.option("--json", "as_json", is_flag=True, help="print JSON, and no tables")
def compare(
    target: str | None,
    quick: bool,
    names: str | None,
    connections: str | None,
    seconds: str | None,
    url: str | None,
    name: str | None,
    message: str,
    path: str,
    output: Path,
    as_json: bool,
) -> None:
    """Run one handler under every way of concurrent I/O that works here, and show how each scales.

    TARGET is as in `fastloop serve`: module:attr or path/file.py:attr; it must give the same answer
    to the same message. Without TARGET, an echo of lines of 64 bytes is run.
    """
    wanted = techniques.chosen(names)
    usual = session.QUICK_COUNTS if quick else session.COUNTS
    counts = usual if connections is None else numbers(connections)
    if target is None and (url is not None or name is not None):
        raise ConfigError("--bind and --framing belong to a TARGET, such as app:handle")
    steps = session.plan(wanted, counts, session.QUICK_IDLE_FROM if quick else session.IDLE_FROM)
    session.raise_file_limit()
    with ended_by_signals():
        setting = Setting(
            workload.of(target, url, name, message, path) if target else workload.builtin(),
            time(seconds, QUICK_SECONDS if quick else SECONDS),
            *driver.cores(),
            patience=QUICK_PATIENCE if quick else PATIENCE,
        )
        with progress(len(steps), quiet=as_json) as tell:
            points = list(session.run(setting, steps, tell))
    found = Comparison(setting, wanted, points)
    report(found, output, as_json)
    if all(point.status != "ok" for point in points):
        raise SystemExit(1)


def report(found: Comparison, output: Path, as_json: bool) -> None:
    """Prints and writes what was found."""
    try:
        written = tables.save(found, output)
        if plots.available():
            written += plots.save(found, output)
    except OSError as error:
        raise ConfigError(f"cannot write to {output}: {error}; try --output DIR") from error
    click.echo(json.dumps(tables.plain(found), indent=1) if as_json else tables.text(found))
    click.echo(f"written to {output}/: {', '.join(written)}", err=True)
    if not plots.available():
        click.echo(f"for plots: {EXTRA}", err=True)


def numbers(text: str) -> tuple[int, ...]:
    """Numbers of connections, in ascending order."""
    parse = count(1, 1_000_000)
    try:
        return tuple(sorted({parse(part) for part in text.split(",")}))
    except ValueError as error:
        raise ConfigError(f"--connections {text}: {error}, or several with commas") from None


def time(text: str | None, default: float) -> float:
    """Seconds of a measurement."""
    try:
        seconds = default if text is None else duration(text)
    except ValueError as error:
        raise ConfigError(f"--seconds {text}: {error}") from None
    if not 0.05 <= seconds <= 600:
        raise ConfigError(f"--seconds {text}: from 0.05 to 600 seconds make sense")
    return seconds


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the processes that were started, and then this one, in one line."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        click.echo("fastloop: interrupted; nothing was written", err=True)
        raise SystemExit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def progress(total: int, quiet: bool) -> Iterator[Callable[[session.Step], object]]:
    """Gives what is to be called ahead of each step. A bar where there is a terminal and rich, and
    lines otherwise; all on standard error."""

    def words(step: session.Step) -> str:
        return f"{step.connections:,} {step.kind}, {step.technique.name}"

    if find_spec("rich") is not None and sys.stderr.isatty() and not quiet:
        from rich import progress as bars
        from rich.console import Console

        columns = (bars.BarColumn(), bars.MofNCompleteColumn(), bars.TimeElapsedColumn())
        text = bars.TextColumn("{task.description}")
        # Drawn seldom: it takes time from the client's core.
        with bars.Progress(
            *columns, text, console=Console(stderr=True), refresh_per_second=2, transient=True
        ) as bar:
            task = bar.add_task("", total=total + 1)
            yield lambda step: bar.update(task, advance=1, description=words(step))
        return
    done = iter(range(1, total + 1))
    yield lambda step: click.echo(f"{next(done):>3}/{total}  {words(step)}", err=True)
