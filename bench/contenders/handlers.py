"""What the contenders serve: the same few lines of logic for all of them."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastloop.http import Request


def raw(message: bytes) -> bytes:
    """Echo bytes as they come."""
    return message


def line(message: bytes) -> bytes:
    """Echo a line, which comes and goes without its line feed."""
    return message


def busy_1ms(message: bytes) -> bytes:
    """Echo after a millisecond of computing."""
    end = perf_counter() + 0.001
    while perf_counter() < end:
        pass
    return message


def busy_200us(message: bytes) -> bytes:
    """Echo after a fifth of a millisecond of computing."""
    end = perf_counter() + 0.0002
    while perf_counter() < end:
        pass
    return message


def resp(command: tuple[bytes, ...]) -> bytes:
    """Answer PING of Redis' protocol by what it says."""
    return command[-1]


def plaintext(_request: object) -> bytes:
    """Answer a request of HTTP."""
    return b"Hello, World!"


def json(_request: object) -> dict[str, str]:
    """Answer a request of HTTP by a dict, which is sent as JSON."""
    return {"message": "Hello, World!"}


def echo(request: Request) -> bytes:
    """Answer a request of HTTP by its body."""
    return request.body
