"""An ASGI application at an http:// address, and how its requests are run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

from fastloop import native
from fastloop._ffi import lib
from fastloop.asgi.cycle import Cycle, Message
from fastloop.asgi.drive import Drive
from fastloop.asgi.lifespan import Lifespan
from fastloop.asgi.scope import scopes
from fastloop.asgi.sockets import Sockets
from fastloop.asgi.stages import COMPLETE
from fastloop.asgi.websocket import Socket, handshake_of
from fastloop.bind import Listener
from fastloop.config import Config
from fastloop.crossing import RAISED
from fastloop.errors import ConfigError
from fastloop.handlers import Handler
from fastloop.http.errors import HTTPError
from fastloop.http.static import Constant, Hole, Static
from fastloop.interface import name_of
from fastloop.route import Route
from fastloop.slices import SLICE_SECONDS
from fastloop.tasks import Tasks, can_hold_back
from fastloop.websocket.connection import CloseReason
from fastloop.websocket.endpoint import MAX_MESSAGE

if TYPE_CHECKING:
    from fastloop.runtime import Runtime
    from fastloop.workers import Works


class AsgiApp:
    """A user's application. Raises ConfigError for what cannot be called."""

    form = lib.FL_FORM_ASGI
    """How the core delivers requests."""

    is_async = True
    stream = True

    def __init__(
        self, target: Any, config: Config, *, static: Mapping[str, Any] | None = None
    ) -> None:
        if not callable(target):
            raise ConfigError(f"the ASGI application {target!r} cannot be called")
        self.target: Callable[..., Any] = target
        self.config = config
        self.name = name_of(target)
        self.statics = Static.of(static)
        self.constants = [Constant(config.healthz, "ok\n")] if config.healthz else []
        self.holes: list[Hole] = []
        if any(each.prefix == "" for each in self.statics):
            raise ConfigError(
                f"the files below / leave nothing to the application {self.name}: serve them below"
                " a prefix, as static={'/assets': ...}"
            )
        self._lifespans: dict[Runtime, Lifespan] = {}
        self._open: dict[Runtime, Sockets] = {}

    def lifespan(self, runtime: Runtime) -> Lifespan:
        """That of the application on the loop that turns this runtime."""
        if runtime not in self._lifespans:
            self._lifespans[runtime] = Lifespan(self.target, self.config.lifespan)
        return self._lifespans[runtime]

    def route(self, runtime: Runtime, _: Works | None, listener: Listener) -> Route:
        """What serves one listening socket in one runtime."""
        sockets = self._open.setdefault(runtime, Sockets(self))
        requests = Requests(runtime, self, listener, sockets)
        return Route(Handler(requests.begin, self.name), requests)

    @property
    def sockets(self) -> list[Self]:
        """What listens for WebSockets."""
        return [self]

    def listen(self, runtime: Runtime, config: Config, _: Works | None) -> Route:
        """Makes a listener for WebSockets in one runtime; after ``route``."""
        wants = lib.FL_WANT_IDS | lib.FL_WANT_CLOSED
        if config.max_message is None:
            config = replace(config, max_message=MAX_MESSAGE)
        number = native.websocket(runtime.loop, config, wants)
        runtime.sockets[self] = number, native.window(config)
        sockets = self._open[runtime]
        handler = Handler(self.target, self.name, close=sockets.closed)
        return Route(handler, sockets.arrived, reason=CloseReason.of)


class Requests(Tasks):
    """Runs each request as a task of its own, up to its first wait at once."""

    def __init__(
        self, runtime: Runtime, app: AsgiApp, listener: Listener, sockets: Sockets
    ) -> None:
        super().__init__()
        self._sockets = sockets
        self._run: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any] | None] = self._first
        self.lifespan = app.lifespan(runtime)
        self._app = app.target
        self._cycle: type[Cycle] = type("Cycle", (Cycle,), {"runtime": runtime, "out": runtime.out})
        root_path = app.config.root_path.rstrip("/")
        self._scope, self._socket_scope = scopes(listener, root_path, self.lifespan.state)

    def __call__(
        self, runtime: Runtime, route: Route, ids: list[int] | None, items: list[Any]
    ) -> None:
        """Begins every request of the batch; what was answered is sent every millisecond."""
        began = perf_counter()
        for item in items:
            self.begin(item)
            if perf_counter() - began > SLICE_SECONDS:
                runtime.flush()
                began = perf_counter()

    def begin(self, message: tuple[Any, ...]) -> None:
        """Says the response to one request, or promises it."""
        own, body, id = message
        cycle = self._cycle(body, id)
        if "type" in own:  # it wants to become something else
            self._begin_socket(cycle, own)
            return
        try:
            coroutine = self._app(self._scope(own), cycle.receive, cycle.send)
            task = self._run(coroutine)
        except RAISED as error:
            cycle.failed(error)
            return
        if task is None:
            if cycle.stage != COMPLETE:
                cycle.returned()
        elif task.done():
            cycle.finish(task)
        else:
            if cycle.stage != COMPLETE:
                cycle.promise()
            self.keep(task)
            task.add_done_callback(cycle.finish)

    def _first(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any] | None:
        """Runs the first of all; from then on it is known how."""
        loop = asyncio.get_running_loop()
        self._run = Drive(loop).run if can_hold_back(loop) else self.start
        return self._run(coroutine)

    def _begin_socket(self, cycle: Cycle, own: dict[str, Any]) -> None:
        try:
            handshake = handshake_of(own, cycle.body)
        except HTTPError as error:
            cycle.refuse(error.status, error.headers.items(), error.text)
            return
        socket = Socket(handshake, cycle, self._sockets)
        try:
            scope = self._socket_scope(own, handshake.subprotocols)
            task = self.spawn(self._app(scope, socket.receive, socket.send))
        except RAISED as error:
            socket.over(error)
            return
        if task.done():
            socket.finish(task)
        else:
            task.add_done_callback(socket.finish)


__all__ = ["AsgiApp", "Message", "Requests"]
