"""Commands on lists, which are deques: both ends are equally near."""

from collections import deque
from itertools import islice

from fastloop.examples.kv.commands import command, integer, positive
from fastloop.examples.kv.store import find, make, settle
from fastloop.resp import Value


@command(b"LPUSH")
def lpush(_: bytes, key: bytes, value: bytes, *more: bytes) -> Value:
    values = make(key, deque)
    values.appendleft(value)
    values.extendleft(more)
    return len(values)


@command(b"RPUSH")
def rpush(_: bytes, key: bytes, value: bytes, *more: bytes) -> Value:
    values = make(key, deque)
    values.append(value)
    values.extend(more)
    return len(values)


@command(b"LPOP")
def lpop(_: bytes, key: bytes, count: bytes | None = None) -> Value:
    return pop(key, count, left=True)


@command(b"RPOP")
def rpop(_: bytes, key: bytes, count: bytes | None = None) -> Value:
    return pop(key, count, left=False)


def pop(key: bytes, count: bytes | None, *, left: bool) -> Value:
    """Take one value, or a list of up to `count`, from one end."""
    limit = None if count is None else positive(count)
    values = find(key, deque)
    if values is None:
        return None
    take = values.popleft if left else values.pop
    reply = take() if limit is None else [take() for _ in range(min(limit, len(values)))]
    settle(key, values)
    return reply


@command(b"LRANGE")
def lrange(_: bytes, key: bytes, start: bytes, stop: bytes) -> Value:
    first, last = integer(start), integer(stop)
    values = find(key, deque)
    if values is None:
        return []
    window = span(first, last, len(values))
    return list(islice(values, window.start, window.stop))


def span(first: int, last: int, length: int) -> range:
    """Return the positions from `first` to `last`, both counted from the end where negative."""
    start = max(0, first + length if first < 0 else first)
    stop = min(length, (last + length if last < 0 else last) + 1)
    return range(min(start, length), max(start, stop) if start < length else length)


@command(b"LLEN")
def llen(_: bytes, key: bytes) -> Value:
    return len(find(key, deque) or ())


@command(b"LINDEX")
def lindex(_: bytes, key: bytes, index: bytes) -> Value:
    values = find(key, deque)
    if values is None:
        return None
    position = integer(index)
    return values[position] if -len(values) <= position < len(values) else None
