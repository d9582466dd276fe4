"""How requests are run where not all handlers are plain functions: tasks, worker threads, bodies
that are read as they arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastloop.crossing import FAULT, RAISED, of_exception
from fastloop.http.answer import Answers, Message
from fastloop.http.body import Body, Gather
from fastloop.http.convert import NEEDS_ASYNC, Stream, convert
from fastloop.http.promise import Promise
from fastloop.http.pumps import OnLoop, pump, pump_in_thread
from fastloop.http.request import Request
from fastloop.http.table import Endpoint, Found
from fastloop.slices import SLICE_SECONDS
from fastloop.tasks import Tasks
from fastloop.workers import Works

if TYPE_CHECKING:
    from fastloop.route import Route
    from fastloop.runtime import Runtime


class Various(Tasks):
    """Runs each request as its handler needs: at once, as a task, or in a worker thread."""

    def __init__(
        self, answers: Answers, only: Endpoint | None, workers: Works | None, *, asyncio: bool
    ) -> None:
        """``only`` is the handler where there is no router; ``asyncio``: there is a loop of it."""
        super().__init__()
        self._answers = answers
        self._only = only
        self._workers = workers
        self._asyncio = asyncio
        self._runtime = answers.runtime

    def __call__(
        self, runtime: Runtime, route: Route, ids: list[int] | None, items: list[Message]
    ) -> None:
        """Begins every request of the batch; what was answered is sent every millisecond."""
        began = perf_counter()
        for item in items:
            self.answer(item)
            if perf_counter() - began > SLICE_SECONDS:
                runtime.flush()
                began = perf_counter()

    def answer(self, message: Message) -> None:
        """Says the reply to one request, or promises one."""
        request = self._answers.request(message)
        try:
            endpoint, parameters = self._find(message)
        except Exception as error:
            self._runtime.reply(self._answers.failed(request, error))
            return
        if message[4] is None and not endpoint.stream:
            self._gather(self._promise(request), endpoint, parameters)
        elif endpoint.is_async or self._workers is not None:
            self._begin(self._promise(request), endpoint, parameters)
        else:
            self._now(request, endpoint, parameters)

    def _find(self, message: Message) -> Found:
        if self._only is not None:
            return self._only, {}
        assert self._answers.table is not None
        return self._answers.table.find(message[0], message[1])

    def _promise(self, request: Request) -> Promise:
        promise = Promise(self._runtime, request, self._answers.failed)
        self._runtime.reply(promise.later)
        return promise

    def _gather(self, promise: Promise, endpoint: Endpoint, parameters: Mapping[str, Any]) -> None:
        """Reads the body of a request for a handler that wants it whole."""

        def done(body: bytes | None, error: Exception | None) -> None:
            request = promise.request
            if error is not None:
                promise.keep(self._answers.failed(request, error))
                return
            promise.request = self._answers.request((*request[:4], body, request[5]))
            self._begin(promise, endpoint, parameters)

        Gather(promise.request, done)

    def _begin(self, promise: Promise, endpoint: Endpoint, parameters: Mapping[str, Any]) -> None:
        """Works on a reply that was promised."""
        if endpoint.is_async:
            self.spawn(self._task(promise, endpoint, parameters))
        elif self._workers is not None:
            self._workers.submit(promise.request[5], self._job(promise, endpoint, parameters))
        else:
            self._keep(promise, endpoint, parameters)

    def _now(self, request: Request, endpoint: Endpoint, parameters: Mapping[str, Any]) -> None:
        """Calls a plain handler. Only a stream needs a promise."""
        try:
            value = self._convert(request, endpoint.call(request, **parameters))
        except RAISED as error:
            value = self._answers.failed(request, error)
        if type(value) is Stream:
            self._pump(self._promise(request), value)
        else:
            self._runtime.reply(value)

    def _keep(self, promise: Promise, endpoint: Endpoint, parameters: Mapping[str, Any]) -> None:
        """Calls a plain handler for a reply that was promised."""
        try:
            value = self._convert(promise.request, endpoint.call(promise.request, **parameters))
        except RAISED as error:
            value = self._answers.failed(promise.request, error)
        if type(value) is Stream:
            self._pump(promise, value)
        else:
            promise.keep(value)

    def _convert(self, request: Request, reply: Any) -> Any:
        value = convert(reply, request[3])
        if type(value) is Stream and value.is_async and not self._asyncio:
            raise TypeError(NEEDS_ASYNC)
        return value

    def _pump(self, promise: Promise, stream: Stream) -> None:
        if stream.is_async:
            self.spawn(self._pump_task(promise, stream))
        else:
            OnLoop(promise, stream).step()

    async def _pump_task(self, promise: Promise, stream: Stream) -> None:
        try:
            await pump(promise, stream)
        except BaseException:
            promise.keep(FAULT)
            raise

    async def _task(
        self, promise: Promise, endpoint: Endpoint, parameters: Mapping[str, Any]
    ) -> None:
        """What an async handler runs in."""
        value: Any = FAULT
        try:
            request = promise.request
            if endpoint.stream:
                request = self._answers.stream_request(request)
                request._source = self._body(request)
            value = self._convert(request, await endpoint.call(request, **parameters))
            if type(value) is Stream:
                stream, value = value, FAULT
                if stream.is_async:
                    await pump(promise, stream)
                else:
                    OnLoop(promise, stream).step()
                return
        except Exception as error:
            value = self._answers.failed(promise.request, error)
        except BaseException:
            promise.keep(FAULT)
            raise
        promise.keep(value)

    def _job(
        self, promise: Promise, endpoint: Endpoint, parameters: Mapping[str, Any]
    ) -> Callable[[], None]:
        """What a worker thread runs."""

        def job() -> None:
            try:
                request = promise.request
                if endpoint.stream:
                    request = self._answers.blocking_request(request)
                    request._source = self._body(request)
                value = self._convert(request, endpoint.call(request, **parameters))
                if type(value) is Stream:
                    if value.is_async:
                        self._runtime.post(self._pump, promise, value)
                    else:
                        pump_in_thread(promise, value)
                    return
            except Exception as error:
                value = self._answers.failed(promise.request, error)
            except BaseException as error:  # sys.exit() ends no worker: later requests need it
                value = of_exception(error, endpoint.name)
            promise.keep(value)

        return job

    def _body(self, request: Request) -> Body:
        return Body(self._runtime, request[5], request[4])
