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
from fastloop.interface import ASGI, WSGI, detect, is_asgi
from fastloop.route import Route
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
    ) -> list[Route]:
        """Serves one listening socket in one runtime: with one listener of the core, and one more
        for each handler of WebSockets.
        """
        app = self.handler if isinstance(self.handler, HTTPApp) else None
        route = self._route(runtime, workers, listener)
        number = native.listen(
            runtime.loop,
            fd,
            self.framing,
            config,
            dispatch.wants(route),
            stream=app is not None and app.stream,
            form=app.form if app is not None else lib.FL_FORM_PLAIN,
            what=f"listening on {listener.address}",
        )
        routes = [route]
        if app is not None:
            routes += [each.listen(runtime, config, workers) for each in app.sockets]
            for constant in app.constants:
                native.constant(runtime.loop, number, constant)
            for static in app.statics:
                native.mount(runtime.loop, number, static)
            for hole in app.holes:
                native.leave(runtime.loop, number, hole)
        return routes

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
        return Route(self.handler, dispatch.of(self.handler, workers))


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
        elif bind.scheme == "ws":
            served = App(_only_socket(target, bind), config, stream=stream, static=static)
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


def _only_socket(target: Any, bind: Bind) -> Router:
    """What serves a ws:// address, which begins as HTTP. Raises ConfigError for what cannot."""
    _refuse_web(target, bind)
    router = Router()
    router.websocket(("" if bind.kind == "unix" else bind.path) or "/", target)
    return router


def targets_of(handler: Any, urls: tuple[str, ...]) -> dict[str, Any]:
    """Bind URL to handler; a handler may be such a dict already. Raises ConfigError without any."""
    targets = dict(handler) if isinstance(handler, Mapping) else {}
    targets.update(dict.fromkeys(urls, handler))
    if not targets:
        raise ConfigError("no address to listen on: give one, such as tcp://127.0.0.1:7000")
    return targets


def handler_of(target: Any, bind: Bind) -> Handler:
    """What serves an address that is not HTTP."""
    _refuse_web(target, bind)
    return Handler.of(target)


def _refuse_web(target: Any, bind: Bind) -> None:
    for kind, what in ((Router, "a Router"), (wsgi.WSGI, "a WSGI application")):
        if isinstance(target, kind):
            raise ConfigError(f"{what} serves http:// addresses, not {bind.url}")
    if is_asgi(target):
        raise ConfigError(
            f"an ASGI application serves http:// addresses, with its WebSockets, not {bind.url}"
        )


def framings_of(framing: Framings, binds: list[Bind], config: Config) -> list[Framing]:
    """The framing of each bind. Raises ConfigError for a bind that has none."""
    by_url = (
        framing if isinstance(framing, Mapping) else dict.fromkeys((b.url for b in binds), framing)
    )
    return [_framing(by_url.get(bind.url), bind, config) for bind in binds]


def _framing(spec: str | Framing | None, bind: Bind, config: Config) -> Framing:
    if bind.scheme in ("http", "ws"):  # which leaves no choice
        spec = "http"
    spec = spec or bind.framing
    if spec is None:
        raise ConfigError(
            f"{bind.url} needs a framing, which says where a message ends: framing='line', 'raw', "
            "'u32be' ... (http:// and resp:// addresses have theirs)"
        )
    return of(spec, max=config.max_message)
