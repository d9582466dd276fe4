"""The clients: each puts one load on a server and returns what that cost.

A sample is a dict of numbers: `cpu_us` (the server's CPU microseconds for each request), `rps`
(requests each second), `p50_us`, `p99_us` (latency) and `busy` (the share of one core, in per cent,
that the server used: at much less than 100 the client is what limits `rps`).
"""

from __future__ import annotations

import csv
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import CLIENT_CORE, BenchError, Server, build, pinned, program, run
from measure import Usage, usage

Sample = dict[str, float]


def echoing(framing: str, size: int = 64) -> list[str]:
    """Return what makes the load generator send messages that shall come back."""
    return [f"--framing={framing}", f"--size={size}"]


def getting(path: str, expect: Path) -> list[str]:
    """Return what makes the load generator ask by HTTP for what is in a file."""
    return ["--framing=http", f"--path={path}", f"--expect={expect}"]


def posting(path: str, size: int) -> list[str]:
    """Return what makes the load generator send bodies by HTTP that shall come back."""
    return ["--framing=http", f"--path={path}", f"--size={size}"]


def load(
    server: Server, what: list[str], *, connections: int, depth: int = 1, seconds: float
) -> Sample:
    """Say this for some seconds, after a third of that to warm up, with every answer checked."""
    args = [*what, f"--connections={connections}", f"--depth={depth}"]
    with _load(server, [*args, f"--seconds={seconds}", f"--warmup={seconds / 3}"]) as generator:
        _line(generator)  # "measuring": the warm-up is over
        before = usage(server.pid)
        result = json.loads(_line(generator))
        cost = usage(server.pid) - before
    return _sample(cost, result["messages"], result["seconds"], result)


@contextmanager
def idle(server: Server, what: list[str], *, connections: int) -> Iterator[None]:
    """Hold connections that exchanged one message each and then say nothing.

    Raises BenchError if the server did not leave them all open.
    """
    with _load(server, [*what, f"--idle={connections}"]) as generator:
        json.loads(_line(generator))
        yield


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
def _load(server: Server, args: list[str]) -> Iterator[subprocess.Popen[str]]:
    argv = [build("load"), "--port", str(server.port), *args]
    pipe = subprocess.PIPE
    load = subprocess.Popen(
        pinned(CLIENT_CORE, argv), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )
    try:
        yield load
        _, error = load.communicate(timeout=30)  # ends its stdin, which ends an idle load
        if load.returncode != 0:
            raise BenchError(error.strip())
    finally:
        load.kill()
        load.communicate()


def _line(load: subprocess.Popen[str]) -> str:
    assert load.stdout is not None
    assert load.stderr is not None
    line = load.stdout.readline()
    if not line:
        raise BenchError(load.stderr.read().strip() or "the load generator said nothing")
    return line


def _redis_benchmark(server: Server, test: str, depth: int, requests: int) -> Sample:
    argv = [program("redis-benchmark", "redis-tools"), "-p", str(server.port), "-t", test]
    argv += ["-c", "50", "-r", "100000", "-P", str(depth), "-n", str(requests), "--csv"]
    rows = csv.DictReader(run(pinned(CLIENT_CORE, argv)).splitlines())
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
