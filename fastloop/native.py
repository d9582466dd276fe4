"""Options in the form in which the C core takes them."""

from __future__ import annotations

import os
from typing import Any

from fastloop._ffi import check, ffi, lib
from fastloop.config import Config
from fastloop.framing import Framing
from fastloop.http.static import Constant, Hole, Static
from fastloop.options import GIB, KIB

_ONE_MEMORY = 256 * KIB  # of files, for each connection that has a loop of its own

THRESHOLD = 1024
"""Bytes from which on messages are compressed: shorter ones fit a packet anyhow."""

SMALLEST = 64
"""The same where messages refer to earlier ones: then short ones are worth it."""

WINDOW, LEVEL = 12, 6
"""Bits and effort of compressing: 4 KiB of window compress messages nearly as well as 32, and are
set back between two of them in an eighth of the time.
"""


def open_loop(config: Config, role: int = lib.FL_ROLE_ALL) -> Any:
    """A new ``fl_loop``. Raises OSError for a backend that does not work here."""
    one = role == lib.FL_ROLE_ONE
    backend = ffi.new("char[]", b"block" if one else config.backend.encode())
    error = ffi.new("int *")
    c = ffi.new("fl_config *")
    c.backend = backend
    c.max_connections = max(1, config.max_connections // config.threads)
    c.max_per_address = config.max_connections_per_address
    c.idle_timeout_ms = _milliseconds(config.idle_timeout)
    c.write_timeout_ms = _milliseconds(config.write_timeout)
    c.linger_ms = _milliseconds(config.linger)
    c.high_water = config.high_water
    c.low_water = config.low_water
    c.max_unsent = config.max_unsent
    c.file_threads = 1 if one else max(1, config.file_threads // config.threads)
    c.file_queue = config.file_queue
    c.file_memory = (
        min(config.file_memory, _ONE_MEMORY) if one else config.file_memory // config.threads
    )
    c.role = role
    loop = lib.fl_open(c, error)
    if loop == ffi.NULL:
        check(error[0], "opening a loop" if one else f"opening backend {config.backend}")
    return loop


def listen(
    loop: Any,
    fd: int,
    framing: Framing,
    config: Config,
    wants: int,
    *,
    stream: bool,
    form: int,
    what: str,
) -> int:
    """Serves a listening socket; `what` names it in an error. Returns the listener's number.

    `stream` and `form` (FL_FORM_*) are of HTTP: whether bodies come in pieces, and in which form
    requests are delivered.
    """
    name = ffi.new("char[]", framing.name.encode())
    delimiter = ffi.new("char[]", framing.delimiter) if framing.delimiter else ffi.NULL
    c = ffi.new("fl_listener *")
    c.framing = name
    c.delimiter = delimiter
    c.delimiter_len = len(framing.delimiter or b"")
    c.max_message = framing.max
    c.wants = wants
    c.max_body = config.max_body if stream else min(config.max_body, GIB)
    c.max_line = config.max_request_line
    c.max_head = config.max_headers
    c.max_fields = config.max_header_count
    c.max_requests = config.max_requests
    c.header_ms = _milliseconds(config.header_timeout)
    c.body_ms = _milliseconds(config.body_timeout)
    c.body_rate = config.body_rate
    c.keepalive_ms = _milliseconds(config.keep_alive)
    c.stream = stream
    c.form = form
    return check(lib.fl_listen(loop, fd, c), what)


def websocket(loop: Any, config: Config, wants: int) -> int:
    """A listener for WebSockets, whose ``max_message`` is set. Returns its number."""
    c = ffi.new("fl_ws *")
    c.max_message = config.max_message
    c.wants = wants
    c.ping_ms = _milliseconds(config.ping_interval)
    c.pong_ms = _milliseconds(config.ping_timeout)
    c.threshold = SMALLEST if config.compression == "context" else THRESHOLD
    c.window, c.level = WINDOW, LEVEL
    return check(lib.fl_websocket(loop, c), "serving WebSockets")


def window(config: Config) -> int:
    """The bits of the largest window of compression that peers of WebSockets may be granted, with
    FL_WS_KEEP_* added if messages may refer to earlier ones; 0: nothing is compressed.
    """
    if config.compression == "off" or not lib.fl_compresses():
        return 0
    keeps = lib.FL_WS_KEEP_IN | lib.FL_WS_KEEP_OUT if config.compression == "context" else 0
    return int(WINDOW | keeps)


def constant(loop: Any, listener: int, constant: Constant) -> None:
    """Answers a path in C."""
    body = constant.body.encode() if isinstance(constant.body, str) else constant.body
    rc = lib.fl_constant(
        loop, listener, constant.path.encode(), constant.type.encode("latin-1"), body, len(body)
    )
    check(rc, f"answering {constant.path}")


def mount(loop: Any, listener: int, static: Static) -> None:
    """Serves a directory in C. Raises OSError if it cannot be opened."""
    texts = [
        ffi.new("char[]", each.encode("utf-8", "surrogateescape"))
        for each in (static.index, static.cache_control, static.immutable)
    ]
    c = ffi.new("fl_static *")
    c.index, c.cache_control, c.immutable = (
        each if each[0] != b"\0" else ffi.NULL for each in texts
    )
    c.listing, c.hidden = static.listing, static.hidden
    c.precompressed = static.precompressed
    directory = os.fsencode(os.path.abspath(static.directory))  # it is looked up again, later
    rc = lib.fl_mount(loop, listener, static.prefix.encode() or b"/", directory, c)
    check(rc, f"serving the files of {os.fspath(static.directory)}")


def leave(loop: Any, listener: int, hole: Hole) -> None:
    """Keeps C from answering what a handler has a route for."""
    rc = lib.fl_except(loop, listener, hole.path.encode(), hole.below)
    check(rc, f"leaving {hole.path} to its handler")


def _milliseconds(seconds: float) -> int:
    return min(round(seconds * 1000), 2**32 - 1)
