"""From a message of the core to its reply: what runs once for every request.

``plain`` is the way most requests take: one Python frame between the core and the handler.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastloop.crossing import FAULT, RAISED, of_exception
from fastloop.errors import ConnectionClosed
from fastloop.http.convert import NEEDS_ASYNC, Stream, convert
from fastloop.http.errors import HTTPError
from fastloop.http.head import request_line
from fastloop.http.page import error_page
from fastloop.http.promise import Promise
from fastloop.http.pumps import OnLoop
from fastloop.http.request import BlockingRequest, Request, StreamRequest
from fastloop.http.response import Response, html
from fastloop.http.table import Table

if TYPE_CHECKING:
    from fastloop.runtime import Runtime

log = logging.getLogger("fastloop")

Message = tuple[Any, ...]
"""(method, path, query, head, body or None, id), as the core delivers it."""


class Answers:
    """Makes the functions that answer the requests of one runtime."""

    def __init__(self, runtime: Runtime, table: Table | None, *, debug: bool) -> None:
        self.runtime = runtime
        self.table = table
        self._debug = debug
        bound = {"_runtime": runtime}
        self.request: type[Request] = type("Request", (Request,), bound)
        self.stream_request: type[StreamRequest] = type("StreamRequest", (StreamRequest,), bound)
        self.blocking_request: type[BlockingRequest] = type(
            "BlockingRequest", (BlockingRequest,), bound
        )

    def plain(self, call: Callable[[Request], Any]) -> Callable[[Message], Any]:
        """For one handler."""
        make, finish, failed = self.request, self.finish, self.failed

        def answer(message: Message) -> Any:
            request = make(message)
            try:
                reply = call(request)
                kind = type(reply)
                return reply if kind is bytes or kind is str else finish(request, reply)
            except RAISED as error:
                return failed(request, error)

        return answer

    def routed(self, table: Table) -> Callable[[Message], Any]:
        """For the handlers of a router."""
        make, finish, failed = self.request, self.finish, self.failed
        exact, search = {key: found.call for key, found in table.exact.items()}, table.search

        def answer(message: Message) -> Any:
            request = make(message)
            try:
                call = exact.get(message[0] + message[1])
                if call is not None:
                    reply = call(request)
                else:
                    endpoint, parameters = search(message[0], message[1])
                    reply = endpoint.call(request, **parameters)
                kind = type(reply)
                return reply if kind is bytes or kind is str else finish(request, reply)
            except RAISED as error:
                return failed(request, error)

        return answer

    def batch(self, call: Callable[[list[Request]], Any]) -> Callable[[list[Message]], list[Any]]:
        """For a handler of whole batches."""
        make, finish = self.request, self.finish

        def answer(messages: list[Message]) -> list[Any]:
            requests = list(map(make, messages))
            replies = list(call(requests))
            if len(replies) != len(requests):
                raise ValueError(f"{len(replies)} replies for {len(requests)} requests")
            return list(map(finish, requests, replies))

        return answer

    def finish(self, request: Request, reply: Any) -> Any:
        """What crosses for a reply; a stream begins, on the loop."""
        value = convert(reply, request[3])
        if type(value) is not Stream:
            return value
        if value.is_async:
            raise TypeError(NEEDS_ASYNC)
        promise = Promise(self.runtime, request, self.failed)
        # Not before its place is in the outbox.
        self.runtime.soon(lambda: OnLoop(promise, value).step())
        return promise.later

    def failed(self, request: Request, error: BaseException) -> Any:
        """What crosses for a handler that raised; anything but an answer is logged."""
        if not isinstance(error, Exception):  # handlers of errors do not expect it
            return of_exception(error, request_line(request[3]))
        try:
            value = convert(self._reply_to(request, error), request[3])
            if type(value) is Stream:
                raise TypeError("what answers an error cannot be an iterator")
            return value
        except RAISED:
            log.exception("the handler of errors failed: %s", request_line(request[3]))
            return FAULT

    def _reply_to(self, request: Request, error: Exception) -> Any:
        errors = self.table.errors if self.table is not None else {}
        status = error.status if isinstance(error, HTTPError) else 500
        handler = next((errors[kind] for kind in type(error).__mro__ if kind in errors), None)
        if handler is None:
            if isinstance(error, ConnectionClosed):
                log.debug("%r: %s", request_line(request[3]), error)
            elif not isinstance(error, HTTPError):
                log.error("%r failed", request_line(request[3]), exc_info=error)
            handler = errors.get(status, self._default)
        reply = handler(request, error)
        return reply if isinstance(reply, Response) else Response(reply, status)

    def _default(self, request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPError):
            return Response(f"{error.text}\n", error.status, error.headers)
        if isinstance(error, ConnectionClosed):  # half of it: somebody may still read the answer
            return Response("the body ended early\n", 400)
        if self._debug:
            return html(error_page(request_line(request[3]), error), 500)
        return Response("Internal Server Error\n", 500)
