"""A runtime on an asyncio loop: applications start, it turns, tasks end, they shut down."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic

from fastloop.aio import AsyncioTurns, awaited
from fastloop.asgi.app import Requests
from fastloop.asgi.lifespan import Lifespan
from fastloop.runtime import Runtime
from fastloop.tasks import Tasks

log = logging.getLogger("fastloop")


async def host(
    runtime: Runtime, started: Callable[[], object] | None, hurried: Callable[[], bool]
) -> None:
    """Turns it until the server stops. Raises StartupError of an application.

    ``started()`` is called when all applications have started; once ``hurried()``, none is waited
    for at the end.
    """
    dispatches = [route.dispatch for route in runtime.routes]
    lifespans = [each.lifespan for each in dispatches if isinstance(each, Requests)]
    try:
        begins = await startup(runtime, lifespans)
    except BaseException:
        runtime.end()
        await shutdown(lifespans, hurried)  # those that did start
        raise
    if not begins:
        runtime.end()
        await shutdown(lifespans, hurried)
        return
    if started is not None:
        started()
    turns = AsyncioTurns(runtime)
    try:
        await turns.ended.wait()
    finally:
        turns.detach()
        for each in dispatches:
            if isinstance(each, Tasks):
                await each.finish(runtime.drained - monotonic())
        await shutdown(lifespans, hurried)


async def startup(runtime: Runtime, lifespans: list[Lifespan]) -> bool:
    """Whether all of them started before anybody stopped the server."""
    for lifespan in lifespans:
        if not await awaited(lifespan.startup(), runtime.attend):
            log.warning("stopped before the application started")
            return False
    return runtime.attend()


async def shutdown(lifespans: list[Lifespan], hurried: Callable[[], bool]) -> None:
    """Waits until all have shut down, as long as nobody is in a hurry."""
    for lifespan in lifespans:
        if not await awaited(lifespan.shutdown(), lambda: not hurried()):
            log.warning("stopped before the application had shut down")
