"""The scope of a request: what the core makes of its head, on top of what all of them share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastloop.bind import Listener

Scope = dict[str, Any]
Address = tuple[str, int | None] | None

VERSIONS = {"version": "3.0", "spec_version": "2.4"}
"""Of ASGI, and of its part about HTTP: sending to a peer that left raises OSError."""

EXTENSIONS: dict[str, dict[str, Any]] = {
    "http.response.pathsend": {},
    "http.response.zerocopysend": {},
    "http.response.trailers": {},
    "http.response.early_hint": {},
}

SOCKET_EXTENSIONS: dict[str, dict[str, Any]] = {"websocket.http.response": {}}


def scopes(
    listener: Listener, root_path: str, state: dict[str, Any]
) -> tuple[Callable[[Scope], Scope], Callable[[Scope, list[str]], Scope]]:
    """Makes the functions that complete what the core says of a request, and of a WebSocket's.

    Nothing that an application may change is shared with another request, but the empty dicts that
    stand for extensions. Keys are set one by one, which costs half of what merging dicts does.
    """
    server = server_of(listener)
    raw_root = root_path.encode()
    versions, extensions = VERSIONS.copy, EXTENSIONS.copy

    def scope(whole: Scope) -> Scope:
        whole["type"] = "http"
        whole["asgi"] = versions()
        whole["scheme"] = "http"
        whole["root_path"] = root_path
        whole["server"] = server
        whole["extensions"] = extensions()
        whole["state"] = state.copy()
        if "client" not in whole:
            whole["client"] = None
        if root_path:
            whole["path"] = root_path + whole["path"]
            whole["raw_path"] = raw_root + whole["raw_path"]
        return whole

    def socket_scope(whole: Scope, subprotocols: list[str]) -> Scope:
        scope(whole)
        whole["type"], whole["scheme"] = "websocket", "ws"
        whole["extensions"] = SOCKET_EXTENSIONS.copy()
        whole["subprotocols"] = subprotocols
        del whole["method"]
        return whole

    return scope, socket_scope


def server_of(listener: Listener) -> Address:
    """Host and port; the path of a Unix socket and None."""
    address = listener.sockets[0].getsockname()
    return (address[0], address[1]) if isinstance(address, tuple) else (os.fsdecode(address), None)
