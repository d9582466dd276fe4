"""Every option of a server: its default, what it allows, and where its value comes from."""

import logging
import os
import resource
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from fastloop.errors import ConfigError
from fastloop.options import (
    GIB,
    KIB,
    MIB,
    choice,
    count,
    duration,
    flag,
    option,
    optional,
    parse_option,
    path_or_empty,
    size,
)

log = logging.getLogger("fastloop")

PREFIX = "FASTLOOP_"

EVENT_LOOP = "event-loop"
THREAD_PER_CONNECTION = "thread-per-connection"
PROCESS_PER_CONNECTION = "process-per-connection"

# What a connection needs: its socket; in a thread of its own also the two ends of a pipe.
FILES = {EVENT_LOOP: 1, THREAD_PER_CONNECTION: 3, PROCESS_PER_CONNECTION: 1}

# Descriptors left to the program itself: its files, pollers, wake-up pipes and listeners.
RESERVED_FILES = 64


@dataclass(frozen=True, kw_only=True)
class Config:
    """The options of a server. Times are seconds, sizes are bytes; both may be given as strings
    ("500ms", "5m", "64k", "16m"). Raises ConfigError for what an option does not allow.
    """

    backend: str = option(
        "auto",
        choice("auto", "epoll", "kqueue", "io_uring", "poll", "select"),
        "NAME",
        "how to wait for sockets: auto (epoll or kqueue where there is one), epoll, kqueue, "
        "io_uring (where the kernel refuses it, what auto is), poll or select",
    )
    model: str = option(
        EVENT_LOOP,
        choice(EVENT_LOOP, THREAD_PER_CONNECTION, PROCESS_PER_CONNECTION),
        "NAME",
        "what serves connections: event-loop (each loop serves all of its own), or"
        " thread-per-connection or process-per-connection",
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
    slow_handler: float = option(
        0.0,
        duration,
        "TIME",
        "log the stack of a handler that holds its loop for longer, as 100ms; 0: never",
    )
    loop: str = option(
        "auto",
        choice("auto", "asyncio", "uvloop"),
        "NAME",
        "the event loop of async handlers: auto (uvloop if it is installed), asyncio or uvloop",
    )
    max_connections_per_address: int = option(
        0, count(0, 10_000_000), "N", "connections of one address at a time; 0: no limit"
    )
    max_request_line: int = option(
        8 * KIB, size(64, MIB), "SIZE", "http: the longest request line; a longer one gets 414"
    )
    max_headers: int = option(
        64 * KIB, size(256, 16 * MIB), "SIZE", "http: all header fields of a request; more get 431"
    )
    max_header_count: int = option(
        100, count(1, 100_000), "N", "http: header fields of a request; more get 431"
    )
    max_body: int = option(
        16 * MIB,
        size(0, 1024 * GIB),
        "SIZE",
        "http: the largest body; a larger one gets 413; above 1g only for stream handlers",
    )
    header_timeout: float = option(
        10.0, duration, "TIME", "http: from the first byte of a request to the end of its headers"
    )
    body_timeout: float = option(
        30.0, duration, "TIME", "http: for a body, on top of what it takes at body_rate"
    )
    body_rate: int = option(
        500, size(0, GIB), "SIZE", "http: the least that a body must bring in a second"
    )
    keep_alive: float = option(
        75.0, duration, "TIME", "http: how long a connection is kept between requests"
    )
    max_requests: int = option(
        10_000, count(0, 2**31), "N", "http: requests on one connection; 0: no limit"
    )
    healthz: str = option(
        "/-/healthz", path_or_empty, "PATH", "http: a path that answers ok, in C; empty for none"
    )
    debug: bool = option(
        False, flag, "FLAG", "http: show tracebacks to clients; never do so in public"
    )
    ping_interval: float = option(
        20.0, duration, "TIME", "ws: ping a peer that says nothing for so long; 0: never"
    )
    ping_timeout: float = option(
        20.0, duration, "TIME", "ws: close if nothing comes for so long after a ping; 0: never"
    )
    compression: str = option(
        "deflate",
        choice("deflate", "context", "off"),
        "NAME",
        "ws: deflate compresses larger messages for peers that ask for it; off does not; context"
        " lets messages refer to earlier ones, for some 50 KiB a connection",
    )
    file_threads: int = option(
        4, count(1, 256), "N", "threads that read files which are not in memory"
    )
    file_queue: int = option(
        1024, count(1, 1_000_000), "N", "file reads that may wait for them; more fail"
    )
    file_memory: int = option(
        64 * MIB, size(1, 1024 * GIB), "SIZE", "http: small files that are kept in memory"
    )
    interface: str = option(
        "auto",
        choice("auto", "handler", "wsgi", "asgi"),
        "NAME",
        "http: what the target was written for: auto (tells by how it is called), handler, wsgi or"
        " asgi",
    )
    root_path: str = option(
        "", path_or_empty, "PATH", "asgi, wsgi: the path below which a proxy serves the application"
    )
    lifespan: str = option(
        "auto",
        choice("auto", "on", "off"),
        "NAME",
        "asgi: startup and shutdown events: auto (if the application takes them), on or off",
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
        for name, none in (("threads", 1), ("blocking", 0), ("slow_handler", 0)):
            if self.model != EVENT_LOOP and getattr(self, name) != none:
                raise ConfigError(
                    f"{name}={getattr(self, name)} is for event loops, and model={self.model!r} has"
                    f" none to share: leave {name} out, or use model={EVENT_LOOP!r}"
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
        allowed = max(1, (limit - RESERVED_FILES) // FILES[self.model])
        if limit == resource.RLIM_INFINITY or self.max_connections <= allowed:
            return self
        log.log(
            logging.WARNING if explicit else logging.INFO,
            "max_connections is %d, not %d: this process may open %d files (see ulimit -n)",
            allowed,
            self.max_connections,
            limit,
        )
        return replace(self, max_connections=allowed)


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
