"""Ways to run a batch other than one handler call after the other: whole, async, in threads."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from fastloop._ffi import lib
from fastloop.crossing import FAULT, MARK, RAISED, of_exception
from fastloop.handlers import Handler
from fastloop.route import Dispatch, Route
from fastloop.runtime import Runtime
from fastloop.slices import in_turn
from fastloop.tasks import Tasks
from fastloop.workers import Works


def of(handler: Handler, workers: Works | None) -> Dispatch:
    """How the batches of this handler are run."""
    if handler.is_async:
        return OnAsyncio()
    if handler.is_batch:
        return whole_batch
    return OnThreads(workers) if workers is not None else in_turn


def wants(route: Route) -> int:
    """What the C core is to tell (FL_WANT_*)."""
    handler, wants = route.handler, 0
    if handler.with_connection or isinstance(route.dispatch, Promised):
        wants |= lib.FL_WANT_IDS
    if handler.open is not None:
        wants |= lib.FL_WANT_OPENED
    if handler.close is not None or route.connection is not None:  # which keeps how it came about
        wants |= lib.FL_WANT_CLOSED
    return int(wants)


def whole_batch(runtime: Runtime, route: Route, ids: list[int] | None, items: list[Any]) -> None:
    """Calls a batch handler once; its replies must be as many as the messages."""
    try:
        if ids is None:
            replies = route.handler.message(items)
        else:
            make = route.connection or runtime.connection
            replies = route.handler.message(list(map(make, ids)), items)
        replies = list(replies)
        if len(replies) != len(items):
            raise ValueError(f"{len(replies)} replies for {len(items)} messages")
    except RAISED as error:
        replies = [of_exception(error, route.name)] * len(items)
    for reply in replies:
        runtime.reply(reply)


next_ticket = count(1).__next__
"""Makes a number for a reply that comes later; 0 is none."""


class Promised:
    """What async and threaded handlers share: each message's reply is promised, then filled in."""

    def _promise(
        self, runtime: Runtime, route: Route, ids: list[int] | None, items: list[Any]
    ) -> list[tuple[int, int, tuple[Any, ...]]]:
        """Promises a reply to each message. Returns (id, ticket, handler arguments) for each."""
        assert ids is not None
        promised = []
        make = route.connection or runtime.connection
        for id, item in zip(ids, items, strict=True):
            ticket = next_ticket()
            runtime.reply((MARK, lib.FL_LATER, ticket))
            connection = (make(id, ticket),) if route.handler.with_connection else ()
            promised.append((id, ticket, (*connection, item)))
        return promised


class OnAsyncio(Promised, Tasks):
    """Runs each message as a task."""

    def __call__(
        self, runtime: Runtime, route: Route, ids: list[int] | None, items: list[Any]
    ) -> None:
        """Makes a task for each message of the batch."""
        for id, ticket, args in self._promise(runtime, route, ids, items):
            self.spawn(self._answer(runtime, route, id, ticket, args))

    async def _answer(
        self, runtime: Runtime, route: Route, id: int, ticket: int, args: tuple[Any, ...]
    ) -> None:
        value: Any = FAULT
        try:
            value = await route.handler.message(*args)
        except Exception as error:
            value = of_exception(error, route.name)
        finally:
            runtime.command((MARK, lib.FL_FILL, id, ticket, value))


class OnThreads(Promised):
    """Runs each message in a worker thread, those of one connection in their order."""

    def __init__(self, workers: Works) -> None:
        self._workers = workers

    def __call__(
        self, runtime: Runtime, route: Route, ids: list[int] | None, items: list[Any]
    ) -> None:
        """Hands each message of the batch to the workers."""
        for id, ticket, args in self._promise(runtime, route, ids, items):
            self._workers.submit(id, self._job(runtime, route, id, ticket, args))

    def _job(
        self, runtime: Runtime, route: Route, id: int, ticket: int, args: tuple[Any, ...]
    ) -> Callable[[], None]:
        def job() -> None:
            try:
                value = route.handler.message(*args)
            except BaseException as error:  # sys.exit() ends no worker: later messages need it
                value = of_exception(error, route.name)
            runtime.post(runtime.command, (MARK, lib.FL_FILL, id, ticket, value))

        return job
