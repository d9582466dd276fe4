"""Replies of a RESP handler that plain Python values cannot express.

A handler returns plain values, which the core writes in the protocol version of the connection
(Redis' RESP2, or RESP3 once the client asked for it):

=====================  =============================  ============================
returned               RESP2                          RESP3
=====================  =============================  ============================
``None``               null bulk string               null
``bytes``              bulk string                    bulk string
``str``                simple string (``+OK``)        simple string
``int`` (64 bits)      integer                        integer
``float``              bulk string                    double
``bool``               integer 1 or 0                 boolean
``list``, ``tuple``    array                          array
``dict``               array: key, value, key, ...    map
``set``                array                          set
``Error``              error                          error
=====================  =============================  ============================

What is more than its value crosses as an escape tuple, ``(StopIteration, operation, ...)``.
"""

from collections.abc import Sequence
from typing import Any

from fastloop._ffi import lib

__all__ = ["Error", "Escape", "Value", "encode", "hello", "pairs", "push"]

Escape = tuple[Any, ...]
"""A tuple that begins with ``StopIteration`` and an operation of the core."""

Value = (
    None
    | bool
    | int
    | float
    | bytes
    | str
    | list[Any]
    | tuple[Any, ...]
    | dict[Any, Any]
    | set[Any]
)
"""What a RESP handler may return, apart from an Error."""


class Error(Exception):
    """A RESP error: ``Error("ERR no such key")``. Return it, put it in a list, or raise it.

    The text goes to the client as it is, so it should begin with a code in capitals (``ERR`` where
    there is no better one); line breaks in it become spaces.
    """

    def __init__(self, text: str | bytes) -> None:
        super().__init__(text)


def encode(error: Error) -> Escape:
    """Return the form in which an Error crosses to the core."""
    return (StopIteration, lib.FL_RESP_ERROR, error.args[0])


def push(items: Sequence[Any]) -> Escape:
    """Return an out-of-band message of RESP3; a RESP2 client gets it as an array."""
    return (StopIteration, lib.FL_RESP_PUSH, list(items))


def pairs(flat: Sequence[Any]) -> Escape:
    """Return ``a, b, c, d`` as ``[[a, b], [c, d]]`` for RESP3, and as it is for RESP2.

    It is how Redis sends the members of a sorted set with their scores. The length must be even.
    """
    return (StopIteration, lib.FL_RESP_PAIRS, list(flat))


def hello(version: int, value: Value) -> Escape:
    """Switch this connection to RESP ``version``, then reply with ``value``.

    Raises ValueError for a version other than 2 and 3.
    """
    if version not in (2, 3):
        raise ValueError(f"RESP version {version!r}: only 2 and 3 exist")
    return (StopIteration, lib.FL_RESP_HELLO, version, value)
