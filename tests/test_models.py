"""What only a thread or a process per connection has: crashes, the dead, what cannot be started."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client import TIMEOUT, Client, wait_for
from program import Program
from stage import Stage

import fastloop
from conftest import backends

THREADS = "thread-per-connection"
PROCESSES = "process-per-connection"


@pytest.fixture(params=[THREADS, PROCESSES])
def model(request: pytest.FixtureRequest) -> str:
    """One that serves each connection apart."""
    name: str = request.param
    return name


@pytest.fixture
def stage_of(model: str) -> Iterator[Stage]:
    """Servers of this model."""
    stage = Stage(model=model)
    yield stage
    stage.close()


@pytest.fixture
def processes() -> Iterator[Stage]:
    """Servers with a process for each connection."""
    stage = Stage(model=PROCESSES)
    yield stage
    stage.close()


def ends(line: bytes) -> bytes:
    """Ends its process as it is told."""
    if line == b"kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if line == b"exit":
        os._exit(7)
    if line == b"fail":
        raise SystemExit(3)
    return b"%d" % os.getpid()


def has_no_child() -> bool:
    """Whether this process has none, dead or alive."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


@pytest.mark.parametrize(
    ("how", "said"),
    [(b"kill", "was killed by SIGKILL"), (b"exit", "with status 7"), (b"fail", "with status 3")],
)
def test_a_crash_harms_nobody_else(
    processes: Stage, caplog: pytest.LogCaptureFixture, how: bytes, said: str
) -> None:
    server = processes.serve(ends)
    other, client = processes.connect(server), processes.connect(server)
    first, second = other.ask(b"pid\n"), client.ask(b"pid\n")
    assert len({first, second, b"%d\n" % os.getpid()}) == 3
    client.send(how + b"\n")
    assert client.rest() == b""
    wait_for(lambda: said in caplog.text)
    assert f"process {int(second)} " in caplog.text
    assert other.ask(b"pid\n") == first
    wait_for(lambda: server.stats().connections == 1)
    assert processes.connect(server).ask(b"pid\n").strip().isdigit()
    assert server.stats().messages >= 4  # also those of the one that crashed


def test_nobody_stays_a_zombie(processes: Stage) -> None:
    server = processes.serve(ends)
    for _ in range(5):
        with processes.connect(server) as client:
            client.ask(b"pid\n")
    wait_for(lambda: server.stats().connections == 0)
    wait_for(has_no_child)
    server.stop()


def test_what_cannot_be_started_is_refused(
    stage_of: Stage,
    model: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = stage_of.serve(lambda request: "hello", "http://127.0.0.1:0", framing=None)

    def fail(*_: Any) -> None:
        if model == PROCESSES:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        if model == PROCESSES:
            patch.setattr(os, "fork", fail)
        else:
            patch.setattr("fastloop.models.threads.start", fail)
        refused = stage_of.connect(server)
        refused.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert refused.line() == b"HTTP/1.1 503 Service Unavailable\r\n"
        refused.finish()
        refused.rest()
        wait_for(lambda: "a connection cannot be served" in caplog.text)
    served = stage_of.connect(server)
    served.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert served.line() == b"HTTP/1.1 200 OK\r\n"
    assert server.stats().refused == 1


def test_whatever_backend_accepts(model: str, backend: str) -> None:
    """The loop that accepts keeps the places of those who are served elsewhere."""
    stage = Stage(model=model, backend=backend, max_connections=8)
    server = stage.serve(bytes.upper)
    assert server.backend == backend
    for _ in range(2):
        clients = [stage.connect(server) for _ in range(8)]
        assert [client.ask(b"a\n") for client in clients] == [b"A\n"] * 8
        with stage.connect(server) as surplus:
            assert surplus.rest() == b""
        for client in clients[::2]:
            client.finish()
            assert client.rest() == b""
        for client in clients[1::2]:
            client.reset()
        wait_for(lambda: server.stats().connections == 0)
    stage.close()


@pytest.mark.skipif("select" not in backends(), reason="needs a backend with a limit")
def test_a_process_that_cannot_be_watched(
    processes: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody hears of it, and it does not stay."""
    server = processes.serve(ends, backend="select")
    with many_descriptors():
        client = processes.connect(server)
        assert client.rest() == b""
    wait_for(lambda: "a connection cannot be served" in caplog.text)
    wait_for(has_no_child)
    assert processes.connect(server).ask(b"pid\n").strip().isdigit()


@contextlib.contextmanager
def many_descriptors() -> Iterator[None]:
    """All numbers below 1,024 are taken, but for what a client and its connection need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("this system allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    taken = []
    try:
        while not taken or taken[-1] < 1024:
            taken.append(os.dup(0))
        for fd in taken[-3:]:
            os.close(fd)
        del taken[-3:]
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_threads_are_threads() -> None:
    stage = Stage(model=THREADS)
    server = stage.serve(lambda line: b"%d" % threading.get_ident())
    clients = [stage.connect(server) for _ in range(3)]
    idents = [client.ask(b"\n") for client in clients]
    assert len(set(idents)) == 3
    assert [client.ask(b"\n") for client in clients] == idents
    stage.close()


def test_handlers_of_threads_wait_for_each_other() -> None:
    stage = Stage(model=THREADS)
    barrier = threading.Barrier(3)
    server = stage.serve(lambda line: b"%d" % (barrier.wait(20) * 0))
    clients = [stage.connect(server) for _ in range(3)]
    for client in clients:
        client.send(b"\n")
    assert [client.line() for client in clients] == [b"0\n"] * 3
    stage.close()


def test_a_body_is_read_where_the_handler_waits(stage_of: Stage) -> None:
    @fastloop.stream
    def count(request: fastloop.Request) -> str:
        return str(sum(len(piece) for piece in request.stream()))

    server = stage_of.serve(count, "http://127.0.0.1:0", framing=None)
    client = stage_of.connect(server)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
    for _ in range(20):
        client.send(bytes(10_000))
    while line := client.line().strip():
        last = line
    assert last
    assert client.read(6) == b"200000"


@pytest.mark.parametrize(
    ("options", "message"),
    [({"threads": 2}, "threads=2 is for event loops"), ({"blocking": 1}, "leave blocking out")],
)
def test_options_of_event_loops(model: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(fastloop.ConfigError, match=message):
        fastloop.Server(bytes.upper, "tcp://127.0.0.1:0", framing="line", model=model, **options)


def test_async_handlers_are_refused(model: str) -> None:
    async def handler(line: bytes) -> bytes:
        return line

    with pytest.raises(fastloop.ConfigError, match=r"is async, .*: use --model event-loop"):
        fastloop.Server(handler, "tcp://127.0.0.1:0", framing="line", model=model)


def test_a_process_knows_that_it_is_not_the_server(processes: Stage) -> None:
    def handler(connection: fastloop.Connection, line: bytes) -> str:
        server = connection.server
        call = {b"stats": server.stats, b"stop": server.stop}.get(line)
        try:
            server.broadcast("x") if call is None else call()
        except fastloop.FastloopError as error:
            return str(error)
        return "done"

    server = processes.serve(handler)
    client = processes.connect(server)
    for word in (b"stats", b"stop", b"broadcast"):
        assert client.ask(word + b"\n").startswith(word + b"() is of the server, and this process")
    with pytest.raises(fastloop.FastloopError, match="a broadcast reaches no other process"):
        server.broadcast("x")


def test_a_handler_that_does_not_return_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastloop.models.processes.GRACE", 0.1)
    stage = Stage(model=PROCESSES)
    forever = threading.Event()
    server = stage.serve(lambda line: forever.wait(60))
    client = stage.connect(server)
    client.send(b"\n")
    wait_for(lambda: server.stats().crossings > 0)
    server.stop(drain=0)
    assert has_no_child()
    stage.close()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="looks at /proc")
def test_the_end_of_the_parent_ends_its_children() -> None:
    program = Program("lambda line: str(__import__('os').getpid())", model=PROCESSES)
    client = program.connect()
    child = int(client.ask(b"pid\n"))
    program._process.kill()
    assert client.rest() == b""
    wait_for(lambda: not Path(f"/proc/{child}").exists() or zombie(child))
    program._process.communicate()
    client.close()


def zombie(pid: int) -> bool:
    """Whether it is dead, and only nobody has asked for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals(model: str, number: signal.Signals, tmp_path: Path) -> None:
    code = (
        "import fastloop, sys\n"
        "server = fastloop.Server(bytes.upper, 'tcp://127.0.0.1:0', framing='line',"
        f" model={model!r}, linger=0.1)\n"
        "server.run(started=lambda: print(server.port, flush=True))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with Client(("127.0.0.1", int(process.stdout.readline()))) as client:
            assert client.ask(b"a\n") == b"A\n"
            process.send_signal(number)
            assert client.rest() == b""
        assert process.wait(TIMEOUT) == 0
