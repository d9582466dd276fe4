"""Commands on keys of any kind: existence, expiry, and the ways to list them."""

import re
from collections import deque
from itertools import count, islice

from fastloop.examples.kv import store
from fastloop.examples.kv.commands import INT64, NOT_INTEGER, SYNTAX, command, integer, words
from fastloop.examples.kv.glob import compiled
from fastloop.examples.kv.sortedset import SortedSet
from fastloop.examples.kv.store import clear, data, expires, has, now, remove
from fastloop.resp import Error, Value

KINDS: dict[type, bytes] = {
    bytes: b"string",
    deque: b"list",
    dict: b"hash",
    set: b"set",
    SortedSet: b"zset",
}
SECOND = 1000
NX_AND_OTHERS = "ERR NX and XX, GT or LT options at the same time are not compatible"
GT_AND_LT = "ERR GT and LT options at the same time are not compatible"

CURSOR = re.compile(rb"[+-]?[0-9]{1,40}")
OPEN_SCANS = 16
scans: dict[int, list[bytes]] = {}
"""The keys that a SCAN has yet to show, by cursor; only so many scans are remembered."""
cursors = count(1)


@command(b"DEL")
def delete(_: bytes, key: bytes, *more: bytes) -> Value:
    return sum(has(k) and remove(k) for k in (key, *more))


@command(b"UNLINK")
def unlink(_: bytes, key: bytes, *more: bytes) -> Value:
    return sum(has(k) and remove(k) for k in (key, *more))


@command(b"EXISTS")
def exists(_: bytes, key: bytes, *more: bytes) -> Value:
    return sum(map(has, (key, *more)))


@command(b"TYPE")
def kind(_: bytes, key: bytes) -> Value:
    return kind_of(key).decode()


def kind_of(key: bytes) -> bytes:
    """Return the name of the kind of value, as Redis says it."""
    return KINDS[type(data[key])] if has(key) else b"none"


@command(b"EXPIRE")
def expire(_: bytes, key: bytes, time: bytes, *options: bytes) -> Value:
    return expire_at(key, time, options, "expire", SECOND, now())


@command(b"PEXPIRE")
def pexpire(_: bytes, key: bytes, time: bytes, *options: bytes) -> Value:
    return expire_at(key, time, options, "pexpire", 1, now())


@command(b"EXPIREAT")
def expireat(_: bytes, key: bytes, time: bytes, *options: bytes) -> Value:
    return expire_at(key, time, options, "expireat", SECOND, 0)


@command(b"PEXPIREAT")
def pexpireat(_: bytes, key: bytes, time: bytes, *options: bytes) -> Value:
    return expire_at(key, time, options, "pexpireat", 1, 0)


def expire_at(
    key: bytes, time: bytes, options: tuple[bytes, ...], name: str, unit: int, since: int
) -> Value:
    """Set when a key expires: `time` units (in ms) after `since`. A time in the past removes it."""
    flags = expire_options(options)
    when = integer(time) * unit
    if when not in INT64 or when + since not in INT64:
        raise Error(f"ERR invalid expire time in '{name}' command")
    when += since
    if not has(key):
        return 0
    old = expires.get(key)
    never = old is None
    if (
        (b"NX" in flags and not never)
        or (b"XX" in flags and never)
        or (b"GT" in flags and (old is None or when <= old))
        or (b"LT" in flags and old is not None and when >= old)
    ):
        return 0
    if when <= now():
        remove(key)
    else:
        store.expire(key, when)
    return 1


def expire_options(options: tuple[bytes, ...]) -> list[bytes]:
    """Return the conditions of an EXPIRE, which must agree with each other."""
    flags = words(options)
    for flag in flags:
        if flag not in (b"NX", b"XX", b"GT", b"LT"):
            raise Error(b"ERR Unsupported option " + options[flags.index(flag)])
    if b"NX" in flags and set(flags) != {b"NX"}:
        raise Error(NX_AND_OTHERS)
    if b"GT" in flags and b"LT" in flags:
        raise Error(GT_AND_LT)
    return flags


@command(b"TTL")
def ttl(_: bytes, key: bytes) -> Value:
    left = milliseconds_left(key)
    return left if left < 0 else (left + SECOND // 2) // SECOND


@command(b"PTTL")
def pttl(_: bytes, key: bytes) -> Value:
    return milliseconds_left(key)


def milliseconds_left(key: bytes) -> int:
    """Return how long a key still lives; -1 for ever, -2 for a key that is not there."""
    if not has(key):
        return -2
    when = expires.get(key)
    return -1 if when is None else max(0, when - now())


@command(b"PERSIST")
def persist(_: bytes, key: bytes) -> Value:
    return int(has(key) and expires.pop(key, None) is not None)


@command(b"KEYS")
def keys(_: bytes, pattern: bytes) -> Value:
    match = compiled(pattern).fullmatch
    return [key for key in list(data) if match(key) and has(key)]


@command(b"SCAN")
def scan(_: bytes, cursor: bytes, *options: bytes) -> Value:
    if not CURSOR.fullmatch(cursor) or abs(int(cursor)) >= 2**64:
        raise Error("ERR invalid cursor")
    pattern, amount, wanted = scan_options(options)
    todo = scans.pop(int(cursor), []) if int(cursor) else list(data)[::-1]
    batch = [todo.pop() for _ in range(min(amount, len(todo)))]
    match = compiled(pattern).fullmatch
    shown = [
        key
        for key in batch
        if match(key) and has(key) and (wanted is None or kind_of(key) == wanted)
    ]
    return [b"%d" % keep(todo), shown]


def keep(todo: list[bytes]) -> int:
    """Keep the rest of a scan; returns its cursor, 0 if there is no rest."""
    if not todo:
        return 0
    for oldest in list(islice(scans, max(0, len(scans) - OPEN_SCANS + 1))):
        del scans[oldest]
    cursor = next(cursors)
    scans[cursor] = todo
    return cursor


def scan_options(options: tuple[bytes, ...]) -> tuple[bytes, int, bytes | None]:
    """Return the pattern, the count and the kind of value that a SCAN asks for."""
    pattern, amount, wanted = b"*", 10, None
    if len(options) % 2:
        raise Error(SYNTAX)
    for name, value in zip(words(options[::2]), options[1::2], strict=True):
        match name:
            case b"MATCH":
                pattern = value
            case b"COUNT":
                amount = integer(value, NOT_INTEGER)
                if amount < 1:
                    raise Error(SYNTAX)
            case b"TYPE":
                wanted = value.lower()
            case _:
                raise Error(SYNTAX)
    return pattern, amount, wanted


@command(b"DBSIZE")
def dbsize(_: bytes) -> Value:
    return len(data)


@command(b"FLUSHDB")
def flushdb(_: bytes, *how: bytes) -> Value:
    return flush(how)


@command(b"FLUSHALL")
def flushall(_: bytes, *how: bytes) -> Value:
    return flush(how)


def flush(how: tuple[bytes, ...]) -> Value:
    """Forget everything; there is nothing that could be done later (ASYNC)."""
    if words(how) not in ([], [b"SYNC"], [b"ASYNC"]):
        raise Error(SYNTAX)
    clear()
    return "OK"
