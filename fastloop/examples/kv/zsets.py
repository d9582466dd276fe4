"""Commands on sorted sets. Scores are floats in replies: the core writes them for the protocol."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import takewhile
from operator import itemgetter

from fastloop import resp
from fastloop.examples.kv.commands import (
    SYNTAX,
    command,
    integer,
    pairs,
    positive,
    real,
    strtod,
    words,
)
from fastloop.examples.kv.lists import span
from fastloop.examples.kv.sortedset import SortedSet
from fastloop.examples.kv.store import data, find, make, settle
from fastloop.resp import Error, Value

FLAGS = frozenset((b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"))
NX_AND_XX = "ERR XX and NX options at the same time are not compatible"
NX_AND_COMPARE = "ERR GT, LT, and/or NX options at the same time are not compatible"
ONE_PAIR = "ERR INCR option supports a single increment-element pair"
NAN = "ERR resulting score is not a number (NaN)"
BAD_LIMITS = "ERR min or max is not a float"
LIMIT_ALONE = (
    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
)


@command(b"ZADD")
def zadd(_: bytes, key: bytes, score: bytes, member: bytes, *more: bytes) -> Value:
    if more or score.upper() in FLAGS:
        return zadd_with(key, (score, member, *more))
    number = real(score)
    members = make(key, SortedSet)
    before = len(members)
    members.put(member, number)
    return len(members) - before


def zadd_with(key: bytes, args: tuple[bytes, ...]) -> Value:
    """Run a ZADD with options, or with several members."""
    flags, items = zadd_arguments(args)
    found = find(key, SortedSet)
    members = SortedSet() if found is None else found
    added = changed = 0
    score: float | None = None
    for member, given in items:
        old = members.scores.get(member)
        score = chosen(flags, old, given)
        if score is not None and score != old:
            members.put(member, score)
            added += old is None
            changed += old is not None
    if found is None and members:
        data[key] = members
    if b"INCR" in flags:
        return score
    return added + changed if b"CH" in flags else added


def zadd_arguments(args: tuple[bytes, ...]) -> tuple[set[bytes], list[tuple[bytes, float]]]:
    """Return the options of a ZADD, and its members with their scores."""
    given = list(takewhile(FLAGS.__contains__, words(args)))
    flags, flat = set(given), args[len(given) :]
    if not flat or len(flat) % 2:
        raise Error(SYNTAX)
    if {b"NX", b"XX"} <= flags:
        raise Error(NX_AND_XX)
    if len(flags & {b"NX", b"GT", b"LT"}) > 1:
        raise Error(NX_AND_COMPARE)
    if b"INCR" in flags and len(flat) > 2:
        raise Error(ONE_PAIR)
    return flags, [(member, real(score)) for score, member in pairs(flat)]


def chosen(flags: set[bytes], old: float | None, given: float) -> float | None:
    """Return the score that a member gets, or None if the options leave it as it is."""
    if old is None:
        return None if b"XX" in flags else given
    if b"NX" in flags:
        return None
    new = old + given if b"INCR" in flags else given
    if math.isnan(new):
        raise Error(NAN)
    if (b"GT" in flags and new <= old) or (b"LT" in flags and new >= old):
        return None
    return new


@command(b"ZSCORE")
def zscore(_: bytes, key: bytes, member: bytes) -> Value:
    members = find(key, SortedSet)
    return None if members is None else members.scores.get(member)


@command(b"ZCARD")
def zcard(_: bytes, key: bytes) -> Value:
    return len(find(key, SortedSet) or ())


@command(b"ZREM")
def zrem(_: bytes, key: bytes, member: bytes, *more: bytes) -> Value:
    members = find(key, SortedSet)
    if members is None:
        return 0
    removed = sum(map(members.remove, (member, *more)))
    settle(key, members)
    return removed


@command(b"ZPOPMIN")
def zpopmin(_: bytes, key: bytes, count: bytes | None = None, *more: bytes) -> Value:
    if more:
        raise Error(SYNTAX)
    limit = None if count is None else positive(count)
    members = find(key, SortedSet)
    if members is None:
        return []
    first = members.pop_first(1 if limit is None else limit)
    settle(key, members)
    return flat(first) if limit is None else resp.pairs(flat(first))


def flat(items: Iterable[tuple[float, bytes]]) -> list[bytes | float]:
    """Return members and scores one after the other."""
    return [part for score, member in items for part in (member, score)]


@command(b"ZRANGE")
def zrange(_: bytes, key: bytes, start: bytes, stop: bytes, *options: bytes) -> Value:
    flags, limit = zrange_options(options)
    reverse = b"REV" in flags
    if b"BYSCORE" in flags:
        low, high = (stop, start) if reverse else (start, stop)
        bounds = (bound(low, upper=False), bound(high, upper=True))
        members = find(key, SortedSet)
        order = [] if members is None else between(members, *bounds)
        if reverse:
            order.reverse()
        items = limited(order, limit)
    else:
        first, last = integer(start), integer(stop)
        members = find(key, SortedSet)
        order = [] if members is None else members.order
        positions = span(first, last, len(order))
        if reverse:
            items = [order[-1 - position] for position in positions]
        else:
            items = order[positions.start : positions.stop]
    return resp.pairs(flat(items)) if b"WITHSCORES" in flags else [member for _, member in items]


def zrange_options(options: tuple[bytes, ...]) -> tuple[set[bytes], tuple[int, int] | None]:
    """Return the options of a ZRANGE, and the offset and count of its LIMIT."""
    flags: set[bytes] = set()
    limit = None
    rest = iter(options)
    for option in rest:
        name = option.upper()
        if name == b"WITHSCORES" or (name in (b"REV", b"BYSCORE") and name not in flags):
            flags.add(name)
        elif name == b"LIMIT":
            offset, count = next(rest, None), next(rest, None)
            if offset is None or count is None:
                raise Error(SYNTAX)
            limit = integer(offset), integer(count)
        else:
            raise Error(SYNTAX)
    if limit is not None and limit[1] != -1 and b"BYSCORE" not in flags:
        raise Error(LIMIT_ALONE)
    return flags, limit


def bound(text: bytes, *, upper: bool) -> tuple[float, bool]:
    """Read one end of a range of scores: the score, and whether the cut is behind that score."""
    exclusive = text.startswith(b"(")
    try:
        score = strtod(text[exclusive:] or b"0")
    except ValueError:
        raise Error(BAD_LIMITS) from None
    return score, upper != exclusive


def between(
    members: SortedSet, low: tuple[float, bool], high: tuple[float, bool]
) -> list[tuple[float, bytes]]:
    """Return what lies between two ends, in order."""

    def position(end: tuple[float, bool]) -> int:
        score, after = end
        cut = bisect_right if after else bisect_left
        return cut(members.order, score, key=itemgetter(0))

    return members.order[position(low) : position(high)]


def limited(
    items: list[tuple[float, bytes]], limit: tuple[int, int] | None
) -> list[tuple[float, bytes]]:
    """Return the part that a LIMIT leaves; a negative count is no limit."""
    if limit is None:
        return items
    offset, count = limit
    if offset < 0:
        return []
    return items[offset:] if count < 0 else items[offset : offset + count]
