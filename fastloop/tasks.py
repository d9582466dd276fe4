"""Tasks on the asyncio loop that turns a runtime: run up to their first wait at once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

CAPTURES = sys.implementation.name == "cpython" and sys.version_info < (3, 12)
"""Whether tasks cannot begin at once by themselves, but can be made to."""


class Tasks:
    """The tasks of a dispatch."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs it as a task, up to its first wait at once. Not from inside another task."""
        task = self.start(coroutine)
        self.keep(task)
        return task

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """The same of a task that is to be kept by the caller."""
        loop = asyncio.get_running_loop()
        task: asyncio.Task[Any]
        if can_hold_back(loop):
            task, step, context = held_back(coroutine, loop)
            context.run(step)
        elif sys.version_info >= (3, 12) and loop.get_task_factory() is None:
            task = asyncio.Task(coroutine, loop=loop, eager_start=True)
        else:
            task = loop.create_task(coroutine)
        return task

    def keep(self, task: asyncio.Task[Any]) -> None:
        """From now on it is one of these, until it is done."""
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """Cancels the tasks that are not done."""
        for task in list(self._tasks):
            task.cancel()

    async def finish(self, seconds: float) -> None:
        """Waits so long for the tasks that are not done; then cancels them.

        Those that were just told of the end get a moment in any case.
        """
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=max(seconds, 0.1))
        self.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=1)


def held_back(
    coroutine: Coroutine[Any, Any, Any],
    loop: asyncio.AbstractEventLoop,
    name: str | None = None,
) -> tuple[asyncio.Task[Any], Callable[[], object], Context]:
    """A task whose first step is still to be made, by ``context.run(step)``.

    A new task hands it to ``loop.call_soon``, which an attribute of the instance hides for that
    long. The step itself makes the task the current one.
    """
    steps: list[tuple[Any, tuple[Any, ...], Any]] = []

    def capture(callback: Any, *args: Any, context: Any = None) -> None:
        steps.append((callback, args, context))

    own = vars(loop).get("call_soon")  # a user may do as we do
    loop.call_soon = capture  # type: ignore[assignment]
    try:
        task = asyncio.Task(coroutine, loop=loop, name=name)
    finally:
        del loop.call_soon
        if own is not None:
            loop.call_soon = own  # type: ignore[method-assign]
    found = None
    for callback, args, context in steps:
        if getattr(callback, "__self__", None) is task:
            found = callback, context
        else:  # a finalizer's, which happened to run meanwhile
            loop.call_soon(callback, *args, context=context)
    assert found is not None
    return task, *found


def can_hold_back(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether tasks of this loop can be made so."""
    return CAPTURES and hasattr(loop, "__dict__") and loop.get_task_factory() is None
