"""Runs coroutines as tasks, and makes no task for those that never wait.

Most requests are answered without waiting, and a task costs as much as all the rest of them. So one
task is kept ready, which is the current one while a coroutine makes its first step. If that waits,
or anything got to know the task, it becomes the coroutine's own; else the next one has it.
"""

from __future__ import annotations

import asyncio
from asyncio import _enter_task, _leave_task, _register_task, _unregister_task
from collections.abc import Callable, Coroutine, Generator
from gc import get_referents
from itertools import repeat
from operator import is_
from sys import getrefcount
from typing import Any
from weakref import getweakrefcount

from fastloop.tasks import held_back

NAME = "fastloop request"

_UNSET = object()


class Steps:
    """A coroutine whose first step was made already, as its task runs it."""

    __slots__ = ("coroutine", "send", "throw")
    coroutine: Coroutine[Any, Any, Any]
    send: Callable[..., Any]
    throw: Callable[..., Any]

    def go_on(self, coroutine: Coroutine[Any, Any, Any], first: Any) -> None:
        """With one that waits for this future; or, None, for the next round of the loop."""
        self.coroutine = coroutine

        def send(_: Any) -> Any:
            self.send, self.throw = coroutine.send, coroutine.throw
            return first

        def throw(error: BaseException, *_: Any) -> Any:
            """It cancelled itself before it waited."""
            self.send, self.throw = coroutine.send, coroutine.throw
            if first is not None and first.cancel():
                return first
            return coroutine.throw(error)

        self.send, self.throw = send, throw

    def end(self, coroutine: Coroutine[Any, Any, Any], error: BaseException | None) -> None:
        """With one that has ended."""
        self.coroutine = coroutine

        def send(*_: Any) -> Any:
            raise StopIteration if error is None else error

        self.send = self.throw = send

    def close(self) -> None:
        """Ends it."""
        self.coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError("this is for a task to run")

    def __getattr__(self, name: str) -> Any:
        """What shows where a coroutine is, for whoever prints tasks."""
        if not name.startswith("cr_"):
            raise AttributeError(name)
        return getattr(self.coroutine, name)


def attributes_of(task: asyncio.Task[Any]) -> dict[str, Any]:
    """The dict of what users set on a task: of C's there is no ``__dict__`` to look at."""
    task._mark = NAME  # type: ignore[attr-defined]
    try:
        return next(each for each in get_referents(task) if type(each) is dict and "_mark" in each)
    finally:
        del task._mark  # type: ignore[attr-defined]


class Drive:
    """The ready task of one loop; for its thread, outside of all tasks.

    ``asyncio.all_tasks()`` does not have it, since whoever waits for all of them would do so for
    ever.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._make()

    def _make(self) -> None:
        self._steps: Any = Steps()
        self._task, self._step, self._context = held_back(self._steps, self._loop, NAME)
        _unregister_task(self._task)
        self._task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._variables, self._values = tuple(self._context), tuple(self._context.values())
        self._attributes = attributes_of(self._task)
        self._references = getrefcount(self._task), getweakrefcount(self._task)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any] | None:
        """Makes its first step. Returns None if it returned then; else its task, which may be done.

        Raises KeyboardInterrupt and SystemExit, as the step of any task does.
        """
        first: Any = None
        error: BaseException | None = None
        ended = False
        _enter_task(self._loop, self._task)
        try:
            first = self._context.run(coroutine.send, None)
        except StopIteration:
            ended = True
        except BaseException as raised:
            error, ended = raised, True
        finally:
            _leave_task(self._loop, self._task)
        if ended and error is None and self._is_unknown():
            return None
        if ended:
            self._steps.end(coroutine, error)
            error = None  # its traceback knows this frame
        else:
            self._steps.go_on(coroutine, first)
        return self._use_up()

    def _is_unknown(self) -> bool:
        """Whether nothing tells that there was a task: nobody holds it, and it is as it was."""
        return (
            (getrefcount(self._task), getweakrefcount(self._task)) == self._references
            and not self._attributes
            and len(self._context) == len(self._values)
            and (not self._values or self._is_blank())
            and self._task._callbacks is None
            and not self._task._must_cancel
            and self._task.get_name() is NAME
        )

    def _is_blank(self) -> bool:
        """Whether every variable is as before: the very object, since equal ones may differ."""
        found = map(self._context.get, self._variables, repeat(_UNSET))
        return all(map(is_, found, self._values))

    def _use_up(self) -> asyncio.Task[Any]:
        task, step, context = self._task, self._step, self._context
        task._log_destroy_pending = True  # type: ignore[attr-defined]
        _register_task(task)
        self._make()
        context.run(step)
        return task
