"""fastloop: a network server core in C for people who write their logic in Python.

    import fastloop
    fastloop.serve(lambda line: line.upper(), "tcp://127.0.0.1:7000", framing="line")
    fastloop.serve(lambda request: {"path": request.path}, "http://127.0.0.1:8000")

``Server`` is the same for programs that do more than serve; ``fastloop.http`` tells what a handler
of HTTP gets and returns; ``fastloop.examples`` shows the rest.
"""

from fastloop import framing, http, resp, websocket
from fastloop.config import Config
from fastloop.connection import Connection
from fastloop.errors import ConfigError, ConnectionClosed, FastloopError
from fastloop.files import read_file
from fastloop.handlers import batch, stream
from fastloop.http import HTTPError, Request, Response, Router, file, sse
from fastloop.reply import NOTHING, last
from fastloop.server import Server, serve
from fastloop.stats import Stats
from fastloop.timers import Timer
from fastloop.websocket import WebSocket
from fastloop.wsgi import WSGI

__version__ = "0.1.0"

__all__ = [
    "NOTHING",
    "WSGI",
    "Config",
    "ConfigError",
    "Connection",
    "ConnectionClosed",
    "FastloopError",
    "HTTPError",
    "Request",
    "Response",
    "Router",
    "Server",
    "Stats",
    "Timer",
    "WebSocket",
    "batch",
    "file",
    "framing",
    "http",
    "last",
    "read_file",
    "resp",
    "serve",
    "sse",
    "stream",
    "websocket",
]
