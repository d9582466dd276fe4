"""Replies that say more than their value, for every framing."""

from typing import Any

from fastloop._ffi import lib

__all__ = ["NOTHING", "last"]

NOTHING = (StopIteration, lib.FL_NOTHING)
"""Return it to send no reply where None is a value of the protocol (RESP)."""


def last(value: Any) -> tuple[Any, ...]:
    """Return a reply after which the connection closes, once all of it is sent.

    ``value`` is anything that the handler could have returned; ``None`` closes without a word where
    None is no value of the framing. Messages that came after this one are not answered.
    """
    return (StopIteration, lib.FL_LAST, value)
