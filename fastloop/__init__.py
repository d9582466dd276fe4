"""fastloop: a network server core in C for people who write their logic in Python.

    import fastloop
    fastloop.serve(lambda line: line.upper(), "tcp://127.0.0.1:7000", framing="line")

``Server`` is the same for programs that do more than serve; ``fastloop.examples`` shows the rest.
"""

from fastloop import framing, resp
from fastloop.config import Config
from fastloop.connection import Connection
from fastloop.errors import ConfigError, ConnectionClosed, FastloopError
from fastloop.handlers import batch
from fastloop.reply import NOTHING, last
from fastloop.server import Server, serve
from fastloop.stats import Stats
from fastloop.timers import Timer

__version__ = "0.1.0"

__all__ = [
    "NOTHING",
    "Config",
    "ConfigError",
    "Connection",
    "ConnectionClosed",
    "FastloopError",
    "Server",
    "Stats",
    "Timer",
    "batch",
    "framing",
    "last",
    "resp",
    "serve",
]
