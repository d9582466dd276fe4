"""Commands on sets."""

from fastloop.examples.kv.commands import SYNTAX, command, positive
from fastloop.examples.kv.store import find, make, settle
from fastloop.resp import Error, Value


@command(b"SADD")
def sadd(_: bytes, key: bytes, member: bytes, *more: bytes) -> Value:
    members = make(key, set)
    before = len(members)
    members.add(member)
    members.update(more)
    return len(members) - before


@command(b"SREM")
def srem(_: bytes, key: bytes, member: bytes, *more: bytes) -> Value:
    members = find(key, set)
    if members is None:
        return 0
    before = len(members)
    members.difference_update((member, *more))
    settle(key, members)
    return before - len(members)


@command(b"SMEMBERS")
def smembers(_: bytes, key: bytes) -> Value:
    return set(find(key, set) or ())


@command(b"SCARD")
def scard(_: bytes, key: bytes) -> Value:
    return len(find(key, set) or ())


@command(b"SISMEMBER")
def sismember(_: bytes, key: bytes, member: bytes) -> Value:
    return int(member in (find(key, set) or ()))


@command(b"SPOP")
def spop(_: bytes, key: bytes, count: bytes | None = None, *more: bytes) -> Value:
    # Which members go is up to the hashes of bytes, which Python makes random for each process.
    if more:
        raise Error(SYNTAX)
    limit = None if count is None else positive(count)
    members = find(key, set)
    if members is None:
        return None if limit is None else set()
    reply: Value
    if limit is None:
        reply = members.pop()
    else:
        reply = {members.pop() for _ in range(min(limit, len(members)))}
    settle(key, members)
    return reply
