"""Commands on hashes."""

from fastloop.examples.kv.commands import INT64, command, integer, pairs, wrong_number
from fastloop.examples.kv.store import find, make, settle
from fastloop.resp import Error, Value

NOT_INTEGER = "ERR hash value is not an integer"
OVERFLOW = "ERR increment or decrement would overflow"


@command(b"HSET")
def hset(_: bytes, key: bytes, field: bytes, value: bytes, *more: bytes) -> Value:
    if len(more) % 2:
        raise wrong_number("hset")
    fields = make(key, dict)
    before = len(fields)
    fields[field] = value
    if more:
        fields.update(pairs(more))
    return len(fields) - before


@command(b"HGET")
def hget(_: bytes, key: bytes, field: bytes) -> Value:
    fields = find(key, dict)
    return None if fields is None else fields.get(field)


@command(b"HMGET")
def hmget(_: bytes, key: bytes, field: bytes, *more: bytes) -> Value:
    fields = find(key, dict) or {}
    return [fields.get(name) for name in (field, *more)]


@command(b"HGETALL")
def hgetall(_: bytes, key: bytes) -> Value:
    return dict(find(key, dict) or {})


@command(b"HKEYS")
def hkeys(_: bytes, key: bytes) -> Value:
    return list(find(key, dict) or {})


@command(b"HVALS")
def hvals(_: bytes, key: bytes) -> Value:
    return list((find(key, dict) or {}).values())


@command(b"HLEN")
def hlen(_: bytes, key: bytes) -> Value:
    return len(find(key, dict) or {})


@command(b"HEXISTS")
def hexists(_: bytes, key: bytes, field: bytes) -> Value:
    return int(field in (find(key, dict) or {}))


@command(b"HDEL")
def hdel(_: bytes, key: bytes, field: bytes, *more: bytes) -> Value:
    fields = find(key, dict)
    if fields is None:
        return 0
    removed = sum(fields.pop(name, None) is not None for name in (field, *more))
    settle(key, fields)
    return removed


@command(b"HINCRBY")
def hincrby(_: bytes, key: bytes, field: bytes, amount: bytes) -> Value:
    change = integer(amount)
    old = (find(key, dict) or {}).get(field)
    number = change if old is None else integer(old, NOT_INTEGER) + change
    if number not in INT64:
        raise Error(OVERFLOW)
    make(key, dict)[field] = b"%d" % number
    return number
