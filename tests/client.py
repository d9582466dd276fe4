"""A small blocking client, and waiting for what other threads do."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import socket
import stat
import struct
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

TIMEOUT = 20.0
"""Seconds after which a test that waits has failed; nothing takes nearly so long."""


def let_go() -> None:
    """In a child that a server under test forked: a client's socket that is open there as well
    would keep its connection open, and a pipe to a program that program's input.
    """
    for fd in map(int, os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ()):
        with contextlib.suppress(OSError):  # such as the one of the listing itself
            if fd > 2 and stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.close(fd)
    for each in gc.get_objects():
        if type(each) is socket.socket and each.fileno() >= 0 and is_client(each):
            os.close(each.detach())  # close() would wait for the files made of it


def is_client(sock: socket.socket) -> bool:
    """Whether it is connected to an address: neither a listener nor one of a pair."""
    try:
        return bool(sock.getpeername())
    except OSError:
        return False


os.register_at_fork(after_in_child=let_go)


class Client:
    """One connection to a server under test."""

    def __init__(self, address: str | tuple[str, int], *, receive_buffer: int = 0) -> None:
        """Connects: to a Unix path, or a host (IPv6 with a colon) and port."""
        if isinstance(address, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect(address)
        if family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self.sock.makefile("rb")

    def send(self, data: bytes) -> None:
        """Sends all of it."""
        self.sock.sendall(data)

    def line(self) -> bytes:
        """The next line, with its end; less of it, or nothing, at the end of the stream."""
        return self._reader.readline()

    def read(self, n: int) -> bytes:
        """The next n bytes; fewer at the end of the stream."""
        return self._reader.read(n)

    def rest(self) -> bytes:
        """Everything until the server closes. Raises ConnectionResetError after a reset."""
        return self._reader.read()

    def ask(self, data: bytes) -> bytes:
        """Sends, and returns the next line."""
        self.send(data)
        return self.line()

    def finish(self) -> None:
        """Says that no more is coming: a half-close."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno == errno.ENOTCONN:
                raise ConnectionResetError("the server was faster") from error
            raise

    def reset(self) -> None:
        """Closes with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Closes; twice is fine."""
        self._reader.close()
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def wait_for(condition: Callable[..., object], *args: object, what: str = "") -> None:
    """Returns as soon as ``condition(*args)`` is true; fails the test if it never is."""
    deadline = time.monotonic() + TIMEOUT
    while not condition(*args):
        assert time.monotonic() < deadline, f"{what or 'the condition'} did not come true"
        time.sleep(0.005)
