"""What a server tells about itself, and what may be said to it, from any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastloop._ffi import ffi, lib
from fastloop.assembly import Assembly
from fastloop.connection import Connection, check_topic
from fastloop.crossing import MARK
from fastloop.errors import ConfigError, FastloopError
from fastloop.runtime import Runtime
from fastloop.stats import Stats
from fastloop.timers import Timer
from fastloop.turned import turned


class Telling:
    """The part of a Server that is of use while it runs."""

    _assembly: Assembly
    _confined = False  # to one connection, in a child process that serves nothing else

    @property
    def _runtimes(self) -> list[Runtime]:
        return self._assembly.runtimes

    # -- what it tells --

    @property
    def addresses(self) -> list[str]:
        """The URLs it listens on, with the real port where 0 was asked for."""
        return [listener.address for listener in self._assembly.listeners]

    @property
    def port(self) -> int:
        """The port of the first bind; raises ConfigError if that is no TCP address."""
        listeners = self._assembly.listeners
        if not listeners or listeners[0].bind.kind != "inet":
            raise ConfigError("the first address has no port, or the server was not started")
        return int(listeners[0].address.rpartition(":")[2].partition("/")[0])

    @property
    def backend(self) -> str:
        """The backend in use, as "epoll"."""
        return str(ffi.string(lib.fl_backend(self._first().loop)), "ascii")

    def stats(self) -> Stats:
        """Counters since the start, summed over all threads and processes that serve it.

        Raises FastloopError in a process that serves one connection.
        """
        self._at_large("stats()")
        return Stats.total(runtime.ask(runtime.stats) for runtime in self._runtimes)

    # -- what may be said to it, from any thread --

    def _first(self) -> Runtime:
        if not self._runtimes or self._runtimes[0].loop is None:
            raise FastloopError("the server is not running")
        return self._runtimes[0]

    def _here(self) -> Runtime:
        """The runtime of this thread if it has one, else the first."""
        for runtime in turned():
            if runtime.server is self and runtime.loop is not None:
                return runtime
        return self._first()

    def _at_large(self, what: str) -> None:
        if self._confined:
            raise FastloopError(
                f"{what} is of the server, and this process serves one connection of it: use"
                " --model event-loop or thread-per-connection"
            )

    def call_later(self, seconds: float, function: Callable[..., Any], *args: Any) -> Timer:
        """Calls ``function(*args)`` on a loop's thread after so many seconds; see Timer."""
        return self._here().call_later(seconds, lambda: function(*args))

    def call_soon_threadsafe(self, function: Callable[..., Any], *args: Any) -> None:
        """Calls ``function(*args)`` on the (first) loop's thread as soon as it can."""
        self._first().post(function, *args)

    def broadcast(
        self,
        value: Any,
        *,
        to: Iterable[Connection] | None = None,
        exclude: Connection | None = None,
    ) -> None:
        """Sends a value to these connections, or to all; encoded once, shared by all receivers.

        With a thread for each connection it is encoded for each. Raises FastloopError with a
        process for each, which nothing can be shared with.
        """
        groups: dict[Runtime, list[int] | None] = {}
        if to is None:
            self._at_large("broadcast()")
            groups = dict.fromkeys(self._assembly.audience(), None)
        else:
            for connection in to:
                ids = groups.setdefault(connection._runtime, [])
                assert ids is not None
                ids.append(connection.id)
        for runtime, ids in groups.items():
            but = exclude.id if exclude is not None and exclude._runtime is runtime else -1
            runtime.call(runtime.command, (MARK, lib.FL_CAST, -1, ids, but, value))

    def publish(self, topic: str, value: Any, *, exclude: Connection | None = None) -> None:
        """Sends a value to all connections that subscribed to this topic; encoded once.

        With a thread for each connection it is encoded for each. Raises FastloopError with a
        process for each, which nothing can be shared with, and TypeError for a topic that is no
        str.
        """
        check_topic(topic)
        self._at_large("publish()")
        for runtime in self._assembly.audience():
            but = exclude.id if exclude is not None and exclude._runtime is runtime else -1
            runtime.call(runtime.command, (MARK, lib.FL_PUBLISH, topic, but, value))
