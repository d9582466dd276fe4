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

EXTENSIONS: dict[str, dict[str, Any]] = {"http.response.early_hint": {}}


def base(listener: Listener, root_path: str) -> Scope:
    """The keys that are the same for all requests of a listener."""
    return {
        "type": "http",
        "asgi": VERSIONS,
        "scheme": "http",
        "root_path": root_path,
        "client": None,
        "server": server_of(listener),
    }


def scopes(shared: Scope, state: dict[str, Any]) -> Callable[[Scope], Scope]:
    """Makes the function that completes what the core says of a request.

    Nothing that an application may change is shared with another request.
    """
    root_path: str = shared["root_path"]
    raw_root = root_path.encode()

    def scope(own: Scope) -> Scope:
        whole = shared | own
        whole["type"] = "http"  # whatever the request would like to become
        whole["asgi"] = VERSIONS.copy()
        whole["extensions"] = {name: {} for name in EXTENSIONS}
        whole["state"] = state.copy()
        if root_path:
            whole["path"] = root_path + own["path"]
            whole["raw_path"] = raw_root + own["raw_path"]
        return whole

    return scope


def server_of(listener: Listener) -> Address:
    """Host and port; the path of a Unix socket and None."""
    address = listener.sockets[0].getsockname()
    return (address[0], address[1]) if isinstance(address, tuple) else (os.fsdecode(address), None)
