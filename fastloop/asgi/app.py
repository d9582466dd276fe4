"""An ASGI application at an http:// address, and how its requests are run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastloop._ffi import lib
from fastloop.asgi.cycle import Cycle, Message
from fastloop.asgi.lifespan import Lifespan
from fastloop.asgi.scope import scopes
from fastloop.asgi.stages import COMPLETE
from fastloop.bind import Listener
from fastloop.config import Config
from fastloop.errors import ConfigError
from fastloop.handlers import Handler
from fastloop.http.static import Constant, Hole, Static
from fastloop.interface import name_of
from fastloop.route import Route
from fastloop.slices import SLICE_SECONDS
from fastloop.tasks import Tasks
from fastloop.websocket.endpoint import Endpoint

if TYPE_CHECKING:
    from fastloop.runtime import Runtime
    from fastloop.workers import Works


class AsgiApp:
    """A user's application. Raises ConfigError for what cannot be called."""

    form = lib.FL_FORM_ASGI
    """How the core delivers requests."""

    is_async = True
    stream = True

    sockets: tuple[Endpoint, ...] = ()
    """Handlers of WebSockets."""

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

    def lifespan(self, runtime: Runtime) -> Lifespan:
        """That of the application on the loop that turns this runtime."""
        if runtime not in self._lifespans:
            self._lifespans[runtime] = Lifespan(self.target, self.config.lifespan)
        return self._lifespans[runtime]

    def route(self, runtime: Runtime, _: Works | None, listener: Listener) -> Route:
        """What serves one listening socket in one runtime."""
        requests = Requests(runtime, self, listener)
        return Route(Handler(requests.begin, self.name), requests)


class Requests(Tasks):
    """Runs each request as a task of its own, up to its first wait at once."""

    def __init__(self, runtime: Runtime, app: AsgiApp, listener: Listener) -> None:
        super().__init__()
        self.lifespan = app.lifespan(runtime)
        self._app = app.target
        self._cycle: type[Cycle] = type("Cycle", (Cycle,), {"runtime": runtime, "out": runtime.out})
        root_path = app.config.root_path.rstrip("/")
        self._scope = scopes(listener, root_path, self.lifespan.state)

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
        try:
            coroutine = self._app(self._scope(own), cycle.receive, cycle.send)
            task = self.spawn(coroutine)
        except Exception as error:
            cycle.failed(error)
            return
        if task.done():
            cycle.finish(task)
        else:
            if cycle.stage != COMPLETE:
                cycle.promise()
            task.add_done_callback(cycle.finish)


__all__ = ["AsgiApp", "Message", "Requests"]
