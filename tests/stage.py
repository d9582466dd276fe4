"""The servers and clients of one test, and the proof that nothing of them is left behind."""

from __future__ import annotations

import gc
import os
import threading
from typing import Any

from client import Client, wait_for

import fastloop
from fastloop import Connection

LINGER = 0.3
"""Seconds: shorter than the default, since clients of tests often keep their end open."""


def descriptors() -> set[str]:
    """What this process has open; nothing where the system does not tell."""
    try:
        return set(os.listdir("/proc/self/fd"))
    except FileNotFoundError:
        return set()


class Stage:
    """Starts servers in background threads and connects to them."""

    def __init__(self, **defaults: Any) -> None:
        """The defaults are options of every server."""
        self._defaults = {"linger": LINGER, **defaults}
        self._servers: list[fastloop.Server] = []
        self._clients: list[Client] = []
        self._threads = set(threading.enumerate())
        self._descriptors = descriptors()

    def serve(
        self, handler: Any, *binds: str, framing: Any = "line", **options: Any
    ) -> fastloop.Server:
        """A running server; on a TCP port of the loopback unless told otherwise."""
        if not binds and not isinstance(handler, dict):
            binds = ("tcp://127.0.0.1:0",)
        server = fastloop.Server(handler, *binds, framing=framing, **{**self._defaults, **options})
        server.start()
        self._servers.append(server)
        return server

    def connect(self, server: fastloop.Server, **options: Any) -> Client:
        """A client of the server's first address, closed at the end of the test."""
        client = Client(("127.0.0.1", server.port), **options)
        self._clients.append(client)
        return client

    def close(self) -> None:
        """Ends everything; fails if a connection, a thread or a descriptor stays."""
        for client in self._clients:
            client.close()
        try:
            for server in self._servers:
                wait_for(is_empty, server, what="the end of every connection")
        finally:
            for server in self._servers:
                server.stop(drain=0)
        wait_for(
            lambda: set(threading.enumerate()) <= self._threads, what="the end of every thread"
        )
        if not descriptors() <= self._descriptors:
            gc.collect()
        assert descriptors() <= self._descriptors, "descriptors are left open"


def is_empty(server: fastloop.Server) -> bool:
    """Whether it has no connection, or was stopped."""
    try:
        return server.stats().connections == 0
    except fastloop.FastloopError:
        return True


class Keep:
    """Answers a line with itself, and keeps its connections."""

    def __init__(self) -> None:
        self.open_: list[Connection] = []
        self.gone: list[tuple[Connection, str]] = []

    def open(self, connection: Connection) -> None:
        self.open_.append(connection)

    def message(self, line: bytes) -> bytes:
        return line

    def close(self, connection: Connection, reason: str) -> None:
        self.gone.append((connection, reason))
