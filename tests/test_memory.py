"""A long life leaves nothing behind: memory does not grow with connections and messages."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from program import SANITIZED, Program

pytestmark = pytest.mark.skipif(sys.platform != "linux" or SANITIZED, reason="measures memory")

MIB = 1024 * 1024
ROUNDS = 4


def many_connections(program: Program) -> None:
    """Two thousand that come, say something, and go; every other one in the middle of a message."""
    for n in range(2000):
        with program.connect() as client:
            assert client.ask(b"a\n") == b"a\n"
            if n % 2:
                client.send(b"half")


def many_messages(program: Program) -> None:
    """A hundred thousand."""
    with program.connect() as client:
        for _ in range(100):
            client.send(b"message\n" * 1000)
            assert len(client.read(8000)) == 8000


def big_messages(program: Program) -> None:
    """A few of eight megabytes, which must be given back."""
    with program.connect() as client:
        for _ in range(4):
            client.send(b"x" * 8 * MIB + b"\n")
            assert len(client.line()) == 8 * MIB + 1


def failing_messages(program: Program) -> None:
    """Handlers that raise, and peers that break the protocol."""
    for data in (b"\n", b"x" * (9 * MIB)):
        for _ in range(10):
            with program.connect() as client:
                try:
                    client.send(data)
                    assert client.rest() == b""
                except ConnectionError:
                    continue


# Keeps a state, and raises for an empty line.
HANDLER = "lambda connection, line: [setattr(connection, 'state', line), line or 1 // 0]"


@pytest.mark.parametrize(
    ("work", "limit"),
    [
        (many_connections, 2 * MIB),
        (many_messages, 2 * MIB),
        (big_messages, 32 * MIB),
        (failing_messages, 32 * MIB),
    ],
)
def test_memory_does_not_grow(backend: str, work: Callable[[Program], None], limit: int) -> None:
    """What the allocator scatters is far less than what a leak in all these rounds would be."""
    with Program(HANDLER, backend=backend, max_message=8 * MIB, linger=0.1) as program:
        program.ask("logging.disable()")
        work(program)
        work(program)
        before = program.ask("rss()")
        for _ in range(ROUNDS):
            work(program)
        assert program.ask("rss()") - before < limit
