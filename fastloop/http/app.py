"""What serves an http:// address, looked at once: a function, an object, or a Router."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastloop._ffi import lib
from fastloop.bind import Listener
from fastloop.config import EVENT_LOOP, Config
from fastloop.dispatch import whole_batch
from fastloop.errors import ConfigError
from fastloop.handlers import Handler, is_async, is_batch, is_stream
from fastloop.http.answer import Answers
from fastloop.http.dispatch import Various
from fastloop.http.router import Router, check_call
from fastloop.http.static import Constant, Hole, Static, holes
from fastloop.http.table import Endpoint, Table
from fastloop.route import Dispatch, Route
from fastloop.slices import in_turn

if TYPE_CHECKING:
    from fastloop import websocket
    from fastloop.runtime import Runtime
    from fastloop.workers import Works


class App:
    """A user's handler for HTTP, and how it is run. Raises ConfigError for what cannot work.

    ``target`` is None where only files are served.
    """

    form = lib.FL_FORM_PLAIN
    """How the core delivers requests."""

    def __init__(
        self,
        target: Any,
        config: Config,
        *,
        stream: bool = False,
        static: Mapping[str, Any] | None = None,
    ) -> None:
        if inspect.isclass(target):
            target = target()
        self.config = config
        self.table: Table | None = None
        self.constants: list[Constant] = []
        self.holes: list[Hole] = []
        self.statics = Static.of(static)
        target = Router() if target is None else target
        if isinstance(target, Router):
            self._route(target)
        else:
            self._endpoint(target, stream=stream)
        self.open = self._hook(target, "open")
        self.close = self._hook(target, "close")
        self._check()

    def _route(self, router: Router) -> None:
        self.table = router.table()
        self.endpoints = self.table.endpoints
        self.name = "Router"
        self.is_batch = False
        self.constants += router.constants()
        self.statics += router.statics()
        self.holes = holes(self.statics, (each.pattern for each in self.table.resources))
        path = self.config.healthz
        if path and "GET" + path not in self.table.exact:
            self.constants.append(Constant(path, "ok\n"))

    def _endpoint(self, target: Any, *, stream: bool) -> None:
        call = getattr(target, "message", target)
        self.name = getattr(target, "__qualname__", type(target).__qualname__)
        check_call(call, self.name, (), "")
        self.is_batch = is_batch(call)
        streams = stream or is_stream(call)
        self.endpoints = [Endpoint(call, self.name, is_async(call), streams)]
        if self.config.healthz:
            self.constants.append(Constant(self.config.healthz, "ok\n"))

    def _hook(self, target: Any, name: str) -> Callable[..., Any] | None:
        hook = getattr(target, name, None) if hasattr(target, "message") else None
        if is_async(hook):
            raise ConfigError(f"{name}() of {self.name} is async: nobody would await it")
        return hook

    def _check(self) -> None:
        for socket in self.sockets:
            socket.options(self.config)
        for endpoint in self.endpoints:
            may_wait = self.config.blocking or self.config.model != EVENT_LOOP
            if endpoint.stream and not endpoint.is_async and not may_wait:
                raise ConfigError(
                    f"the handler {endpoint.name} reads its body as it arrives, which would hold up"
                    " everybody else: declare it with `async def`, or give it threads by blocking=N"
                )
        if self.table is None and any(static.prefix == "" for static in self.statics):
            raise ConfigError(
                f"the files below / leave nothing to the handler {self.name}: serve them below a"
                " prefix, as static={'/assets': ...}, or give the handler paths by a Router"
            )
        if self.is_batch and (self.is_async or self.stream):
            raise ConfigError(f"the batch handler {self.name} can be neither async nor stream=True")

    @property
    def sockets(self) -> list[websocket.Endpoint]:
        """Its handlers of WebSockets, each once."""
        found = dict.fromkeys(each.socket for each in self.endpoints)
        return [each for each in found if each is not None]

    @property
    def is_async(self) -> bool:
        """Whether it needs an asyncio loop."""
        return any(endpoint.is_async for endpoint in self.endpoints) or any(
            socket.handler.is_async for socket in self.sockets
        )

    @property
    def stream(self) -> bool:
        """Whether any handler takes bodies as they arrive."""
        return any(endpoint.stream for endpoint in self.endpoints)

    def route(self, runtime: Runtime, workers: Works | None, _: Listener | None = None) -> Route:
        """What serves it in one runtime."""
        answers = Answers(runtime, self.table, debug=self.config.debug)
        message: Callable[..., Any]
        dispatch: Dispatch
        if self.is_batch:
            message, dispatch = answers.batch(self.endpoints[0].call), whole_batch
        elif self.is_async or self.stream or workers is not None:
            only = self.endpoints[0] if self.table is None else None
            various = Various(answers, only, workers, asyncio=self.is_async)
            message, dispatch = various.answer, various
        elif self.table is not None:
            message, dispatch = answers.routed(self.table), in_turn
        else:
            message, dispatch = answers.plain(self.endpoints[0].call), in_turn
        handler = Handler(message, self.name, open=self.open, close=self.close)
        return Route(handler, dispatch)
