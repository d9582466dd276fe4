"""How a user says that something is a WSGI application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastloop.errors import ConfigError

Application = Callable[[dict[str, Any], Callable[..., Any]], Any]
"""``application(environ, start_response)``, which returns an iterable of bytes."""


class WSGI:
    """A WSGI application, to be served by an http:// address. Raises ConfigError if it is none."""

    def __init__(self, app: Application) -> None:
        if not callable(app):
            raise ConfigError(
                f"{type(app).__name__} is no WSGI application: that is called as"
                " app(environ, start_response)"
            )
        self.app = app
