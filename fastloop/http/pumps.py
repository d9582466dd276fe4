"""What sends the pieces of a response: on the loop, as a task, or in a worker thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any

from fastloop.crossing import RAISED
from fastloop.http.convert import Stream
from fastloop.http.promise import Outgoing, Promise
from fastloop.slices import SLICE_SECONDS

log = logging.getLogger("fastloop")


class OnLoop:
    """Takes pieces of an ordinary iterator between turns, a slice of about a millisecond each."""

    def __init__(self, promise: Promise, stream: Stream) -> None:
        self._promise = promise
        self._source = stream.source
        self._out = Outgoing(promise, stream)

    def step(self, room: int = 0) -> None:
        """The next slice, when the peer has room for it; an error if it is gone."""
        out = self._out
        if room < 0:
            out.leave(room)
        error: BaseException | None = None
        try:
            if not self._slice():
                self._promise.runtime.waits.room(
                    self._promise.request[5], self._promise.ticket, self.step
                )
                return
        except RAISED as raised:
            error = raised
        close(self._source)
        out.end(error)

    def _slice(self) -> bool:
        """Returns whether that was all."""
        out = self._out
        began = perf_counter()
        while not (out.gone or out.bodiless):
            try:
                item = next(self._source)
            except StopIteration:
                return True
            out.put(item)
            if out.filled() or perf_counter() - began > SLICE_SECONDS:
                return False
        return True


async def pump(promise: Promise, stream: Stream) -> None:
    """Sends what an async iterator yields, in the task of the handler.

    When the peer leaves, whatever the iterator waits for is cancelled.
    """
    task = asyncio.current_task()
    assert task is not None
    out = Outgoing(promise, stream)
    waits, id = promise.runtime.waits, promise.request[5]

    def leave(_: Any) -> None:
        out.leave(_)
        task.cancel()

    error: Exception | None = None
    waits.end(id, leave)
    try:
        await _pump(out, stream, promise)
    except Exception as raised:
        error = raised
    except asyncio.CancelledError:
        if not out.gone or task.uncancel() > 0:
            raise
    finally:
        waits.forget(id, leave)
        await close_async(stream.source)
    out.end(error)


async def _pump(out: Outgoing, stream: Stream, promise: Promise) -> None:
    while not out.bodiless:
        try:
            item = await anext(stream.source)
        except StopAsyncIteration:
            return
        out.put(item)
        if out.filled():
            await answer_of(promise.runtime.waits.room, promise.request[5], promise.ticket)


async def answer_of(question: Callable[..., None], *args: Any) -> Any:
    """The answer to one of the questions of ``Waits``."""
    future = asyncio.get_running_loop().create_future()

    def answered(answer: Any) -> None:
        if not future.done():
            future.set_result(answer)

    question(*args, answered)
    return await future


def pump_in_thread(promise: Promise, stream: Stream) -> None:
    """Sends what an ordinary iterator yields, which may wait, in this worker thread."""
    out = Outgoing(promise, stream)
    waits, id = promise.runtime.waits, promise.request[5]
    promise.runtime.post(waits.end, id, out.leave)
    error: Exception | None = None
    try:
        for item in () if out.bodiless else stream.source:
            out.put(item)
            if (
                out.gone
                or out.bodiless
                or (out.filled() and waits.wait(waits.room, id, promise.ticket) < 0)
            ):
                break
    except Exception as raised:
        error = raised
    close(stream.source)
    promise.runtime.post(waits.forget, id, out.leave)
    out.end(error)


def close(source: Any) -> None:
    """Ends a generator where it stands; what it raises then is logged, and harms no response."""
    try:
        if hasattr(source, "close"):
            source.close()
    except Exception:
        log.exception("closing %r failed", source)


async def close_async(source: Any) -> None:
    """The same for an async generator."""
    try:
        if hasattr(source, "aclose"):
            await source.aclose()
    except Exception:
        log.exception("closing %r failed", source)
