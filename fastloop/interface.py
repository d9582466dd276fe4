"""Which interface an application of HTTP was written for: a handler, WSGI or ASGI."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fastloop.errors import ConfigError
from fastloop.http.router import Router

HANDLER, WSGI, ASGI = "handler", "wsgi", "asgi"

_ASGI3 = ["scope", "receive", "send"]
_ASGI2 = (
    "is an application of ASGI 2, which is called twice: hand over"
    " asgiref.compatibility.guarantee_single_callable(app)"
)


def detect(target: Any, interface: str = "auto") -> str:
    """Tells "handler", "wsgi" or "asgi", by how the target wants to be called.

    ASGI 3 is called as ``app(scope, receive, send)``, WSGI as ``app(environ, start_response)``, and
    a handler with one request. ``interface`` is the option of that name: anything but "auto" is the
    answer. Raises ConfigError for an application of ASGI 2.
    """
    if interface != "auto":
        return interface
    if target is None or isinstance(target, Router) or hasattr(target, "message"):
        return HANDLER
    names = parameters_of(target)
    if names is None:
        return HANDLER
    if names == ["scope"]:
        raise ConfigError(f"{name_of(target)} {_ASGI2}")
    if names[:3] == _ASGI3 or len(names) == 3:
        return ASGI
    if len(names) == 2 and names[0] not in ("request", "connection"):
        return WSGI
    return HANDLER


def is_asgi(target: Any) -> bool:
    """Whether it is called as ASGI names its arguments, so that it can be nothing else."""
    return callable(target) and (parameters_of(target) or [])[:3] == _ASGI3


def parameters_of(target: Callable[..., Any]) -> list[str] | None:
    """The names of the positional parameters that have no default; None where nothing tells."""
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return None
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        each.name
        for each in signature.parameters.values()
        if each.kind in kinds and each.default is inspect.Parameter.empty
    ]


def name_of(target: Any) -> str:
    """What the log and messages call it."""
    return str(getattr(target, "__qualname__", type(target).__qualname__))
