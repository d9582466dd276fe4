"""Errors that are answers."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus


class HTTPError(Exception):
    """Raise it in a handler to answer with this status and text.

    ``status`` is 400 to 599; ``text`` is by default the status in words. ``headers`` are added to
    the response. Nothing is logged: it is an answer, not a fault.
    """

    def __init__(
        self, status: int, text: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"an HTTPError has a status from 400 to 599, not {status!r}")
        super().__init__(status, text)
        self.status = status
        self.text = text or phrase(status)
        self.headers = dict(headers or {})

    def __str__(self) -> str:
        return f"{self.status} {self.text}"


def phrase(status: int) -> str:
    """A status in words: "Not Found"."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
