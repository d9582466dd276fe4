"""The form in which replies cross: what the outbox may hold, and how any reply gets there."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from marshal import dumps
from typing import Any

from fastloop import resp
from fastloop._ffi import lib

log = logging.getLogger("fastloop")

MARK = StopIteration
"""Begins the tuples that are commands or special replies: a singleton that marshal can carry."""

FAULT = (MARK, lib.FL_FAULT)
"""The handler failed: the peer gets the protocol's error, or a close."""

RAISED = (Exception, CancelledError, GeneratorExit)
"""What a handler may raise and the loop goes on; it ends by KeyboardInterrupt and SystemExit."""

_DROPPED = object()


def of_exception(error: BaseException, name: str) -> tuple[Any, ...]:
    """The reply for a handler that raised: a ``resp.Error`` as it is, else logged and a fault."""
    if isinstance(error, resp.Error):
        return resp.encode(error)
    log.error("handler %s failed", name, exc_info=error)
    return FAULT


def marshallable(out: list[Any]) -> list[Any]:
    """The same outbox with everything that marshal refuses put into a form that it takes.

    Called only when it did refuse. What has no such form becomes a fault (a reply), or is dropped
    (a command); both are logged.
    """
    repaired = (item if _fits(item) else _repaired(item) for item in out)
    return [item for item in repaired if item is not _DROPPED]


def _fits(item: Any) -> bool:
    try:
        dumps(item, 2)
    except ValueError:
        return False
    return True


def _repaired(item: Any) -> Any:
    try:
        plain = _plain(item)
        dumps(plain, 2)
    except (ValueError, TypeError, RecursionError) as error:
        log.error("a reply cannot be sent: %s", error)
        return _without_value(item)
    return plain


def _without_value(item: Any) -> Any:
    """FL_LATER's promise must be kept even if the value cannot be sent; other commands need not."""
    if type(item) is not tuple or not item or item[0] is not MARK or item[1] < lib.FL_SEND:
        return FAULT
    return (*item[:-1], FAULT) if item[1] == lib.FL_FILL else _DROPPED


def _plain(value: Any) -> Any:
    """Subclasses become their base, resp.Error what it stands for; containers item by item."""
    if value is None or value is MARK:
        return value
    if isinstance(value, resp.Error):
        return resp.encode(value)
    for base in (bool, int, float, str):
        if isinstance(value, base):
            return base(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    for container in (tuple, list, set, frozenset):
        if isinstance(value, container):
            return container(map(_plain, value))
    raise TypeError(
        f"{type(value).__name__} is no bytes, str, int, float, bool, None, list, tuple, dict or set"
    )
