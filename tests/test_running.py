"""A server at work beside others: idle, busy, in two threads, forked."""

from __future__ import annotations

import os
import select
import sys
import threading
import time

import pytest
from client import TIMEOUT, wait_for
from stage import LINGER

import fastloop
from conftest import Connect, Serve
from fastloop import Connection

LONG = 3600.0


def echo(line: bytes) -> bytes:
    """Answers a line with itself."""
    return line


def test_fork_in_a_handler(serve: Serve, connect: Connect) -> None:
    """The child has no server, and its end does not disturb the parent's connections."""

    def handler(connection: Connection, line: bytes) -> bytes:
        if line != b"fork":
            return line
        child = os.fork()
        if child == 0:
            try:
                connection.send(b"from the child")
            except fastloop.FastloopError:
                os._exit(7)
            os._exit(0)
        return b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    server = serve(handler)
    client, other = connect(server), connect(server)
    assert other.ask(b"before\n") == b"before\n"
    assert client.ask(b"fork\n") == b"7\n"
    assert other.ask(b"after\n") == b"after\n"
    assert client.ask(b"after\n") == b"after\n"
    assert connect(server).ask(b"new\n") == b"new\n"


def test_idle_does_not_turn(serve: Serve, connect: Connect) -> None:
    """Nobody polls while nothing happens, not even with timeouts set."""
    server = serve(echo, idle_timeout=LONG)
    client = connect(server)
    assert client.ask(b"a\n") == b"a\n"
    wait_for(lambda: server.stats().messages == 1)
    before = server.stats().turns
    time.sleep(LINGER)
    assert server.stats().turns - before <= 2  # the question itself wakes it


@pytest.mark.event_loop
def test_threads_share_the_work(serve: Serve, connect: Connect) -> None:
    threads: set[int] = set()
    server = serve(lambda line: threads.add(threading.get_ident()), threads=2)
    clients = [connect(server) for _ in range(40)]
    for client in clients:
        client.send(b"a\n")
    wait_for(lambda: server.stats().messages == 40)
    assert len(threads) == (2 if sys.platform == "linux" else len(threads))
    assert server.stats().connections == 40


def test_busy_python_threads_and_a_busy_loop(serve: Serve, connect: Connect) -> None:
    """Neither keeps the interpreter to itself."""
    counted, ended = [0], threading.Event()

    def count() -> None:
        while not ended.is_set():
            counted[0] += 1

    counter = threading.Thread(target=count)
    counter.start()
    try:
        client = connect(serve(echo))
        for _ in range(20):
            before = counted[0]
            assert client.ask(b"a\n") == b"a\n"
            wait_for(lambda before: counted[0] > before, before)
    finally:
        ended.set()
        counter.join()


@pytest.mark.shared_state
def test_first_reply_does_not_wait_for_the_last_handler(serve: Serve, connect: Connect) -> None:
    """The last handler begins only when the first client says that it has its answer."""
    answered = threading.Event()
    waited: list[bool] = []

    def handler(line: bytes) -> bytes:
        if line == b"go":
            time.sleep(0.2)  # meanwhile the others become ready
        elif len(waited) < 15:
            waited.append(True)
            time.sleep(0.005)
        else:
            waited.append(answered.wait(TIMEOUT))
        return line

    server = serve(handler)
    starter, clients = connect(server), [connect(server) for _ in range(16)]
    starter.send(b"go\n")
    for client in clients:
        client.send(b"a\n")
    assert select.select([client.sock for client in clients], [], [], TIMEOUT)[0]
    answered.set()
    wait_for(lambda: len(waited) == 16)
    assert all(waited)
