"""What serves WebSockets: a handler and its options, looked at once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from fastloop import dispatch, native
from fastloop._ffi import lib
from fastloop.config import Config
from fastloop.crossing import MARK
from fastloop.errors import ConfigError
from fastloop.handlers import Handler
from fastloop.http.errors import HTTPError
from fastloop.options import MIB
from fastloop.route import Route
from fastloop.websocket.connection import CloseReason, Opening, WebSocket
from fastloop.websocket.handshake import Handshake, allowed

if TYPE_CHECKING:
    from fastloop.http.request import Request
    from fastloop.runtime import Runtime
    from fastloop.workers import Works

MAX_MESSAGE = MIB
"""Bytes of a message, where nobody says otherwise."""


def _compression(given: bool | str | None) -> str | None:
    """The same as the option of a server; None: not given."""
    return ("deflate" if given else "off") if isinstance(given, bool) else given


def _keep(runtime: Runtime, id: int, opening: Opening) -> None:
    """Keeps it as long as the connection lasts, which may have gone before there is an answer."""
    if runtime.is_open(id):
        runtime.openings[id] = opening
        runtime.command((MARK, lib.FL_WATCH, id))


class Endpoint:
    """A handler of WebSockets. Options that are None are those of the server.

    ``subprotocols`` are taken in this order of preference. ``origins`` are those of pages that may
    connect, such as "https://example.com", or "same" for this very host; None: all may.
    ``compression`` is True, False, or a value of the server's option.
    ``max_message`` is bytes, after expanding. Raises ConfigError for what cannot work.
    """

    def __init__(
        self,
        target: Any,
        *,
        subprotocols: Iterable[str] = (),
        origins: Iterable[str] | None = None,
        compression: bool | str | None = None,
        max_message: int | None = None,
        ping_interval: float | None = None,
        ping_timeout: float | None = None,
    ) -> None:
        if isinstance(subprotocols, str) or isinstance(origins, str):
            raise ConfigError("subprotocols and origins are lists: write ['chat'], not 'chat'")
        self.handler = Handler.of(target)
        self._keeps = self.handler.with_connection or self.handler.open or self.handler.close
        self.subprotocols = tuple(subprotocols)
        self.origins = None if origins is None else tuple(origins)
        self._given = {
            "max_message": max_message,
            "ping_interval": ping_interval,
            "ping_timeout": ping_timeout,
            "compression": _compression(compression),
        }

    def options(self, config: Config) -> Config:
        """Those of the server with its own put over them. Raises ConfigError for a bad one."""
        values = {field: getattr(config, field) for field in self._given}
        values |= {name: value for name, value in self._given.items() if value is not None}
        if values["max_message"] is None:
            values["max_message"] = MAX_MESSAGE
        return Config(**values)

    def listen(self, runtime: Runtime, config: Config, workers: Works | None) -> Route:
        """Makes a listener for it in one runtime."""
        options = self.options(config)
        run = dispatch.of(self.handler, workers)
        route = Route(self.handler, run, partial(WebSocket, runtime), CloseReason.of)
        number = native.websocket(runtime.loop, options, dispatch.wants(route))
        runtime.sockets[self] = number, native.window(options)
        return route

    def upgrade(self, request: Request, **parameters: Any) -> Any:
        """The answer to a request for its path. Raises HTTPError for one that is refused."""
        handshake = Handshake(request)
        if not allowed(handshake.origin, self.origins, request.host, request.scheme):
            raise HTTPError(403, "pages of this origin may not connect")
        subprotocol = handshake.choose(self.subprotocols)
        listener, window = request._runtime.sockets[self]
        if self._keeps:  # as it came, without what was read from it: that is some kilobytes
            opening = Opening(type(request)(request), subprotocol, parameters)
            request._runtime.call(_keep, request._runtime, request.id, opening)
        return handshake.accept(listener, subprotocol=subprotocol, window=window)
