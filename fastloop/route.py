"""A listener and what serves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastloop.handlers import Handler

Dispatch = Callable[[Any, "Route", "list[int] | None", "list[Any]"], None]


@dataclass
class Route:
    """One listener's handler, and how it is run."""

    handler: Handler
    dispatch: Dispatch
    """How a batch of messages is run."""

    connection: Callable[..., Any] | None = None
    """Makes handles from an id and maybe a ticket; None: plain ones."""

    reason: Callable[[int, str], str] | None = None
    """What its handler is told of an end, from what the core says of it; None: that in words."""

    slice: int = 1
    """How many messages run before a flush; follows the handler's measured time."""

    @property
    def name(self) -> str:
        """The handler's, for the log."""
        return self.handler.name
