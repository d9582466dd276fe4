"""Every option of a server: its default, what it allows, and where its value comes from."""

import logging
import os
import re
import resource
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any

from fastloop.errors import ConfigError

log = logging.getLogger("fastloop")

PREFIX = "FASTLOOP_"

# Descriptors left to the program itself: its files, pollers, wake-up pipes and listeners.
RESERVED_FILES = 64

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


def option(default: Any, parse: Callable[[Any], Any], kind: str, text: str) -> Any:
    """A field of Config; `kind` is TIME, SIZE, N or NAME."""
    return field(default=default, metadata={"parse": parse, "kind": kind, "help": text})


@dataclass(frozen=True, kw_only=True)
class Config:
    """The options of a server. Times are seconds, sizes are bytes; both may be given as strings
    ("500ms", "5m", "64k", "16m"). Raises ConfigError for what an option does not allow.
    """

    backend: str = option(
        "auto",
        choice("auto", "epoll", "kqueue", "poll", "select"),
        "NAME",
        "how to wait for sockets: auto (the best that works here), epoll, kqueue, poll or select",
    )
    threads: int = option(1, count(1, 256), "N", "event loops, each in a thread of its own")
    blocking: int = option(
        0,
        count(0, 1024),
        "N",
        "worker threads for handlers that block; 0: they run in the loop's thread",
    )
    backlog: int = option(1024, count(1, 65535), "N", "connections that the kernel queues for us")
    max_message: int | None = option(
        None,
        optional(size(1, GIB)),
        "SIZE",
        "the largest message, as 64k or 16m; by default what the framing says",
    )
    max_connections: int = option(
        10_000, count(1, 10_000_000), "N", "connections at a time; more are turned away"
    )
    idle_timeout: float = option(
        0.0, duration, "TIME", "close a connection that says nothing for so long; 0: never"
    )
    write_timeout: float = option(
        60.0, duration, "TIME", "close a connection that takes nothing for so long; 0: never"
    )
    linger: float = option(
        2.0, duration, "TIME", "how long to wait for the peer's end after our last byte"
    )
    high_water: int = option(
        256 * KIB, size(1, GIB), "SIZE", "unsent bytes above which a connection is not read"
    )
    low_water: int = option(
        64 * KIB, size(0, GIB), "SIZE", "unsent bytes below which it is read again"
    )
    max_unsent: int = option(
        64 * MIB,
        size(0, 1024 * GIB),
        "SIZE",
        "unsent bytes above which a connection is closed; 0: no limit",
    )
    drain_timeout: float = option(
        10.0, duration, "TIME", "at a stop, how long connections have to take their last replies"
    )
    loop: str = option(
        "auto",
        choice("auto", "asyncio", "uvloop"),
        "NAME",
        "the event loop of async handlers: auto (uvloop if it is installed), asyncio or uvloop",
    )
    log_level: str = option(
        "info", choice("debug", "info", "warning", "error"), "NAME", "debug, info, warning or error"
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            object.__setattr__(self, each.name, parse_option(each, getattr(self, each.name)))
        if self.low_water > self.high_water:
            raise ConfigError(
                f"low_water={self.low_water} is above high_water={self.high_water}: reading would"
                " never go on"
            )

    @classmethod
    def load(cls, config: str | os.PathLike[str] | None = None, **given: Any) -> "Config":
        """The options of a server that is about to start.

        What is given wins over FASTLOOP_* in the environment, that over the TOML file `config` (or
        FASTLOOP_CONFIG), and that over the defaults. None counts as not given. Raises ConfigError.
        """
        known = {each.name: each for each in fields(cls)}
        path = config or os.environ.get(PREFIX + "CONFIG")
        values: dict[str, Any] = {}
        for source, found in (
            (f" in {path}", read_file(path) if path else {}),
            (" in the environment", read_environment(known)),
            ("", {name: value for name, value in given.items() if value is not None}),
        ):
            for name, value in found.items():
                if name not in known:
                    raise ConfigError(unknown(name, known) + source)
                values[name] = parse_option(known[name], value, source)
        return cls(**values).fitted(explicit="max_connections" in values)

    def fitted(self, *, explicit: bool = True) -> "Config":
        """The same with max_connections below the process's limit of open files, and a log line."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit == resource.RLIM_INFINITY or self.max_connections <= limit - RESERVED_FILES:
            return self
        allowed = max(1, limit - RESERVED_FILES)
        log.log(
            logging.WARNING if explicit else logging.INFO,
            "max_connections is %d, not %d: this process may open %d files (see ulimit -n)",
            allowed,
            self.max_connections,
            limit,
        )
        return replace(self, max_connections=allowed)


def parse_option(option: Field[Any], value: Any, source: str = "") -> Any:
    """The value of an option, in its own type; or ConfigError, with what it allows."""
    try:
        return option.metadata["parse"](value)
    except ValueError as error:
        raise ConfigError(f"{option.name}={value!r}{source} is not {error}") from None


def unknown(name: str, known: Mapping[str, object]) -> str:
    """What to say about an option that does not exist."""
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
    return f"unknown option {name!r}: {hint}"


def read_environment(known: Mapping[str, object]) -> dict[str, str]:
    """Options from FASTLOOP_*. Other variables of that prefix are none of our business here."""
    names = {name: PREFIX + name.upper() for name in known}
    return {name: os.environ[key] for name, key in names.items() if os.environ.get(key)}


def read_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Options from a TOML file: ``threads = 4``, ``idle_timeout = "5m"``."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except ValueError as error:  # bad TOML or bad UTF-8
        raise ConfigError(f"the configuration {path} is not TOML: {error}") from error
