"""The kv example against Redis itself: the same commands must get the same replies.

Scripts run first against a real redis-server, then against ``handle``; both start empty. Scripts
come from a fixed corpus, which holds the corners that were thought of, and from hypothesis, which
finds the others. Not compared: what is random, or tells the time.
"""

from __future__ import annotations

import math
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.backoff import ConstantBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from fastloop import resp
from fastloop._ffi import lib
from fastloop.examples import kv

Script = list[list[bytes]]

UNORDERED = {b"KEYS", b"SMEMBERS", b"SPOP", b"HKEYS", b"HVALS"}
SCORES = {b"ZADD", b"ZSCORE", b"ZPOPMIN", b"ZRANGE"}
NUMBER = re.compile(rb"-?(\d+(\.\d+)?(e[+-]?\d+)?|inf)")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    """A real Redis on a free port, by a client that hands replies over as they came."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        cwd=tmp_path_factory.mktemp("redis"),
        stdout=subprocess.DEVNULL,
    )
    patience = Retry(ConstantBackoff(0.05), 200)
    raw = redis.Redis(port=port, protocol=2, retry=patience, retry_on_error=[redis.ConnectionError])
    raw.response_callbacks.clear()
    try:
        raw.execute_command("PING")
        yield raw
    finally:
        raw.close()
        server.terminate()
        server.wait()


def from_redis(client: redis.Redis, script: Script) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for step in script:
        pipeline.execute_command(*step)
    replies = pipeline.execute(raise_on_error=False)
    return [error_text(r) if isinstance(r, ResponseError) else r for r in replies]


def from_handle(step: list[bytes]) -> Any:
    try:
        return on_resp2(kv.handle(tuple(step)))
    except resp.Error as error:
        text = error.args[0]
        return error_text(text if isinstance(text, str) else text.decode())


def error_text(error: object) -> str:
    """An error as it compares: redis-py takes ``ERR`` off, and adds a place in the pipeline."""
    text = str(error)
    if text.startswith("Command # "):
        text = text.partition(" caused error: ")[2]
    return "error: " + text.removeprefix("ERR ").strip()


def on_resp2(value: Any) -> Any:
    """What the core makes of a value for a RESP2 client, as a client reads it."""
    match value:
        case (_, lib.FL_RESP_PAIRS, flat):
            return on_resp2(flat)
        case bool() | int():
            return int(value)
        case str():
            return value.encode()
        case float():
            return b"%.17g" % value
        case dict():
            return [on_resp2(part) for pair in value.items() for part in pair]
        case list() | set():
            return [on_resp2(item) for item in value]
    return value


def comparable(command: list[bytes], reply: Any) -> Any:
    """A reply without what Redis does not promise: the order of sets, the digits of a score."""
    name = command[0].upper()
    if isinstance(reply, list):
        if name in UNORDERED:
            return sorted(reply)
        if name == b"HGETALL":
            return dict(zip(reply[::2], reply[1::2], strict=True))
        return [comparable(command, item) for item in reply]
    if name in SCORES and isinstance(reply, bytes) and NUMBER.fullmatch(reply):
        return float(reply)
    return reply


def compare(client: redis.Redis, script: Script) -> None:
    script = [[b"FLUSHALL"], *script]
    for n, (step, wanted) in enumerate(zip(script, from_redis(client, script), strict=True)):
        got = from_handle(step)
        assert comparable(step, got) == comparable(step, wanted), f"step {n} of {script}"


def corpus() -> list[tuple[str, Script]]:
    """The scripts of kv_corpus.txt: one command a line, an empty line between scripts."""
    text = Path(__file__).with_name("kv_corpus.txt").read_text()
    scripts = []
    for block in text.strip().split("\n\n"):
        title, *lines = block.splitlines()
        scripts.append((title.removeprefix("# "), [parse(line) for line in lines]))
    return scripts


def parse(line: str) -> list[bytes]:
    """The words of a line; ``''`` is the empty one, and ``\\xHH`` a byte."""
    return [
        b"" if word == "''" else word.encode().decode("unicode_escape").encode("latin-1")
        for word in line.split()
    ]


@pytest.mark.parametrize(("title", "script"), corpus(), ids=[title for title, _ in corpus()])
def test_corpus(client: redis.Redis, title: str, script: Script) -> None:
    compare(client, script)


# -- scripts that hypothesis makes up --

KEY = st.sampled_from([b"a", b"b", b"c"])
FIELD = st.sampled_from([b"f", b"g", b"h", b"\x00\r\n"])
TEXT = st.sampled_from([b"", b"x", b"hello", b"12", b"-3", b"007", b"\xff\x00"])
INT64_EDGES = [b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808"]
NO_INTEGERS = [b"1.5", b"+1", b"", b" 1", b"0x10", b"01", b"-0", b"x"]
NUMERAL = st.integers(-5, 5).map(lambda n: b"%d" % n) | st.sampled_from(INT64_EDGES + NO_INTEGERS)
FLOATS = [b"inf", b"-inf", b"+Infinity", b"1e3", b".5", b"5.", b"0x1p2", b"-0.0"]
NO_FLOATS = [b"nan", b"1e400", b" 1", b"1 ", b"", b"x", b"1_0"]
SCORE = st.floats(-4, 4, width=16).map(lambda x: b"%.17g" % x) | st.sampled_from(FLOATS + NO_FLOATS)
BOUND = SCORE | SCORE.map(lambda score: b"(" + score)


def any_case(*names: bytes) -> st.SearchStrategy[bytes]:
    spellings = [spelling for n in names for spelling in (n, n.lower(), n.capitalize())]
    return st.sampled_from(spellings)


def command(
    names: str, *parts: st.SearchStrategy[bytes], more: st.SearchStrategy[list[bytes]] | None = None
) -> st.SearchStrategy[list[bytes]]:
    """A command with these arguments, now and then with one too few."""
    name = any_case(*names.encode().split()).map(lambda n: [n])
    whole = st.tuples(name, st.tuples(*parts).map(list), st.just([]) if more is None else more)
    joined = whole.map(lambda lists: [word for part in lists for word in part])
    return st.tuples(joined, st.integers(0, 19)).map(
        lambda drawn: drawn[0][:-1] if drawn[1] == 0 and len(drawn[0]) > 1 else drawn[0]
    )


def several(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    groups = st.lists(st.tuples(*parts).map(list), max_size=3)
    return groups.map(lambda lists: [word for part in lists for word in part])


def options(*names: bytes) -> st.SearchStrategy[list[bytes]]:
    return st.lists(any_case(*names), max_size=2)


LIMIT = st.tuples(st.just(b"LIMIT"), NUMERAL, NUMERAL).map(list) | st.just([])
RANGE = st.tuples(options(b"REV", b"WITHSCORES", b"BYSCORE", b"JUNK"), LIMIT).map(
    lambda lists: lists[0] + lists[1]
)
BY_SCORE = st.tuples(LIMIT, options(b"REV", b"WITHSCORES")).map(
    lambda lists: [b"BYSCORE", *lists[0], *lists[1]]
)

STRINGS = [
    command("GET STRLEN GETDEL INCR DECR TTL PTTL PERSIST TYPE", KEY),
    command("SET", KEY, TEXT),
    command("SET", KEY, TEXT, more=options(b"NX", b"XX", b"GET", b"KEEPTTL", b"JUNK")),
    command("SET", KEY, TEXT, any_case(b"EX", b"PX"), st.sampled_from([b"0", b"-1", b"", b"x"])),
    command("SETNX GETSET APPEND", KEY, TEXT),
    command("INCRBY DECRBY", KEY, NUMERAL),
    command("SETEX PSETEX", KEY, st.sampled_from([b"0", b"-7", b"x", b"9" * 18]), TEXT),
    command("MGET DEL UNLINK EXISTS", KEY, more=several(KEY)),
    command("MSET", KEY, TEXT, more=several(KEY, TEXT)),
    command("EXPIRE PEXPIRE", KEY, st.sampled_from([b"0", b"-1", b"x", b"9" * 19])),
    command("EXPIREAT", KEY, st.just(b"33333333333"), more=options(b"NX", b"XX", b"GT", b"LT")),
]
LISTS = [
    command("LPUSH RPUSH", KEY, TEXT, more=several(TEXT)),
    command("LPOP RPOP LLEN", KEY),
    command("LPOP RPOP LINDEX", KEY, NUMERAL),
    command("LRANGE", KEY, NUMERAL, NUMERAL),
]
HASHES = [
    command("HSET", KEY, FIELD, TEXT, more=several(FIELD, TEXT)),
    command("HGET HEXISTS", KEY, FIELD),
    command("HMGET HDEL", KEY, FIELD, more=several(FIELD)),
    command("HGETALL HKEYS HVALS HLEN", KEY),
    command("HINCRBY", KEY, FIELD, NUMERAL),
]
SETS = [
    command("SADD SREM", KEY, FIELD, more=several(FIELD)),
    command("SMEMBERS SCARD", KEY),
    command("SISMEMBER", KEY, FIELD),
    # All of a set or nothing: which member goes is random.
    st.tuples(any_case(b"SPOP"), KEY, st.sampled_from([b"0", b"100", b"-1", b"x"])).map(list),
]
ZSETS = [
    command("ZADD", KEY, SCORE, FIELD, more=several(SCORE, FIELD)),
    st.tuples(
        command("ZADD", KEY),
        options(b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"),
        several(SCORE, FIELD),
    ).map(lambda lists: [*lists[0], *lists[1], *lists[2]]),
    command("ZRANGE", KEY, NUMERAL, NUMERAL, more=RANGE),
    command("ZRANGE", KEY, BOUND, BOUND, more=BY_SCORE),
    command("ZPOPMIN ZCARD", KEY),
    command("ZPOPMIN", KEY, NUMERAL),
    command("ZSCORE", KEY, FIELD),
    command("ZREM", KEY, FIELD, more=several(FIELD)),
]
OTHERS = [command("DBSIZE FLUSHDB"), command("KEYS", st.sampled_from([b"*", b"?", b"[^a]", b"b"]))]


KINDS = {"strings": STRINGS, "lists": LISTS, "hashes": HASHES, "sets": SETS, "zsets": ZSETS}


def scripts(kind: str) -> st.SearchStrategy[Script]:
    """Mostly commands of one kind, so that values live long; some of the others, for WRONGTYPE."""
    others = st.one_of(*STRINGS, *LISTS, *HASHES, *SETS, *ZSETS, *OTHERS)
    one = st.integers(0, 4).flatmap(lambda n: others if n == 0 else st.one_of(*KINDS[kind]))
    return st.lists(one, min_size=1, max_size=25)


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(drawn=st.data())
def test_scripts(client: redis.Redis, kind: str, drawn: st.DataObject) -> None:
    compare(client, drawn.draw(scripts(kind)))


GLOB = st.lists(
    st.sampled_from([b"a", b"b", b"*", b"?", b"[", b"]", b"^", b"-", b"\\"]), max_size=7
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(pattern=GLOB.map(b"".join))
def test_patterns(client: redis.Redis, pattern: bytes) -> None:
    keys = [b"a", b"b", b"ab", b"ba", b"aab", b"-", b"]", b"a]", b"^", b"[", b"\\", b"*", b"a*b"]
    compare(client, [[b"SET", key, b""] for key in keys] + [[b"KEYS", pattern]])


def test_scan_shows_the_same_keys(client: redis.Redis) -> None:
    script = [[b"SET", b"key:%d" % n, b""] for n in range(100)] + [[b"LPUSH", b"list", b"x"]]
    compare(client, script)
    for extra in ([], [b"MATCH", b"key:1*"], [b"TYPE", b"list"], [b"COUNT", b"7"]):
        seen = []
        for ask in (lambda step: from_redis(client, [step])[0], from_handle):
            cursor, found = b"0", set()
            while True:
                cursor, keys = ask([b"SCAN", cursor, *extra])
                found.update(keys)
                if cursor == b"0":
                    break
            seen.append(found)
        assert seen[0] == seen[1]
        assert seen[0]


@pytest.mark.parametrize("protocol", [2, 3])
def test_hello_says_what_redis_says(client: redis.Redis, protocol: int) -> None:
    pool = client.connection_pool
    probe = redis.Connection(port=pool.connection_kwargs["port"], protocol=2)
    probe.connect()
    probe.send_command("HELLO", "2")
    flat = probe.read_response()
    probe.disconnect()
    _, _, version, ours = kv.handle((b"HELLO", b"%d" % protocol))
    assert version == protocol
    assert ours[b"proto"] == protocol
    assert list(ours) == flat[::2]


def test_scores_survive() -> None:
    assert on_resp2(kv.handle((b"ZADD", b"z", b"INCR", b"0.1", b"m"))) == b"0.10000000000000001"
    assert math.isinf(float(on_resp2(kv.handle((b"ZADD", b"z", b"INCR", b"inf", b"m")))))
