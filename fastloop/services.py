"""From what a user hands over to what is served where: address, framing, handler, how it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastloop import dispatch, native, wsgi
from fastloop._ffi import lib
from fastloop.asgi.app import AsgiApp
from fastloop.bind import Bind, Listener, parse
from fastloop.config import Config
from fastloop.errors import ConfigError
from fastloop.framing import Framing, of
from fastloop.handlers import Handler
from fastloop.http.app import App
from fastloop.http.router import Router
from fastloop.interface import ASGI, WSGI, detect
from fastloop.route import Dispatch, Route
from fastloop.slices import in_turn
from fastloop.workers import Works
from fastloop.wsgi.app import App as WSGIApp

if TYPE_CHECKING:
    from fastloop.runtime import Runtime

HTTPApp = App | WSGIApp | AsgiApp
"""What serves an http:// address."""

Framings = str | Framing | Mapping[str, str | Framing] | None


@dataclass(frozen=True)
class Service:
    """One address and what is served there."""

    bind: Bind
    framing: Framing
    handler: Handler | HTTPApp

    @property
    def streams(self) -> bool:
        """Whether any handler takes bodies as they arrive."""
        return isinstance(self.handler, HTTPApp) and self.handler.stream

    @property
    def is_async(self) -> bool:
        """Whether it needs an asyncio loop."""
        return self.handler.is_async

    def listen(
        self, runtime: Runtime, listener: Listener, fd: int, config: Config, workers: Works | None
    ) -> Route:
        """Serves one listening socket in one runtime."""
        app = self.handler if isinstance(self.handler, HTTPApp) else None
        route = self._route(runtime, workers, listener)
        number = native.listen(
            runtime.loop,
            fd,
            self.framing,
            config,
            wants_of(route),
            stream=app is not None and app.stream,
            form=app.form if app is not None else lib.FL_FORM_PLAIN,
            what=f"listening on {listener.address}",
        )
        if app is not None:
            for constant in app.constants:
                native.constant(runtime.loop, number, constant)
            for static in app.statics:
                native.mount(runtime.loop, number, static)
            for hole in app.holes:
                native.leave(runtime.loop, number, hole)
        return route

    def accept(self, runtime: Runtime, listener: Listener, fd: int, config: Config) -> None:
        """Takes the connections of a listening socket in for others to serve."""
        native.listen(
            runtime.loop,
            fd,
            self.framing,
            config,
            lib.FL_WANT_OPENED | lib.FL_WANT_CLOSED,
            stream=False,
            form=lib.FL_FORM_PLAIN,
            what=f"listening on {listener.address}",
        )

    def _route(self, runtime: Runtime, workers: Works | None, listener: Listener) -> Route:
        if isinstance(self.handler, HTTPApp):
            return self.handler.route(runtime, workers, listener)
        return Route(self.handler, dispatch_of(self.handler, workers))


def services_of(
    handler: Any,
    urls: tuple[str, ...],
    framing: Framings,
    config: Config,
    *,
    stream: bool = False,
    static: Mapping[str, Any] | None = None,
) -> list[Service]:
    """What a Server is made of. Raises ConfigError for anything that cannot work."""
    targets = targets_of(handler, urls)
    binds = [parse(url) for url in targets]
    framings = framings_of(framing, binds, config)
    if not any(each.name == "http" for each in framings):
        for name, given in (("stream", stream), ("static", static)):
            if given:
                raise ConfigError(f"{name} is for http:// addresses, and there is none")
    apps: dict[int, HTTPApp] = {}  # one application at two addresses has one lifespan
    services = []
    for bind, found, target in zip(binds, framings, targets.values(), strict=True):
        served: Handler | HTTPApp
        if found.name != "http":
            served = handler_of(target, bind)
        else:
            if id(target) not in apps:
                apps[id(target)] = http_app(target, config, stream=stream, static=static)
            served = apps[id(target)]
        services.append(Service(bind, found, served))
    return services


def http_app(
    target: Any, config: Config, *, stream: bool, static: Mapping[str, Any] | None
) -> HTTPApp:
    """What serves an http:// address. Raises ConfigError for what cannot work."""
    interface = WSGI if isinstance(target, wsgi.WSGI) else detect(target, config.interface)
    if stream and interface == ASGI:
        raise ConfigError("stream is for handlers: ASGI applications always read bodies so")
    if stream and interface == WSGI:
        raise ConfigError(
            "stream=True is for handlers: a WSGI application reads its body from wsgi.input, as it"
            " arrives if it has threads by blocking=N"
        )
    if interface == ASGI:
        return AsgiApp(target, config, static=static)
    if interface == WSGI:
        app = target.app if isinstance(target, wsgi.WSGI) else target
        return WSGIApp(app, config, static=static)
    return App(target, config, stream=stream, static=static)


def targets_of(handler: Any, urls: tuple[str, ...]) -> dict[str, Any]:
    """Bind URL to handler; a handler may be such a dict already. Raises ConfigError without any."""
    targets = dict(handler) if isinstance(handler, Mapping) else {}
    targets.update(dict.fromkeys(urls, handler))
    if not targets:
        raise ConfigError("no address to listen on: give one, such as tcp://127.0.0.1:7000")
    return targets


def handler_of(target: Any, bind: Bind) -> Handler:
    """What serves an address that is not HTTP."""
    if isinstance(target, Router):
        raise ConfigError(f"a Router serves http:// addresses, not {bind.url}")
    if isinstance(target, wsgi.WSGI):
        raise ConfigError(f"a WSGI application serves http:// addresses, not {bind.url}")
    return Handler.of(target)


def framings_of(framing: Framings, binds: list[Bind], config: Config) -> list[Framing]:
    """The framing of each bind. Raises ConfigError for a bind that has none."""
    by_url = (
        framing if isinstance(framing, Mapping) else dict.fromkeys((b.url for b in binds), framing)
    )
    return [_framing(by_url.get(bind.url), bind, config) for bind in binds]


def _framing(spec: str | Framing | None, bind: Bind, config: Config) -> Framing:
    if bind.scheme == "http":  # which leaves no choice
        spec = "http"
    spec = spec or bind.framing
    if spec is None:
        raise ConfigError(
            f"{bind.url} needs a framing, which says where a message ends: framing='line', 'raw', "
            "'u32be' ... (http:// and resp:// addresses have theirs)"
        )
    return of(spec, max=config.max_message)


def dispatch_of(handler: Handler, workers: Works | None) -> Dispatch:
    """How the batches of this handler are run."""
    if handler.is_async:
        return dispatch.OnAsyncio()
    if handler.is_batch:
        return dispatch.whole_batch
    return dispatch.OnThreads(workers) if workers is not None else in_turn


def wants_of(route: Route) -> int:
    """What the C core is to tell (FL_WANT_*)."""
    handler, wants = route.handler, 0
    if handler.with_connection or isinstance(route.dispatch, dispatch.Promised):
        wants |= lib.FL_WANT_IDS
    if handler.open is not None:
        wants |= lib.FL_WANT_OPENED
    if handler.close is not None:
        wants |= lib.FL_WANT_CLOSED
    return wants
