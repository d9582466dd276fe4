"""Options in the form in which the C core takes them."""

from __future__ import annotations

from typing import Any

from fastloop._ffi import check, ffi, lib
from fastloop.config import Config
from fastloop.framing import Framing


def open_loop(config: Config) -> Any:
    """A new ``fl_loop``. Raises OSError for a backend that does not work here."""
    backend = ffi.new("char[]", config.backend.encode())
    error = ffi.new("int *")
    c = ffi.new("fl_config *")
    c.backend = backend
    c.max_connections = max(1, config.max_connections // config.threads)
    c.idle_timeout_ms = _milliseconds(config.idle_timeout)
    c.write_timeout_ms = _milliseconds(config.write_timeout)
    c.linger_ms = _milliseconds(config.linger)
    c.high_water = config.high_water
    c.low_water = config.low_water
    c.max_unsent = config.max_unsent
    loop = lib.fl_open(c, error)
    if loop == ffi.NULL:
        check(error[0], f"opening backend {config.backend}")
    return loop


def listen(loop: Any, fd: int, framing: Framing, wants: int, what: str) -> int:
    """Serves a listening socket; `what` names it in an error. Returns the listener's number."""
    name = ffi.new("char[]", framing.name.encode())
    delimiter = ffi.new("char[]", framing.delimiter) if framing.delimiter else ffi.NULL
    c = ffi.new("fl_listener *")
    c.framing = name
    c.delimiter = delimiter
    c.delimiter_len = len(framing.delimiter or b"")
    c.max_message = framing.max
    c.wants = wants
    return check(lib.fl_listen(loop, fd, c), what)


def _milliseconds(seconds: float) -> int:
    return min(round(seconds * 1000), 2**32 - 1)
