"""One handler call after the other, in slices of about a millisecond: the latency guard.

A batch must not make its first reply wait for the last handler. So it runs in slices whose size
follows the handler's measured time, and between slices what was said is sent: a fast handler gets
the whole batch in one slice, a slow one flushes after every message.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastloop.crossing import RAISED, of_exception

if TYPE_CHECKING:
    from fastloop.route import Route
    from fastloop.runtime import Runtime

SLICE_SECONDS = 0.001


def in_turn(runtime: Runtime, route: Route, ids: list[int] | None, items: list[Any]) -> None:
    """Calls a plain handler with each message of a batch."""
    call = route.handler.message
    if ids is not None:
        make = route.connection or runtime.connection
        serve(runtime, route, map(call, map(make, ids), items), len(items))
    elif len(items) > 1:
        serve(runtime, route, map(call, items), len(items))
    else:  # nothing to slice, nothing to time
        try:
            runtime.out.append(call(items[0]))
        except RAISED as error:
            runtime.out.append(of_exception(error, route.name))


def serve(runtime: Runtime, route: Route, results: Iterator[Any], left: int) -> None:
    """Takes `left` results in slices, with a flush between them."""
    while True:
        size = min(route.slice, left)
        began = perf_counter()
        collect(runtime, route, results, size, whole=size == left)
        seconds = (perf_counter() - began) / size
        route.slice = max(1, min(2 * route.slice, int(SLICE_SECONDS / (seconds + 1e-9))))
        left -= size
        if left == 0:
            return
        runtime.flush()


def collect(
    runtime: Runtime, route: Route, results: Iterator[Any], left: int, *, whole: bool
) -> None:
    """Appends so many replies, an error's in the place of each handler that raised.

    What was done before a handler raised is kept, and the same iterator goes on behind it. One that
    raises StopIteration ends the iteration without an exception: the count of replies tells.
    """
    out = runtime.out
    while left > 0:
        error: BaseException | None = None
        before, commands = len(out), runtime.commands
        try:
            out.extend(results if whole else islice(results, left))
        except RAISED as raised:
            error = raised
        left -= len(out) - before - (runtime.commands - commands)
        if left > 0:
            out.append(of_exception(error or StopIteration(), route.name))
            left -= 1
