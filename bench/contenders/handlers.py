"""What the contenders serve: the same few lines of logic for all of them."""

from time import perf_counter


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
