"""The key-value example over the wire, to Redis' own clients and benchmark."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

import fastloop
from conftest import Serve
from fastloop.examples import kv
from fastloop.examples.kv import store

redis = pytest.importorskip("redis")


@pytest.fixture
def server(serve: Serve) -> Iterator[fastloop.Server]:
    """The example on this backend, with nothing in it."""
    store.clear()
    yield serve(kv.handle, "resp://127.0.0.1:0", framing=None)
    store.clear()


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py(server: fastloop.Server, protocol: int) -> None:
    """The same script in both versions of the protocol."""
    with redis.Redis(port=server.port, protocol=protocol, decode_responses=True) as client:
        assert client.ping() is True
        assert client.set("k", "v\u00e9") is True
        assert client.get("k") == "v\u00e9"
        assert client.get("none") is None
        assert client.incr("n", 5) == 5
        assert client.rpush("l", *"abc") == 3
        assert client.lrange("l", 0, -1) == ["a", "b", "c"]
        assert client.hset("h", mapping={"f": "1", "g": "2"}) == 2
        assert client.hgetall("h") == {"f": "1", "g": "2"}
        assert client.sadd("s", "x", "y") == 2
        assert set(client.smembers("s")) == {"x", "y"}
        assert client.zadd("z", {"one": 1, "two": 2.5}) == 2
        assert client.zscore("z", "two") == 2.5
        assert [tuple(each) for each in client.zrange("z", 0, -1, withscores=True)] == [
            ("one", 1.0),
            ("two", 2.5),
        ]
        assert client.delete("k", "none") == 1
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            client.get("l")
        assert client.ping() is True


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_pipeline(server: fastloop.Server, protocol: int) -> None:
    """A thousand commands in one write; an error keeps its place."""
    with redis.Redis(port=server.port, protocol=protocol) as client:
        pipeline = client.pipeline(transaction=False)
        for n in range(1000):
            pipeline.set(f"k{n}", n)
            pipeline.get(f"k{n}")
        pipeline.lpush("k0", "wrong type")
        *replies, error = pipeline.execute(raise_on_error=False)
        assert replies == [each for n in range(1000) for each in (True, b"%d" % n)]
        assert isinstance(error, redis.ResponseError)


def test_big_values(server: fastloop.Server) -> None:
    value = bytes(range(256)) * 20_000
    with redis.Redis(port=server.port) as client:
        client.set("big", value)
        assert client.get("big") == value


def redis_cli(server: fastloop.Server, *arguments: str, script: str | None = None) -> str:
    """What redis-cli prints."""
    done = subprocess.run(
        ["redis-cli", "-p", str(server.port), *arguments],
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="redis-cli is not installed")
@pytest.mark.parametrize("version", ["-2", "-3"])
def test_redis_cli(server: fastloop.Server, version: str) -> None:
    script = "SET k v\nGET k\nLPUSH l a b\nLRANGE l 0 -1\nGET l\nINCR n\nDEL k l n\nDBSIZE\n"
    assert redis_cli(server, version, "PING") == "PONG\n"
    assert redis_cli(server, version, script=script).split("\n") == [
        *("OK", "v", "2", "b", "a"),
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        *("", "1", "3", "0", ""),
    ]


@pytest.mark.skipif(shutil.which("redis-benchmark") is None, reason="redis is not installed")
@pytest.mark.many_connections
def test_redis_benchmark(server: fastloop.Server) -> None:
    """All of its default tests; it exits with 1 at the first error reply."""
    command = ["redis-benchmark", "-p", str(server.port), "-q", "-n", "2000", "-P", "4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "requests per second" in done.stdout
    assert "LRANGE_600" in done.stdout
    assert "MSET" in done.stdout
