"""From what a user hands over to what a route needs: handler, framing, and how it is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastloop import dispatch
from fastloop._ffi import lib
from fastloop.bind import Bind
from fastloop.config import Config
from fastloop.errors import ConfigError
from fastloop.framing import Framing, of
from fastloop.handlers import Handler
from fastloop.route import Dispatch
from fastloop.slices import in_turn
from fastloop.workers import Workers

Framings = str | Framing | Mapping[str, str | Framing] | None


def targets_of(handler: Any, urls: tuple[str, ...]) -> dict[str, Any]:
    """Bind URL to handler; a handler may be such a dict already. Raises ConfigError without any."""
    targets = dict(handler) if isinstance(handler, Mapping) else {}
    targets.update(dict.fromkeys(urls, handler))
    if not targets:
        raise ConfigError("no address to listen on: give one, such as tcp://127.0.0.1:7000")
    return targets


def framings_of(framing: Framings, binds: list[Bind], config: Config) -> list[Framing]:
    """The framing of each bind. Raises ConfigError for a bind that has none."""
    by_url = (
        framing if isinstance(framing, Mapping) else dict.fromkeys((b.url for b in binds), framing)
    )
    return [_framing(by_url.get(bind.url) or bind.framing, bind.url, config) for bind in binds]


def _framing(spec: str | Framing | None, url: str, config: Config) -> Framing:
    if spec is None:
        raise ConfigError(
            f"{url} needs a framing, which says where a message ends: framing='line', 'raw', "
            "'u32be' ... (resp:// addresses have theirs)"
        )
    return of(spec, max=config.max_message)


def dispatch_of(handler: Handler, workers: Workers | None) -> Dispatch:
    """How the batches of this handler are run."""
    if handler.is_async:
        return dispatch.OnAsyncio()
    if handler.is_batch:
        return dispatch.whole_batch
    return dispatch.OnThreads(workers) if workers is not None else in_turn


def wants_of(handler: Handler, way: Dispatch) -> int:
    """What the C core is to tell (FL_WANT_*)."""
    wants = 0
    if handler.with_connection or isinstance(way, dispatch.Promised):
        wants |= lib.FL_WANT_IDS
    if handler.open is not None:
        wants |= lib.FL_WANT_OPENED
    if handler.close is not None:
        wants |= lib.FL_WANT_CLOSED
    return wants
