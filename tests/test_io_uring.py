"""What is particular to io_uring: how the kernel is asked, which its fdinfo tells."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from client import Client, wait_for

import fastloop
from conftest import backends

pytestmark = pytest.mark.skipif("io_uring" not in backends(), reason="the kernel refuses it")

FDS = Path("/proc/self/fd")
POLL, RECEIVE = 6, 27


def rings() -> set[str]:
    """Descriptors of this process that are rings."""
    found = set()
    for path in FDS.iterdir():
        try:
            if os.readlink(path) == "anon_inode:[io_uring]":
                found.add(path.name)
        except OSError:  # that of the directory itself
            continue
    return found


def asked(ring: str, operation: int) -> int:
    """How many requests of this kind are armed."""
    info = Path("/proc/self/fdinfo", ring).read_text()
    return info.count(f"op={operation},")


def test_a_busy_connection_has_a_receive_and_an_idle_one_a_poll() -> None:
    before = rings()
    server = fastloop.Server(bytes.upper, "tcp://127.0.0.1:0", framing="line", backend="io_uring")
    with server, Client(("127.0.0.1", server.port)) as client:
        (ring,) = rings() - before
        assert client.ask(b"a\n") == b"A\n"
        assert asked(ring, RECEIVE) == 0

        def busy() -> bool:
            assert client.ask(b"b\n") == b"B\n"
            return asked(ring, RECEIVE) == 1

        wait_for(busy)
        for n in range(1000):
            assert client.ask(b"c%d\n" % n) == b"C%d\n" % n
        polls = asked(ring, POLL)
        wait_for(lambda: asked(ring, RECEIVE) == 0)  # after a second or two
        wait_for(lambda: asked(ring, POLL) == polls + 1)
        assert client.ask(b"d\n") == b"D\n"


def test_large_messages_are_read_by_hand() -> None:
    before = rings()
    server = fastloop.Server(bytes.upper, "tcp://127.0.0.1:0", framing="line", backend="io_uring")
    large = b"x" * 50_000 + b"\n"
    with server, Client(("127.0.0.1", server.port)) as client:
        (ring,) = rings() - before
        for _ in range(3):
            assert client.ask(b"small\n") == b"SMALL\n"
        for _ in range(10):
            assert client.ask(large) == large.upper()
        wait_for(lambda: asked(ring, RECEIVE) == 0)
    assert rings() == before
