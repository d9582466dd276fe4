"""What users hand over, looked at once: how a handler is called and what it wants to be told."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastloop.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

_BATCH = "__fastloop_batch__"
_STREAM = "__fastloop_stream__"


def batch(function: F) -> F:
    """Marks a handler that gets the messages of a whole turn at once.

    It is called as ``f(messages)`` or ``f(connections, messages)`` with lists of equal length, and
    returns a list with one reply for each message: room for one numpy call or one SQL statement
    where others make hundreds.
    """
    setattr(function, _BATCH, True)
    return function


def stream(function: F) -> F:
    """Marks an HTTP handler that is called as soon as the head of a request is here.

    It reads the body as it arrives: ``async for piece in request.stream()``, or without ``async``
    in a plain function that runs in a worker thread (``blocking=N``).
    """
    setattr(function, _STREAM, True)
    return function


def is_async(function: object) -> bool:
    """Whether calling it gives something to await; also for an object with an async __call__."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


def is_batch(function: object) -> bool:
    """Whether it is marked by ``batch``."""
    return bool(getattr(function, _BATCH, False))


def is_stream(function: object) -> bool:
    """Whether it is marked by ``stream``."""
    return bool(getattr(function, _STREAM, False))


@dataclass(frozen=True)
class Handler:
    """How to call a user's handler."""

    message: Callable[..., Any]
    name: str
    with_connection: bool = False
    is_async: bool = False
    is_batch: bool = False
    open: Callable[..., Any] | None = None
    close: Callable[..., Any] | None = None

    @classmethod
    def of(cls, target: Any) -> Handler:
        """Looks at a function, or an object or class with ``message``, maybe ``open``, ``close``.

        Raises ConfigError for anything that cannot be called with a message.
        """
        if inspect.isclass(target):
            target = target()
        function = getattr(target, "message", target)
        name = getattr(target, "__qualname__", type(target).__qualname__)
        if not callable(function):
            raise ConfigError(
                f"the handler {target!r} cannot be called: hand over a function f(message), "
                "f(connection, message), or an object with a method message(connection, message)"
            )
        handler = cls(
            message=function,
            name=name,
            with_connection=_arguments(function, name) == 2,
            is_async=is_async(function),
            is_batch=is_batch(function),
            open=getattr(target, "open", None) if function is not target else None,
            close=getattr(target, "close", None) if function is not target else None,
        )
        if handler.is_batch and handler.is_async:
            raise ConfigError(f"the batch handler {name} is async: nobody would await it")
        for method in ("open", "close"):
            if is_async(getattr(handler, method)):
                raise ConfigError(f"{method}() of {name} is async: nobody would await it")
        return handler


def _arguments(function: Callable[..., Any], name: str) -> int:
    """How many positional arguments a handler takes: 1 or 2."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # a builtin that does not tell, such as bytes.upper
        return 1
    for count in (1, 2):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count
    raise ConfigError(
        f"the handler {name}{signature} does not fit: it is called with (message) or "
        "(connection, message)"
    )
