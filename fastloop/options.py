"""Kinds of options: how a value is read from a string, and what to say if it is wrong."""

import re
from collections.abc import Callable
from dataclasses import Field, field
from difflib import get_close_matches
from typing import Any

from fastloop.errors import ConfigError

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"": 1, "k": KIB, "m": MIB, "g": GIB}


def duration(value: Any) -> float:
    """Seconds from a number, or from a string such as "500ms", "10s", "5m", "2h", "1d"."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|[smhd]?)", value.strip())
        value = float(match[1]) * SECONDS[match[2]] if match else None
    # The core counts milliseconds in 32 bits.
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 4_000_000:
        raise ValueError('a time from 0 to 46 days: seconds, or a string like "500ms", "10s", "5m"')
    return float(value)


def count(low: int, high: int) -> Callable[[Any], int]:
    """A parser of whole numbers from low to high."""

    def parse(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value.strip()):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return parse


def size(low: int, high: int) -> Callable[[Any], int]:
    """A parser of bytes from low to high: numbers, or strings such as "64k", "16m", "1g"."""

    def parse(value: Any) -> int:
        if isinstance(value, str):
            match = re.fullmatch(r"(\d{1,18})\s*([kmg]?)(?:i?b)?", value.strip().lower())
            value = int(match[1]) * BYTES[match[2]] if match else None
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f'{low} to {high} bytes: a number, or a string like "64k", "16m"')
        return value

    return parse


def choice(*allowed: str) -> Callable[[Any], str]:
    """A parser of words."""

    def parse(value: Any) -> str:
        if value not in allowed:
            near = get_close_matches(str(value), allowed, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"one of {', '.join(allowed)}{hint}")
        return str(value)

    return parse


def optional(parse: Callable[[Any], int]) -> Callable[[Any], int | None]:
    """The same, or None."""
    return lambda value: None if value is None else parse(value)


def flag(value: Any) -> bool:
    """True or False, or a string such as "yes", "off", "1"."""
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    found = words.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise ValueError("true or false")
    return found


def path_or_empty(value: Any) -> str:
    """A path of a URL, or an empty string."""
    if not isinstance(value, str) or not re.fullmatch(r"(/[!-~]*)?", value) or "?" in value:
        raise ValueError("a path such as /-/healthz, or empty for none")
    return value


def option(default: Any, parse: Callable[[Any], Any], kind: str, text: str) -> Any:
    """A field of Config; `kind` is TIME, SIZE, N, NAME, PATH or FLAG."""
    return field(default=default, metadata={"parse": parse, "kind": kind, "help": text})


def parse_option(option: Field[Any], value: Any, source: str = "") -> Any:
    """The value of an option, in its own type; or ConfigError, with what it allows."""
    try:
        return option.metadata["parse"](value)
    except ValueError as error:
        raise ConfigError(f"{option.name}={value!r}{source} is not {error}") from None
