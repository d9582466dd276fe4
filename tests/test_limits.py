"""No descriptors left, more connections than select() can watch, and very many."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator

import pytest
from client import Client, wait_for
from program import SANITIZED, Program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ECHO = "lambda line: line"


@pytest.fixture
def many_files() -> Iterator[int]:
    """Raises this process's limit of open files as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    yield most
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def answers(client: Client) -> bool:
    """Whether it is served; a connection that was turned away is closed or reset."""
    try:
        return client.ask(b"a\n") == b"a\n"
    except ConnectionError:
        return False


def served(program: Program) -> bool:
    """Whether a new connection is served."""
    with program.connect() as client:
        return answers(client)


def test_no_descriptors_left(backend: str) -> None:
    """The surplus is turned away; those who are in are served; nothing spins; it recovers."""
    with Program(ECHO, backend=backend, linger=0.1) as program:
        program.ask("limit(48)")
        clients = [program.connect() for _ in range(80)]
        inside = [client for client in clients if answers(client)]
        assert 16 < len(inside) < 48
        assert program.ask("server.stats().refused") > 0
        before = program.ask("server.stats().turns")
        time.sleep(0.3)
        assert program.ask("server.stats().turns") - before < 60
        assert all(map(answers, inside))
        for client in clients:
            client.close()
        wait_for(served, program, what="serving again")
    assert "ulimit -n" in program.log


def test_more_than_select_can_watch(many_files: int) -> None:
    """The surplus is refused with a clear message; the others are served."""
    if many_files < 3000:
        pytest.skip("this process may not open so many files")
    with Program(ECHO, backend="select", max_connections=2000, linger=0.1) as program:
        program.ask("limit(2500)")
        clients = [program.connect() for _ in range(1100)]
        inside = [client for client in clients if answers(client)]
        assert 900 < len(inside) < 1024
        assert program.ask("server.stats().refused") == 1100 - len(inside)
        assert program.ask("server.stats().connections") == len(inside)
        for client in clients:
            client.reset()
        wait_for(served, program, what="serving again")
    assert "1024" in program.log


def test_ten_thousand_idle_connections(many_files: int) -> None:
    """In a kilobyte each, and without a turn."""
    count = 10_000
    if many_files < count + 500:
        pytest.skip("this process may not open so many files")
    with Program(ECHO, max_connections=count + 10, linger=0.1, drain_timeout=0.1) as program:
        assert served(program)
        before = program.ask("rss()")
        clients = []
        for _ in range(count):
            clients.append(program.connect())
        for client in clients[::100]:
            assert answers(client)
        wait_for(lambda: program.ask("server.stats().connections") == count)
        assert SANITIZED or program.ask("rss()") - before < count * 1024
        turns = program.ask("server.stats().turns")
        time.sleep(0.2)
        assert program.ask("server.stats().turns") - turns <= 2
        for client in clients:
            client.reset()  # leaves no port in TIME_WAIT
        wait_for(lambda: program.ask("server.stats().connections") == 0)
