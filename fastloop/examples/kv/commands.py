"""The table of commands, the handler that looks them up, and how arguments are read.

A command is a function whose parameters are the command's: ``handle`` calls it with the arguments
as they came, its own name first. A wrong number of them is Python's TypeError, which costs nothing
where the number is right; only then is the signature looked at.
"""

import math
from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any, TypeVar

from fastloop.resp import Error, Value

Command = Callable[..., Value]
C = TypeVar("C", bound=Command)

COMMANDS: dict[bytes, Command] = {}
"""By name, in capitals and in small letters: other spellings are rare enough to be converted."""

ECHOED = 128  # how much of an unknown command an error repeats
ZERO = ord("0")
INT64 = range(-(2**63), 2**63)

SYNTAX = "ERR syntax error"
NOT_INTEGER = "ERR value is not an integer or out of range"
NOT_FLOAT = "ERR value is not a valid float"
NOT_POSITIVE = "ERR value is out of range, must be positive"


def handle(args: tuple[bytes, ...]) -> Value:
    """Run one command and return its reply; raises Error for what Redis answers with an error."""
    command = COMMANDS.get(args[0]) or find(args)
    try:
        return command(*args)
    except TypeError:
        if takes(command, len(args)):
            raise
        raise wrong_number(args[0].lower().decode()) from None


def command(name: bytes) -> Callable[[C], C]:
    """Enter a function into the table of commands."""

    def enter(function: C) -> C:
        COMMANDS[name.upper()] = COMMANDS[name.lower()] = function
        return function

    return enter


def find(args: tuple[bytes, ...]) -> Command:
    """Return the command for an unusual spelling of its name."""
    found = COMMANDS.get(args[0].upper())
    if found is None:
        name = args[0][:ECHOED]
        shown = b""
        for arg in args[1:]:
            if len(shown) >= ECHOED:
                break
            shown += b"'" + arg[: ECHOED - len(shown)] + b"' "
        raise Error(b"ERR unknown command '%b', with args beginning with: %b" % (name, shown))
    return found


def takes(function: Command, given: int) -> bool:
    """Tell whether a command can be called with so many arguments, its name among them."""
    parameters = signature(function).parameters.values()
    least = sum(p.kind is not Parameter.VAR_POSITIONAL and p.default is p.empty for p in parameters)
    endless = any(p.kind is Parameter.VAR_POSITIONAL for p in parameters)
    return least <= given and (endless or given <= len(parameters))


def wrong_number(name: str) -> Error:
    """Return the error for a wrong number of arguments."""
    return Error(f"ERR wrong number of arguments for '{name}' command")


def integer(text: bytes, error: str = NOT_INTEGER) -> int:
    """Read a 64-bit integer as Redis does: digits only, no plus, no zeros in front."""
    if text.isdigit() and len(text) < 19 and text[0] != ZERO:  # nearly all of them
        return int(text)
    try:
        number = int(text) if len(text) <= 20 else None
    except ValueError:
        number = None
    if number is None or number not in INT64 or b"%d" % number != text:
        raise Error(error)
    return number


def positive(text: bytes) -> int:
    """Read a count: an integer of 0 or more."""
    number = integer(text, NOT_POSITIVE)
    if number < 0:
        raise Error(NOT_POSITIVE)
    return number


def real(text: bytes) -> float:
    """Read a float: a finite one, or an infinity that is spelled out."""
    if text.isdigit() and len(text) < 16:  # nearly all of them
        return float(text)
    try:
        number = strtod(text)
    except ValueError:
        raise Error(NOT_FLOAT) from None
    spelled = text.lower().lstrip(b"+-") in (b"inf", b"infinity")
    if text[:1].isspace() or (math.isinf(number) and not spelled):
        raise Error(NOT_FLOAT)
    return number


def strtod(text: bytes) -> float:
    """Read a float as C does, hexadecimal too, but not NaN; raises ValueError."""
    if b"_" in text or text != text.rstrip():
        raise ValueError
    try:
        number = float.fromhex(text.decode()) if b"x" in text.lower() else float(text)
    except OverflowError as error:
        raise ValueError from error
    if math.isnan(number):
        raise ValueError
    return number


def words(args: tuple[bytes, ...]) -> list[bytes]:
    """Return options in capitals, as they are compared."""
    return [arg.upper() for arg in args]


def pairs(flat: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    """Return ``a, b, c, d`` as ``(a, b), (c, d)``."""
    return list(zip(flat[::2], flat[1::2], strict=True))
