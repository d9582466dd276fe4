"""The scope of a request, from what the core delivers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from fastloop._ffi import ffi, lib
from fastloop.bind import Listener
from fastloop.http import head

Scope = dict[str, Any]
Address = tuple[str, int | None] | None

VERSIONS = {"version": "3.0", "spec_version": "2.4"}
"""Of ASGI, and of its part about HTTP: sending to a peer that left raises OSError."""

EXTENSIONS: dict[str, dict[str, Any]] = {"http.response.early_hint": {}}

_ADDRESS_SIZE = 256


def scopes(
    loop: Any, listener: Listener, root_path: str, state: dict[str, Any]
) -> Callable[[tuple[Any, ...]], Scope]:
    """Makes the function that makes the scope of each request of one listener."""
    server = address_of(listener.address.partition("://")[2] or listener.address)
    raw_root = root_path.encode()

    def scope(message: tuple[Any, ...]) -> Scope:
        method, _path, query, lines, _body, id = message
        first, *rest = lines[:-2].split(b"\r\n")
        raw = head.split_target(first.decode("latin-1").split(" ")[1])[1].encode("latin-1")
        path = unquote_to_bytes(raw).decode("utf-8", "replace")
        return {
            "type": "http",
            "asgi": VERSIONS.copy(),
            "http_version": first[-3:].decode("ascii"),
            "method": method,
            "scheme": "http",
            "path": root_path + path,
            "raw_path": raw_root + raw,
            "query_string": query.encode("latin-1"),
            "root_path": root_path,
            "headers": [
                (name.lower(), value.strip(b" \t"))
                for name, _, value in [line.partition(b":") for line in rest if line]
            ],
            "client": peer_of(loop, id),
            "server": server,
            "extensions": {name: {} for name in EXTENSIONS},
            "state": state.copy(),
        }

    return scope


def peer_of(loop: Any, id: int) -> Address:
    """Host and port of the client; None where it has none, or is gone."""
    room = ffi.new("char[]", _ADDRESS_SIZE)
    if lib.fl_address(loop, id, 1, room, _ADDRESS_SIZE) < 0:
        return None
    return address_of(ffi.string(room).decode("utf-8", "surrogateescape"))


def address_of(text: str) -> Address:
    """Reads "127.0.0.1:80", "[::1]:80" or "name:80"; the path of a Unix socket is None."""
    host, colon, port = text.rpartition(":")
    if not colon or text[0] == "/" or not port.isdigit():
        return None
    return host.strip("[]"), int(port)
