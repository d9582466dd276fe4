"""The kv example by itself: what cannot be compared with a Redis, or should be read as an example.

That its replies are those of Redis is the matter of test_kv_differential.py.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from fastloop import resp
from fastloop._ffi import lib
from fastloop.examples import kv
from fastloop.examples.kv import commands, keys, store
from fastloop.examples.kv.glob import compiled
from fastloop.examples.kv.sortedset import SortedSet


class Clock:
    """Time that passes when a test says so; in milliseconds."""

    def __init__(self) -> None:
        self.time = 1_700_000_000_000

    def __call__(self) -> int:
        return self.time


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """An empty store at a known time."""
    clock = Clock()
    for module in (kv.keys, kv.strings, store):
        monkeypatch.setattr(module, "now", clock)
    store.clear()
    yield clock
    store.clear()


def do(line: str) -> Any:
    """Run the command that a line spells."""
    return kv.handle(tuple(line.encode().split()))


def error(line: str) -> str:
    with pytest.raises(resp.Error) as caught:
        do(line)
    text = caught.value.args[0]
    return text if isinstance(text, str) else text.decode()


# -- dispatch --


@pytest.mark.parametrize("name", ["PING", "ping", "Ping", "pInG"])
def test_any_spelling_of_a_command(name: str) -> None:
    assert do(name) == "PONG"


def test_an_odd_spelling_still_runs_a_command_once() -> None:
    assert do("inCR n") == 1
    assert do("GET n") == b"1"


def test_a_defect_of_a_command_is_not_taken_for_wrong_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: bytes) -> None:
        raise TypeError("a defect")

    monkeypatch.setitem(commands.COMMANDS, b"BROKEN", broken)
    with pytest.raises(TypeError, match="a defect"):
        do("BROKEN")
    assert error("BROKEN x") == "ERR wrong number of arguments for 'broken' command"


def test_every_command_rejects_nonsense_as_an_error_only() -> None:
    for name in sorted({name.upper() for name in commands.COMMANDS}):
        for n in range(6):
            with suppress(resp.Error):
                kv.handle((name, *[b"1"] * n))


def test_errors_of_odd_bytes_are_passed_on() -> None:
    with pytest.raises(resp.Error) as caught:
        kv.handle((b"\xff\x00", b"\xfe"))
    assert caught.value.args[0] == (
        b"ERR unknown command '\xff\x00', with args beginning with: '\xfe' "
    )


# -- what replies are --


def test_replies_are_copies() -> None:
    """They are encoded after later commands of the batch ran."""
    do("SADD s a")
    do("HSET h f v")
    do("RPUSH l a")
    do("ZADD z 1 m")
    reads = ["SMEMBERS s", "HGETALL h", "LRANGE l 0 -1", "ZRANGE z 0 -1"]
    replies = [do(line) for line in reads]
    before = [marshal.dumps(reply, 2) for reply in replies]
    do("SADD s b")
    do("HSET h f w g x")
    do("RPUSH l b")
    do("ZADD z 0 n")
    assert [marshal.dumps(reply, 2) for reply in replies] == before
    assert [do(line) for line in reads] != replies


def test_every_kind_of_reply_can_cross() -> None:
    for line in ("SET k v", "SADD s a", "SMEMBERS s", "ZADD z 1.5 m", "ZSCORE z m", "SPOP s 1"):
        assert marshal.loads(marshal.dumps(do(line), 2)) is not None
    for line in ("INFO", "COMMAND", "COMMAND DOCS", "COMMAND LIST", "CONFIG GET *", "HELLO 3"):
        marshal.dumps(do(line), 2)


# -- expiry --


def test_a_key_is_gone_when_its_time_is_over(clock: Clock) -> None:
    do("SET k v PX 1500")
    clock.time += 1500
    assert do("GET k") == b"v"
    clock.time += 1
    assert do("GET k") is None
    assert store.data == {}
    assert store.expires == {}


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("SET k v EX 10", 10_000),
        ("SET k v PX 10", 10),
        ("SET k v EXAT 1700000010", 10_000),
        ("SET k v PXAT 1700000000010", 10),
        ("SETEX k 10 v", 10_000),
        ("PSETEX k 10 v", 10),
        ("EXPIRE k 10", 10_000),
        ("PEXPIRE k 10", 10),
        ("EXPIREAT k 1700000010", 10_000),
        ("PEXPIREAT k 1700000000010", 10),
    ],
)
def test_each_way_to_set_a_time(line: str, left: int) -> None:
    do("SET k old")
    assert do(line) in ("OK", 1)
    assert do("PTTL k") == left
    assert do("TTL k") == (left + 500) // 1000


@pytest.mark.parametrize("line", ["SET k w", "MSET j 1 k w", "GETSET k w"])
def test_a_new_value_has_no_time(line: str) -> None:
    do("SET k v EX 10")
    do(line)
    assert do("TTL k") == -1


@pytest.mark.parametrize("line", ["APPEND k 1", "INCR k", "SET k 2 KEEPTTL", "SET k 2 NX"])
def test_a_changed_value_keeps_its_time(line: str) -> None:
    do("SET k 1 EX 10")
    do(line)
    assert do("TTL k") == 10


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("EXISTS k", 0),
        ("DEL k", 0),
        ("TYPE k", "none"),
        ("TTL k", -2),
        ("PERSIST k", 0),
        ("EXPIRE k 10", 0),
        ("KEYS *", []),
        ("SCAN 0", [b"0", []]),
        ("MGET k", [None]),
        ("STRLEN k", 0),
        ("INCR k", 1),
        ("SETNX k w", 1),
        ("SET k w XX", None),
        ("APPEND k w", 1),
        ("LPUSH k a", 1),
        ("GETDEL k", None),
    ],
)
def test_no_command_sees_an_expired_key(clock: Clock, line: str, reply: Any) -> None:
    do("SET k 41 PX 1")
    clock.time += 2
    assert do(line) == reply
    assert do("TTL k") in (-1, -2)


def test_a_sweep_drops_keys_that_nobody_asks_for(clock: Clock) -> None:
    for n in range(5000):
        do(f"SET key:{n} v PX {1 if n % 2 else 10**6}")
    clock.time += 1000
    for _ in range(100):
        clock.time += store.SWEEP_MS
        do("GET another")
    assert len(store.data) == len(store.expires) == 2500


def test_keys_that_are_only_written_are_swept_too(clock: Clock) -> None:
    for n in range(3000):
        do(f"SETEX key:{n} 1 v")
        clock.time += store.SWEEP_MS
    assert len(store.data) < 300


def test_one_sweep_is_bounded(clock: Clock) -> None:
    amount = 3 * store.SAMPLE * store.SAMPLES
    for n in range(amount):
        do(f"SET key:{n} v PX 1")
    clock.time += store.SWEEP_MS
    do("GET another")  # the end of a round that began with the first key; a new one begins
    before = len(store.data)
    clock.time += store.SWEEP_MS
    do("GET another")
    assert len(store.data) == before - store.SAMPLE * store.SAMPLES


# -- scans --


def test_a_scan_shows_every_key_that_stays() -> None:
    for n in range(100):
        do(f"SET key:{n} v")
    cursor, seen = b"0", []
    while True:
        cursor, shown = do(f"SCAN {cursor.decode()} COUNT 7")
        seen += shown
        do(f"DEL {seen[0].decode()}")
        do(f"SET new:{len(seen)} v")
        if cursor == b"0":
            break
    assert len(seen) == len(set(seen))
    assert set(seen) == {b"key:%d" % n for n in range(100)}
    assert keys.scans == {}


def test_only_so_many_scans_are_remembered() -> None:
    for n in range(30):
        do(f"SET key:{n} v")
    cursors = [do("SCAN 0")[0].decode() for _ in range(keys.OPEN_SCANS + 3)]
    assert len(keys.scans) == keys.OPEN_SCANS
    assert do(f"SCAN {cursors[0]}") == [b"0", []]
    assert len(do(f"SCAN {cursors[-1]}")[1]) == 10
    keys.scans.clear()


# -- sets and sorted sets --


def test_spop_takes_members_out() -> None:
    members = {b"%d" % n for n in range(50)}
    kv.handle((b"SADD", b"s", *members))
    taken = {do("SPOP s") for _ in range(20)} | do("SPOP s 20")
    assert len(taken) == 40
    assert taken < members
    assert do("SMEMBERS s") == members - taken


def test_a_sorted_set_stays_in_order() -> None:
    numbers = SortedSet()
    for n in range(500):
        numbers.put(b"%d" % (n * 7 % 101), float(n * 13 % 37))
        if n % 3 == 0:
            numbers.remove(b"%d" % (n % 101))
        assert numbers.order == sorted((s, m) for m, s in numbers.scores.items())
    first = numbers.order[:10]
    assert numbers.pop_first(10) == first
    assert numbers.order == sorted((s, m) for m, s in numbers.scores.items())
    assert not numbers.remove(b"nobody")


# -- patterns --


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        (b"*", [b"", b"a\nb"], []),
        (b"h?llo", [b"hello"], [b"hllo", b"heello"]),
        (b"h*o", [b"ho", b"hello"], [b"hell"]),
        (b"h[ae]llo", [b"hallo"], [b"hillo", b"hllo"]),
        (b"[^a]", [b"b"], [b"a", b""]),
        (b"[a-c][z-x]", [b"by"], [b"dy", b"bw"]),
        (b"\\*", [b"*"], [b"a"]),
        (b"[\\]]", [b"]"], [b"\\"]),
        (b"[ab", [b"a", b"b"], [b"[ab"]),
        (b"[]", [], [b"", b"[]", b"]"]),
        (b"a\\", [b"a\\"], [b"a"]),
        (b"a.c", [b"a.c"], [b"abc"]),
    ],
)
def test_patterns(pattern: bytes, matching: list[bytes], others: list[bytes]) -> None:
    match = compiled(pattern).fullmatch
    assert all(match(text) for text in matching)
    assert not any(match(text) for text in others)


# -- the connection's own commands --


def test_hello_switches_the_protocol() -> None:
    _, operation, version, about = do("HELLO 3 AUTH default secret SETNAME me")
    assert (operation, version, about[b"proto"]) == (lib.FL_RESP_HELLO, 3, 3)
    assert do("HELLO")[b"server"] == b"redis"
    assert error("HELLO 3 AUTH default") == "ERR Syntax error in HELLO option 'AUTH'"
    assert error("HELLO 5") == "NOPROTO unsupported protocol version"


def test_quit_and_reset() -> None:
    assert do("QUIT") == (StopIteration, lib.FL_LAST, "OK")
    assert do("RESET") == (StopIteration, lib.FL_RESP_HELLO, 2, "RESET")


def test_what_clients_say_first() -> None:
    assert do("CLIENT SETINFO LIB-NAME redis-py") == "OK"
    assert do("CLIENT SETNAME me") == "OK"
    assert do("CLIENT NO-EVICT ON") == "OK"
    assert do("CLIENT ID") == 1
    assert do("COMMAND COUNT") == len(do("COMMAND LIST")) > 60
    assert do("COMMAND DOCS") == {}
    assert do("CONFIG GET save appendonly") == {b"save": b"", b"appendonly": b"no"}
    assert do("SELECT 0") == "OK"
    assert error("SELECT 1") == "ERR DB index is out of range"


def test_info_has_the_sections_that_are_asked_for() -> None:
    do("SET k v EX 10")
    assert b"db0:keys=1,expires=1" in do("INFO")
    assert b"redis_version:" in do("INFO server")
    assert b"keys=" not in do("INFO server")
    assert do("INFO nothing") == b""
