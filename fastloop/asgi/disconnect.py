"""Whether an application ended since its peer did."""

from __future__ import annotations

from fastloop.errors import ConnectionClosed


def is_disconnect(error: BaseException | None) -> bool:
    """Whether this is, or came of, what ``send`` raises when the peer is gone."""
    while error is not None:
        if isinstance(error, ConnectionClosed):
            return True
        error = error.__cause__ or error.__context__
    return False
