"""Commands on strings, the ones that are called most: GET and SET are as short as they can be."""

from fastloop.examples.kv.commands import (
    INT64,
    SYNTAX,
    command,
    integer,
    wrong_number,
)
from fastloop.examples.kv.store import (
    WRONGTYPE,
    data,
    expire,
    expires,
    find,
    has,
    now,
    remove,
    touch,
)
from fastloop.resp import Error, Value

SECOND = 1000
UNITS = {b"EX": SECOND, b"PX": 1, b"EXAT": SECOND, b"PXAT": 1}
OVERFLOW = "ERR increment or decrement would overflow"

lookup = data.get
"""Bound once: of an imported name, `data.get(key)` would make a method object for each GET."""


@command(b"GET")
def get(_: bytes, key: bytes) -> Value:
    if expires:
        touch(key)
    value = lookup(key)
    if type(value) is bytes or value is None:
        return value
    raise Error(WRONGTYPE)


@command(b"SET")
def set_(_: bytes, key: bytes, value: bytes, *options: bytes) -> Value:
    if options:
        return set_with(key, value, options)
    if expires:
        expires.pop(key, None)
    data[key] = value
    return "OK"


def set_with(key: bytes, value: bytes, options: tuple[bytes, ...]) -> Value:
    """Run a SET with options."""
    flags, when = set_options(options)
    old = find(key, bytes) if b"GET" in flags else None
    reply: Value = old if b"GET" in flags else "OK"
    if (b"NX" in flags and has(key)) or (b"XX" in flags and not has(key)):
        return old
    if b"KEEPTTL" not in flags:
        expires.pop(key, None)
    data[key] = value
    if when is not None:
        expire(key, when)
    return reply


def set_options(options: tuple[bytes, ...]) -> tuple[set[bytes], int | None]:
    """Return the options that were given, and when the key expires."""
    flags: set[bytes] = set()
    time: tuple[bytes, bytes] | None = None
    words = iter(options)
    for word in words:
        name = word.upper()
        if name in UNITS:
            amount = next(words, None)
            if amount is None or time is not None:
                raise Error(SYNTAX)
            time = name, amount
        elif name in (b"NX", b"XX", b"GET", b"KEEPTTL"):
            flags.add(name)
        else:
            raise Error(SYNTAX)
    if {b"NX", b"XX"} <= flags or (b"KEEPTTL" in flags and time is not None):
        raise Error(SYNTAX)
    return flags, None if time is None else moment(*time, "set")


def moment(option: bytes, amount: bytes, name: str) -> int:
    """Return the time that an option says, in milliseconds since 1970."""
    number = integer(amount)
    when = number * UNITS[option] + (0 if option.endswith(b"AT") else now())
    if number <= 0 or when not in INT64:
        raise Error(f"ERR invalid expire time in '{name}' command")
    return when


@command(b"SETNX")
def setnx(_: bytes, key: bytes, value: bytes) -> Value:
    if has(key):
        return 0
    data[key] = value
    return 1


@command(b"SETEX")
def setex(_: bytes, key: bytes, seconds: bytes, value: bytes) -> Value:
    expires_at = moment(b"EX", seconds, "setex")
    data[key] = value
    expire(key, expires_at)
    return "OK"


@command(b"PSETEX")
def psetex(_: bytes, key: bytes, milliseconds: bytes, value: bytes) -> Value:
    expires_at = moment(b"PX", milliseconds, "psetex")
    data[key] = value
    expire(key, expires_at)
    return "OK"


@command(b"GETSET")
def getset(_: bytes, key: bytes, value: bytes) -> Value:
    old = find(key, bytes)
    expires.pop(key, None)
    data[key] = value
    return old


@command(b"GETDEL")
def getdel(_: bytes, key: bytes) -> Value:
    old = find(key, bytes)
    remove(key)
    return old


@command(b"MGET")
def mget(_: bytes, key: bytes, *more: bytes) -> Value:
    values = [data[k] if has(k) else None for k in (key, *more)]
    return [value if type(value) is bytes else None for value in values]


@command(b"MSET")
def mset(_: bytes, key: bytes, value: bytes, *more: bytes) -> Value:
    if len(more) % 2:
        raise wrong_number("mset")
    data[key] = value
    data.update(zip(more[::2], more[1::2], strict=True))
    if expires:
        for changed in (key, *more[::2]):
            expires.pop(changed, None)
    return "OK"


@command(b"APPEND")
def append(_: bytes, key: bytes, value: bytes) -> Value:
    new = (find(key, bytes) or b"") + value
    data[key] = new
    return len(new)


@command(b"STRLEN")
def strlen(_: bytes, key: bytes) -> Value:
    return len(find(key, bytes) or b"")


def add(key: bytes, amount: int) -> int:
    """Add to a string that is a number; one that is not there is 0. The expiry stays."""
    old = find(key, bytes)
    number = amount if old is None else integer(old) + amount
    if not INT64.start <= number < INT64.stop:
        raise Error(OVERFLOW)
    data[key] = b"%d" % number
    return number


@command(b"INCR")
def incr(_: bytes, key: bytes) -> Value:
    return add(key, 1)


@command(b"DECR")
def decr(_: bytes, key: bytes) -> Value:
    return add(key, -1)


@command(b"INCRBY")
def incrby(_: bytes, key: bytes, amount: bytes) -> Value:
    return add(key, integer(amount))


@command(b"DECRBY")
def decrby(_: bytes, key: bytes, amount: bytes) -> Value:
    number = -integer(amount)
    if number not in INT64:
        raise Error("ERR decrement would overflow")
    return add(key, number)
