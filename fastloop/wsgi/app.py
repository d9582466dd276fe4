"""What serves an http:// address with a WSGI application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastloop._ffi import lib
from fastloop.bind import Listener
from fastloop.config import EVENT_LOOP, Config
from fastloop.errors import ConfigError
from fastloop.handlers import Handler
from fastloop.http.static import Constant, Hole, Static
from fastloop.route import Route
from fastloop.slices import in_turn
from fastloop.wsgi.answer import Answers
from fastloop.wsgi.dispatch import InThreads
from fastloop.wsgi.environ import base
from fastloop.wsgi.marker import Application

if TYPE_CHECKING:
    from fastloop import websocket
    from fastloop.runtime import Runtime
    from fastloop.workers import Works


class App:
    """A WSGI application and how it is run. Raises ConfigError for what cannot work."""

    form = lib.FL_FORM_WSGI
    """How the core delivers requests."""

    is_async = False
    """Whether it needs an asyncio loop."""

    sockets: tuple[websocket.Endpoint, ...] = ()
    """Handlers of WebSockets: WSGI has none."""

    def __init__(
        self, target: Application, config: Config, *, static: Mapping[str, Any] | None = None
    ) -> None:
        self.target = target
        self.config = config
        self.name = getattr(target, "__qualname__", type(target).__qualname__)
        self.constants: list[Constant] = []
        self.statics = Static.of(static)
        self.holes: list[Hole] = []
        if config.healthz:
            self.constants.append(Constant(config.healthz, "ok\n"))
        if any(each.prefix == "" for each in self.statics):
            raise ConfigError(
                f"the files below / leave nothing to the application {self.name}: serve them below"
                " a prefix, as static={'/assets': ...}"
            )

    @property
    def stream(self) -> bool:
        """Whether bodies are delivered as they arrive: only what holds up nobody can wait for
        them.
        """
        return self.config.blocking > 0 or self.config.model != EVENT_LOOP

    def route(self, runtime: Runtime, workers: Works | None, listener: Listener) -> Route:
        """What serves it in one runtime."""
        answers = Answers(runtime, self.target, base(listener, self.config), self.config)
        if workers is None:
            return Route(Handler(answers.inline(), self.name), in_turn)
        return Route(Handler(answers.inline(), self.name), InThreads(answers, workers))
