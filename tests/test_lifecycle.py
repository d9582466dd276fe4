"""From start to stop: addresses, draining, signals."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from client import TIMEOUT, Client, wait_for

import fastloop
from conftest import Connect, Serve
from fastloop import Connection


def echo(line: bytes) -> bytes:
    """Answers a line with itself."""
    return line


# -- starting --


def test_context_manager(backend: str) -> None:
    with fastloop.Server(echo, "tcp://127.0.0.1:0", framing="line", backend=backend) as server:
        assert server.backend == backend
        address = ("127.0.0.1", server.port)
        assert server.addresses == [f"tcp://127.0.0.1:{address[1]}"]
        with Client(address) as client:
            assert client.ask(b"a\n") == b"a\n"
    with pytest.raises(ConnectionRefusedError):
        Client(address)


def test_start_and_stop_at_once(backend: str) -> None:
    for _ in range(20):
        with fastloop.Server(echo, "tcp://127.0.0.1:0", framing="line", backend=backend):
            pass
    assert not [each for each in threading.enumerate() if each.name.startswith("fastloop")]


def test_port_in_use(serve: Serve, backend: str) -> None:
    taken = serve(echo).addresses[0]
    with pytest.raises(fastloop.ConfigError, match="in use"):
        fastloop.Server(echo, taken, framing="line", backend=backend).start()


def test_several_binds(serve: Serve, tmp_path: Path) -> None:
    """Each with its own framing and its own handler."""
    path = tmp_path / "socket"
    handlers = {
        "tcp://127.0.0.1:0": lambda line: b"line " + line,
        "resp://127.0.0.1:0": lambda command: command,
        f"tcp+unix:{path}": lambda data: data[::-1],
    }
    framings = {"tcp://127.0.0.1:0": "line", f"tcp+unix:{path}": "u8"}
    server = serve(handlers, framing=framings)
    ports = [int(each.rpartition(":")[2]) for each in server.addresses[:2]]
    with Client(("127.0.0.1", ports[0])) as client:
        assert client.ask(b"a\n") == b"line a\n"
    with Client(("127.0.0.1", ports[1])) as client:
        assert client.ask(b"PING\r\n") + client.read(10) == b"*1\r\n$4\r\nPING\r\n"
    with Client(str(path)) as client:
        client.send(b"\x03abc")
        assert client.read(4) == b"\x03cba"
    server.stop()
    assert not path.exists()


def test_unix_socket(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    serve(lambda connection, line: connection.local, f"tcp+unix:{path}")
    with Client(str(path)) as client:
        assert client.ask(b"a\n") == f"{path}\n".encode()


def test_ipv6(serve: Serve) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    server = serve(lambda connection, line: connection.peer, "tcp://[::1]:0")
    with Client(("::1", server.port)) as client:
        assert client.ask(b"a\n") == b"[::1]:%d\n" % client.sock.getsockname()[1]


# -- stopping --


def test_stop_twice(serve: Serve) -> None:
    server = serve(echo)
    server.stop()
    server.stop()
    with pytest.raises(fastloop.FastloopError):
        server.stats()


@pytest.mark.parametrize("blocking", [0, 2])
@pytest.mark.shared_state
def test_stop_from_a_handler(serve: Serve, connect: Connect, blocking: int) -> None:
    def handler(connection: Connection, line: bytes) -> bytes:
        connection.server.stop()
        return b"stopping"

    client = connect(serve(handler, blocking=blocking))
    assert client.ask(b"a\n") == b"stopping\n"
    assert client.rest() == b""


@pytest.mark.event_loop
def test_stop_answers_what_was_asked(serve: Serve, connect: Connect) -> None:
    entered, leave = threading.Event(), threading.Event()

    def handler(line: bytes) -> bytes:
        entered.set()
        assert leave.wait(TIMEOUT)
        return line

    server = serve(handler, blocking=1)
    client, idle = connect(server), connect(server)
    client.send(b"a\nb\n")
    assert entered.wait(TIMEOUT)
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    assert idle.rest() == b""  # from here on the server drains
    leave.set()
    assert client.rest() == b"a\nb\n"
    stopper.join()


@pytest.mark.event_loop
def test_stop_gives_up_after_the_drain_timeout(serve: Serve, connect: Connect) -> None:
    entered, leave = threading.Event(), threading.Event()

    def handler(line: bytes) -> bytes:
        entered.set()
        assert leave.wait(TIMEOUT)
        return line

    server = serve(handler, blocking=1, drain_timeout=0.1)
    client = connect(server)
    client.send(b"a\n")
    assert entered.wait(TIMEOUT)
    server.stop()
    assert client.rest() == b""
    leave.set()


@pytest.mark.event_loop
def test_stop_from_another_thread_than_run(backend: str) -> None:
    server = fastloop.Server(echo, "tcp://127.0.0.1:0", framing="line", backend=backend)
    runner = threading.Thread(target=server.run)
    runner.start()
    wait_for(lambda: server.addresses)
    with Client(("127.0.0.1", server.port)) as client:
        assert client.ask(b"a\n") == b"a\n"
    server.stop()
    runner.join(TIMEOUT)
    assert not runner.is_alive()


PROGRAM = """
import sys, threading, time, fastloop
def handler(line):
    if line == b"slow":
        print("entered", flush=True)
        time.sleep(0.3)
    return line
server = fastloop.Server(handler, "tcp://127.0.0.1:0", framing="line", backend=sys.argv[1],
                         linger=0.1, blocking=1)
def tell():
    while not server.addresses:
        time.sleep(0.001)
    print(server.port, flush=True)
threading.Thread(target=tell).start()
server.run()
print("ended", flush=True)
"""


@pytest.mark.parametrize(
    ("number", "answer"), [(signal.SIGTERM, b"slow\n"), (signal.SIGINT, b"")], ids=["term", "int"]
)
def test_signals(backend: str, number: signal.Signals, answer: bytes) -> None:
    """SIGTERM drains, Ctrl-C stops at once; both also while nothing happens."""
    command = [sys.executable, "-c", PROGRAM, backend]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with Client(("127.0.0.1", port)) as client:
            client.send(b"slow\n")
            assert process.stdout.readline() == "entered\n"
            process.send_signal(number)
            assert client.rest() == answer
        assert process.stdout.read() == "ended\n"
        assert process.wait(TIMEOUT) == 0
