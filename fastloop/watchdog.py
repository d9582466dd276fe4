"""The option slow_handler: logs where a handler is that holds its loop for too long.

A loop of our own stamps when it hands over a batch and when it gets the next one; a thread sleeps
in C and looks at the stamps (csrc/watch.c). An asyncio loop runs what is not ours as well, so the
thread asks it to answer, and waits. Either way the handlers pay nothing for being watched.

The stack is that of the thread at the moment it is looked at. A handler that keeps the GIL in C
code all the time can be told of only when that is over: then its place is not known any more.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any

from fastloop._ffi import check, ffi, lib
from fastloop.config import Config
from fastloop.runtime import Runtime

log = logging.getLogger("fastloop")

AGAIN = 60.0
"""Seconds for which nothing more is said of the same place."""

OURS = Path(__file__).parent
EXAMPLES = OURS / "examples"

Place = tuple[str, str]


class Watchdog:
    """Watches the loops of a server from ``start`` to ``stop``."""

    def __init__(self, config: Config, runtimes: Sequence[Runtime], *, is_async: bool) -> None:
        """Before the loops run. Raises OSError without memory or descriptors."""
        self._limit = config.slow_handler
        self._runtimes = runtimes
        self._said: dict[Place, float] = {}
        self._threads: list[threading.Thread] = []
        self._ending = threading.Event()
        self._watch: Any = None
        if is_async:
            self._threads = [self._thread(self._ask, runtime) for runtime in runtimes]
            return
        error = ffi.new("int *")
        self._watch = lib.fl_watch_open(max(1, round(self._limit * 1000)), len(runtimes), error)
        check(error[0], "watching for slow handlers")
        for runtime in runtimes:
            lib.fl_watch_add(self._watch, runtime.loop)
        self._threads = [self._thread(self._wait)]

    def _thread(self, run: Any, *args: Any) -> threading.Thread:
        return threading.Thread(target=run, args=args, name="fastloop-watchdog", daemon=True)

    def start(self) -> None:
        """From now on."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Until now. Loops may still run; twice is fine."""
        self._ending.set()
        if self._watch is not None:
            lib.fl_watch_stop(self._watch)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self._threads.clear()

    def free(self) -> None:
        """Gives it back; the loops must be gone."""
        watch, self._watch = self._watch, None
        if watch is not None:
            lib.fl_watch_free(watch)

    def _wait(self) -> None:
        """Waits for stamps that are too old."""
        while (number := lib.fl_watch_wait(self._watch)) >= 0:
            runtime = self._runtimes[number]
            frames = stack_of(runtime)
            self._report(frames if lib.fl_watch_away(self._watch, number) > 0 else [])

    def _ask(self, runtime: Runtime) -> None:
        """Asks an asyncio loop to answer, every so often."""
        while not self._ending.wait(self._limit):
            answered = threading.Event()
            if not runtime.post_while_turning(answered.set) or answered.wait(self._limit):
                continue
            frames = stack_of(runtime)
            self._report(frames if not answered.is_set() else [])
            while not (answered.wait(self._limit) or self._ending.is_set()):
                pass

    def _report(self, frames: list[traceback.FrameSummary]) -> None:
        """Says where it is, unless that was said not long ago."""
        place = (frames[0].filename, frames[0].name) if frames else ("", "")
        now = monotonic()
        if now - self._said.get(place, -AGAIN) < AGAIN:
            return
        self._said[place] = now
        if frames:
            log.warning(
                "a handler has held its loop for more than %g s, and everybody else with it"
                " (see slow_handler):\n%s",
                self._limit,
                "".join(traceback.format_list(frames)).rstrip(),
            )
        else:
            log.warning(
                "a handler held its loop for more than %g s, and is done: either just now, or it"
                " kept the GIL, so that nobody could look where it was (see slow_handler)",
                self._limit,
            )


def stack_of(runtime: Runtime) -> list[traceback.FrameSummary]:
    """What the thread of a runtime does now, from the user's code on; nothing if it does ours."""
    frame = sys._current_frames().get(runtime.thread or 0)
    return [] if frame is None else users(frame)


def users(frame: FrameType) -> list[traceback.FrameSummary]:
    """The frames of a stack, outermost first, from the first that the innermost of ours called."""
    stack = traceback.StackSummary.extract(traceback.walk_stack(frame), lookup_lines=False)
    inner: list[traceback.FrameSummary] = []
    for each in stack:  # innermost first
        if is_ours(Path(each.filename)):
            break
        inner.append(each)
    return inner[::-1]


def is_ours(path: Path) -> bool:
    """Whether this file is of the server; the examples are as a user's."""
    return OURS in path.parents and EXAMPLES not in path.parents
