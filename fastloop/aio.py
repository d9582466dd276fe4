"""Beside asyncio there is no second loop: a runtime as one more reader of the user's own.

The backend has a descriptor that is itself pollable (epoll, kqueue, io_uring), so asyncio or uvloop
waits for it among its others and a turn is a callback. Idle costs nothing: nobody polls.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastloop._ffi import ffi, lib
from fastloop.errors import ConfigError
from fastloop.runtime import Runtime

log = logging.getLogger("fastloop")


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes loops: "asyncio", "uvloop", or "auto", which is uvloop where it is installed."""
    if name != "asyncio":
        try:
            import uvloop
        except ImportError as error:
            if name == "uvloop":
                raise ConfigError("loop 'uvloop' is not installed: pip install uvloop") from error
        else:
            factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
            return factory
    return asyncio.new_event_loop


def fileno_of(runtime: Runtime) -> int:
    """What asyncio waits for. Raises ConfigError for a backend that has no such thing."""
    fd = int(lib.fl_fileno(runtime.loop))
    if fd < 0:
        name = ffi.string(lib.fl_backend(runtime.loop)).decode()
        raise ConfigError(
            f"backend {name} has no descriptor that asyncio could wait for: "
            "use epoll, kqueue or io_uring for async handlers"
        )
    return fd


LOOK_SECONDS = 0.05
"""How often it is looked whether to wait on, where nothing can tell: before and after all turns."""


CANCEL_SECONDS = 1.0
"""How long cancelled tasks may take to end."""


async def awaited(coroutine: Coroutine[Any, Any, None], goes_on: Callable[[], bool]) -> bool:
    """Awaits it as long as ``goes_on()``; then cancels it. Returns whether it came to its end."""
    task = asyncio.ensure_future(coroutine)
    try:
        while not task.done() and goes_on():
            await asyncio.wait((task,), timeout=LOOK_SECONDS)
        if task.done():
            task.result()
        return task.done()
    finally:
        task.cancel()
        await asyncio.wait((task,), timeout=CANCEL_SECONDS)


def close(runner: asyncio.Runner) -> None:
    """Ends a runner with its loop: a task that swallows its cancellation is left where it is.

    By itself a runner waits for such a task for ever.
    """
    loop = runner.get_loop()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=CANCEL_SECONDS))
    for task in asyncio.all_tasks(loop):
        log.error("%r does not end by its cancellation, and is left", task)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        asyncio._unregister_task(task)
    runner.close()


class AsyncioTurns:
    """Turns a runtime whenever there is something to do, on the running asyncio loop."""

    def __init__(self, runtime: Runtime) -> None:
        """Raises ConfigError for a backend that asyncio cannot wait for."""
        self._fd = fileno_of(runtime)
        self._runtime = runtime
        self._loop = asyncio.get_running_loop()
        self._soon: asyncio.Handle | None = None
        self._turning = False
        self._due: asyncio.TimerHandle | None = None
        self.ended = asyncio.Event()
        runtime.begin()
        runtime.on_command = self.schedule
        self._loop.add_reader(self._fd, self.turn)
        self.schedule()

    def schedule(self) -> None:
        """Turns once soon: there is something to send."""
        if self._soon is None and not self._turning and not self.ended.is_set():
            self._soon = self._loop.call_soon(self.turn)

    def turn(self) -> None:
        """One turn that does not wait."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self.ended.is_set():
            return
        runtime = self._runtime
        self._turning = True
        try:
            runtime.turn(0)
            if not runtime.quiet:  # another turn would look for events as well
                runtime.flush()
        finally:
            self._turning = False
        if not runtime.running:
            self.detach()
            return
        self._follow_timers()

    def _follow_timers(self) -> None:
        milliseconds = lib.fl_timeout(self._runtime.loop)
        if milliseconds == 0:
            self.schedule()
            return
        if milliseconds > 0:
            self._wake_at(self._loop.time() + milliseconds / 1000)

    def _wake_at(self, when: float) -> None:
        """Turns then. A turn too many does no harm, so a timer that is due before stays."""
        if self._due is not None:
            if self._due.when() <= when:
                return
            self._due.cancel()
        self._due = self._loop.call_at(when, self._wake)

    def _wake(self) -> None:
        self._due = None
        self.turn()

    def detach(self) -> None:
        """Lets go of the asyncio loop; twice is fine."""
        self._loop.remove_reader(self._fd)
        for handle in (self._soon, self._due):
            if handle is not None:
                handle.cancel()
        self._runtime.on_command = None
        if not self.ended.is_set():
            self.ended.set()
            self._runtime.end()
