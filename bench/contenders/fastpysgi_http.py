"""fastpysgi: `python fastpysgi_http.py PORT plaintext|json|echo`, as a WSGI server."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

import fastpysgi  # type: ignore[import-not-found]
import orjson

Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], object]


def plaintext(_environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, World!"]


def json(_environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "application/json")])
    return [orjson.dumps({"message": "Hello, World!"})]


def echo(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "application/octet-stream")])
    return [environ["wsgi.input"].read()]


if __name__ == "__main__":
    app = {"plaintext": plaintext, "json": json, "echo": echo}[sys.argv[2]]
    fastpysgi.server.tcp_nodelay = 1
    fastpysgi.server.backlog = 1024
    fastpysgi.run(wsgi_app=app, host="127.0.0.1", port=int(sys.argv[1]), loglevel=0)
