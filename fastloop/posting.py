"""What other threads want of a loop: calls that are made on the loop's own thread."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from threading import RLock, get_ident
from typing import Any

from fastloop._ffi import lib
from fastloop.crossing import RAISED
from fastloop.errors import FastloopError

log = logging.getLogger("fastloop")

ANSWER_SECONDS = 30
"""How long another thread waits for an answer of the loop's thread."""


class Posting:
    """The part of a Runtime that other threads may use."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.thread: int | None = get_ident()
        self.turning = False
        self._posted: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._awake = False
        self._lifetime = RLock()  # of the loop, against a wake-up from another thread

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Calls it now if this is the loop's thread; otherwise soon, on the loop's thread."""
        if get_ident() == self.thread:
            self._alive()
            function(*args)
        else:
            self.post(function, *args)

    def ask(self, function: Callable[..., Any], *args: Any) -> Any:
        """The result of a call on the loop's thread, from any thread."""
        if get_ident() == self.thread or not self.turning:
            self._alive()
            return function(*args)
        answer: Future[Any] = Future()

        def fetch() -> None:
            try:
                answer.set_result(function(*args))
            except BaseException as error:
                answer.set_exception(error)

        self.post(fetch)
        try:
            return answer.result(timeout=ANSWER_SECONDS)
        except TimeoutError as error:
            raise FastloopError("the server has stopped, or a handler holds it up") from error

    def post(self, function: Callable[..., Any], *args: Any) -> None:
        """Calls it soon on the loop's thread; from any thread."""
        self._posted.append((function, args))
        if not self._awake:
            self._awake = True
            self.wake()

    def post_while_turning(self, function: Callable[..., Any], *args: Any) -> bool:
        """The same, unless the loop has ended: then it returns False, and nothing is called."""
        with self._lifetime:
            if self.turning:
                self.post(function, *args)
            return self.turning

    def wake(self) -> None:
        """Makes a turn that waits return; from any thread, also while another frees the loop."""
        with self._lifetime:
            lib.fl_wake(self._alive())

    def _run_posted(self) -> None:
        self._awake = False  # before the queue is looked at: who posts from now on wakes again
        for _ in range(len(self._posted)):
            if not self._posted:  # what was called has turned the loop itself
                break
            function, args = self._posted.popleft()
            self.call_user(function, *args)

    def soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Calls it at the end of this turn; for the loop's own thread, while it runs handlers."""
        self._posted.append((function, args))
        self._awake = True

    def call_user(self, function: Callable[..., Any] | None, *args: Any) -> None:
        """Calls it, if there is one, and logs what it raises."""
        if function is None:
            return
        try:
            function(*args)
        except RAISED:
            log.exception("%s failed", getattr(function, "__qualname__", function))

    def _alive(self) -> Any:
        if self.loop is None:
            raise FastloopError("the server is stopped, or belongs to the parent of this process")
        return self.loop
