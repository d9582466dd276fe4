"""Whether an application ended since its peer did."""

from __future__ import annotations

from fastloop.errors import ConnectionClosed


def is_disconnect(error: BaseException | None) -> bool:
    """Whether this is, or came of, what ``send`` raises when the peer is gone.

    Of a group all must be that. Causes may lead in a circle, since users can set them.
    """
    return _came(error, frozenset())


def _came(error: BaseException | None, above: frozenset[int]) -> bool:
    seen = set(above)
    while error is not None and id(error) not in seen:
        if isinstance(error, ConnectionClosed):
            return True
        seen.add(id(error))
        if isinstance(error, BaseExceptionGroup):
            here = frozenset(seen)
            if all(_came(each, here) for each in error.exceptions):
                return True
        error = error.__cause__ or error.__context__
    return False
