"""Tasks on the asyncio loop that turns a runtime: run up to their first wait at once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

_CAPTURES = sys.implementation.name == "cpython" and sys.version_info < (3, 12)
"""Whether tasks cannot begin at once by themselves, but can be made to."""


class Tasks:
    """The tasks of a dispatch."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs it as a task, up to its first wait at once. Not from inside another task."""
        loop = asyncio.get_running_loop()
        task: asyncio.Task[Any]
        if loop.get_task_factory() is not None:
            task = loop.create_task(coroutine)
        elif sys.version_info >= (3, 12):
            task = asyncio.Task(coroutine, loop=loop, eager_start=True)
        elif _CAPTURES and hasattr(loop, "__dict__"):
            task = _begun(coroutine, loop)
        else:
            task = loop.create_task(coroutine)
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return task

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


def _begun(coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> Any:
    """A task whose first step was made here and now instead of in the loop's next round.

    A new task hands its first step to ``loop.call_soon``, which an attribute of the instance hides
    for just that long. The step itself makes the task the current one and runs in its context.
    """
    steps: list[tuple[Any, tuple[Any, ...], Any]] = []

    def capture(callback: Any, *args: Any, context: Any = None) -> None:
        steps.append((callback, args, context))

    loop.call_soon = capture  # type: ignore[assignment]
    try:
        task = asyncio.Task(coroutine, loop=loop)
    finally:
        del loop.call_soon
    for callback, args, context in steps:
        if getattr(callback, "__self__", None) is task:
            context.run(callback, *args)
        else:  # a finalizer's, which happened to run meanwhile
            loop.call_soon(callback, *args, context=context)
    return task
