"""gevent: `python gevent_echo.py PORT raw|line`; a greenlet for each connection, plain calls."""

import sys
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import Any

from gevent.server import StreamServer  # type: ignore[import-untyped]

import handlers


def raw(sock: Any, _address: object) -> None:
    sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    while data := sock.recv(65536):
        sock.sendall(handlers.raw(data))


def line(sock: Any, _address: object) -> None:
    sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    rest = b""
    while data := sock.recv(65536):
        *lines, rest = (rest + data).split(b"\n")
        sock.sendall(b"\n".join([*map(handlers.line, lines), b""]))


if __name__ == "__main__":
    handle = {"raw": raw, "line": line}[sys.argv[2]]
    StreamServer(("127.0.0.1", int(sys.argv[1])), handle, backlog=1024).serve_forever()
