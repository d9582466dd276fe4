"""The contenders: what is started, and by which command."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec

from harness import CONTENDERS, BenchError, Contender, build, peer_python, program

MAX_CONNECTIONS = "16384"
FLOOR, FASTLOOP, FASTLOOP_KV, REDIS = "floor", "fastloop", "fastloop kv", "redis-server"


@cache
def _fastloop(*args: str) -> list[str]:
    if find_spec("fastloop") is None:
        raise BenchError("this Python has no fastloop: pip install '.[bench]'")
    serve = [sys.executable, "-m", "fastloop", "serve", *args]
    return [*serve, "--max-connections", MAX_CONNECTIONS]


def floor(framing: str) -> Contender:
    """Return the C echo loop that nothing can beat by much."""
    return Contender(FLOOR, lambda port: [build("floor"), str(port), framing])


def fastloop(handler: str, framing: str) -> Contender:
    """Return fastloop serving a function of contenders/handlers.py."""
    target = f"{CONTENDERS / 'handlers.py'}:{handler}"

    def argv(port: int) -> list[str]:
        return [*_fastloop(target, "--framing", framing), "--bind", f"tcp://127.0.0.1:{port}"]

    return Contender(FASTLOOP, argv)


def fastloop_kv() -> Contender:
    """Return the key-value example of fastloop."""

    def argv(port: int) -> list[str]:
        return [*_fastloop("fastloop.examples.kv:handle"), "--bind", f"resp://127.0.0.1:{port}"]

    return Contender(FASTLOOP_KV, argv)


def redis() -> Contender:
    """Return Redis without persistence."""
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    def argv(port: int) -> list[str]:
        server = program("redis-server", "redis-server")
        return [server, "--port", str(port), *options, "--maxclients", MAX_CONNECTIONS]

    return Contender(REDIS, argv)


def peer(name: str, mode: str) -> Contender:
    """Return a Python server of contenders/NAME_echo.py, in the peers' environment."""
    script = str(CONTENDERS / f"{name}_echo.py")
    return Contender(name, lambda port: [peer_python(), script, str(port), mode])
