"""The clients: each puts one load on a server and returns what that cost.

A sample is a dict of numbers: `cpu_us` (the server's CPU microseconds for each request), `rps`
(requests each second), `p50_us`, `p99_us` (latency), `busy` (the share of one core, in per cent,
that the server used: at much less than 100 the client is what limits `rps`) and, of loads of our
own, `client_busy` (the same of the client).
"""

from __future__ import annotations

import csv
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastloop.compare.driver import Client
from fastloop.compare.errors import PointError
from fastloop.compare.proc import Usage, usage
from harness import CLIENT_CORE, BenchError, Server, pinned, program, run

Sample = dict[str, float]
Load = dict[str, Any]
"""What is said: see fl_load_config in csrc/fastloop.h."""


def echoing(framing: str, size: int = 64) -> Load:
    """Return what makes the load generator send messages that shall come back."""
    return {"dialect": framing, "size": size}


def getting(path: str, expect: Path) -> Load:
    """Return what makes the load generator ask by HTTP for what is in a file."""
    return {"dialect": "http", "ask": _head("GET", path), "answer_file": str(expect)}


def posting(path: str, size: int) -> Load:
    """Return what makes the load generator send bodies by HTTP that shall come back."""
    return {"dialect": "http", "ask": _head("POST", path, size), "size": size}


def web_socket(dialect: str, size: int) -> Load:
    """Return what makes the load generator speak WebSocket: "ws" or "ws-cast"."""
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    # The key is that of RFC 6455, which the load generator knows the answer to.
    upgrade += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    head = f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n{upgrade}\r\n"
    return {"dialect": dialect, "ask": head, "size": size}


def _head(method: str, path: str, size: int = 0) -> str:
    length = f"Content-Length: {size}\r\n" if size else ""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n"


def load(server: Server, what: Load, *, connections: int, depth: int = 1, seconds: float) -> Sample:
    """Say this for some seconds, after a third of that to warm up, with every answer checked."""
    with _client(server, {**what, "depth": depth}) as client:
        client.open("busy", connections)
        return _window(server, client, seconds)


def load_beside_idle(
    server: Server, what: Load, *, idle: int, connections: int, seconds: float
) -> Sample:
    """The same while other connections, which exchanged one message each, say nothing."""
    with _client(server, what) as client:
        if idle:
            client.open("idle", idle)
        client.open("busy", connections)
        sample = _window(server, client, seconds)
        if idle:
            client("still")
        return sample


def _window(server: Server, client: Client, seconds: float) -> Sample:
    client("start")
    time.sleep(seconds / 3)
    client("mark")
    before = usage(server.pid)
    time.sleep(seconds)
    result = client("mark")
    cost = usage(server.pid) - before
    figures = {**result, "rps": result["messages"] / result["seconds"]}
    return {
        **_sample(cost, result["messages"], result["seconds"], figures),
        "client_busy": result["busy"],
    }


@contextmanager
def idle(server: Server, what: Load, *, connections: int) -> Iterator[None]:
    """Hold connections that exchanged one message each and then say nothing.

    Raises BenchError if the server did not leave them all open.
    """
    with _client(server, what) as client:
        client.open("idle", connections)
        yield
        client("still")


def redis(server: Server, *, test: str, depth: int, requests: int) -> Sample:
    """Run redis-benchmark's "set" or "get": 50 connections, 100000 keys, all of them set before."""
    _check_kv(server.port)
    _redis_benchmark(server, "set", 64, 400_000)  # the warm-up too: with this many, all keys exist
    before, start = usage(server.pid), time.perf_counter()
    row = _redis_benchmark(server, test, depth, requests)
    cost, seconds = usage(server.pid) - before, time.perf_counter() - start
    latency = {"p50_us": row["p50_latency_ms"] * 1000, "p99_us": row["p99_latency_ms"] * 1000}
    return _sample(cost, requests, seconds, {"rps": row["rps"], **latency})


def _sample(cost: Usage, requests: float, seconds: float, figures: Sample) -> Sample:
    cpu_us, busy = cost.cpu * 1e6 / requests, cost.cpu * 100 / seconds
    kept = {key: figures[key] for key in ("rps", "p50_us", "p99_us")}
    return {"cpu_us": cpu_us, **kept, "busy": busy}


@contextmanager
def _client(server: Server, what: Load) -> Iterator[Client]:
    try:
        with Client(["127.0.0.1", server.port], what, server.contender.client_cores) as client:
            yield client
    except PointError as error:
        raise BenchError(str(error)) from error


def _redis_benchmark(server: Server, test: str, depth: int, requests: int) -> Sample:
    argv = [program("redis-benchmark", "redis-tools"), "-p", str(server.port), "-t", test]
    argv += ["-c", "50", "-r", "100000", "-P", str(depth), "-n", str(requests), "--csv"]
    rows = csv.DictReader(run(pinned([CLIENT_CORE], argv)).splitlines())
    return {key: float(value) for key, value in next(rows).items() if key != "test"}


def _check_kv(port: int) -> None:
    """See that the server stores and finds: redis-benchmark does not look at the answers."""
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(b"SET bench one\r\nGET bench\r\n")
        wanted, got = b"+OK\r\n$3\r\none\r\n", b""
        while len(got) < len(wanted) and (data := sock.recv(100)):
            got += data
    if got != wanted:
        raise BenchError(f"SET and GET were answered by {got!r}")
