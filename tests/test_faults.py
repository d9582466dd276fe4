"""A conversation stays correct while system calls and allocations of the core fail now and then."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from client import Client, wait_for
from program import SANITIZED, Program

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None or SANITIZED,
    reason="preloads a library of its own, which is for glibc",
)

WAIT = {"epoll": "epoll_wait", "poll": "poll", "select": "select"}

ROUNDS, PIPELINED, CLIENTS = 10, 30, 10


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes calls fail."""
    library = tmp_path_factory.mktemp("faults") / "shim.so"
    source = Path(__file__).parent / "faults" / "shim.c"
    flags = ["-shared", "-fPIC", "-O2", "-std=c11", "-D_GNU_SOURCE", "-U_FORTIFY_SOURCE"]
    subprocess.run(["cc", *flags, "-o", library, source, "-ldl"], check=True)
    return library


@contextlib.contextmanager
def failing(shim: Path, report: Path, backend: str, *faults: str) -> Iterator[Program]:
    """A server to which these faults happen; fails unless each of them did."""
    env = {
        "LD_PRELOAD": str(shim),
        "FASTLOOP_FAULTS": ",".join(faults),
        "FASTLOOP_FAULTS_REPORT": str(report),
    }
    handler = "lambda connection, line: line.upper()"
    with Program(handler, env=env, backend=backend, linger=0.1) as program:
        yield program
    lines = report.read_text().splitlines()
    fired = {line.split()[0] for line in lines if int(line.split()[-1]) > 0}
    assert fired == set(faults)


def talk(clients: list[Client]) -> None:
    """Some thousand messages, pipelined on connections that take turns; every answer is right."""
    for n in range(ROUNDS):
        for i, client in enumerate(clients):
            client.send(b"".join(b"message %d of %d\n" % (n, i) for _ in range(PIPELINED)))
        for i, client in enumerate(clients):
            expected = b"MESSAGE %d OF %d\n" % (n, i)
            assert client.read(len(expected) * PIPELINED) == expected * PIPELINED


FAULTS = {
    "interrupted": ("read:EINTR:3", "send:EINTR:3", "accept4:EINTR:3", "{wait}:EINTR:3"),
    "not ready": ("read:EAGAIN:3", "send:EAGAIN:3", "accept4:EAGAIN:3"),
    "short": ("read:short:2", "send:short:2"),
    "gone": ("accept4:ECONNABORTED:3", "accept4:EPROTO:4"),
    "no descriptors": ("accept4:EMFILE:5",),
    "all at once": ("read:EAGAIN:5", "read:short:3", "send:EINTR:5", "send:short:3"),
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_calls_that_fail(shim: Path, tmp_path: Path, backend: str, faults: tuple[str, ...]) -> None:
    named = [fault.format(wait=WAIT[backend]) for fault in faults]
    with failing(shim, tmp_path / "report", backend, *named) as program:
        clients: list[Client] = []
        wait_for(lambda: len(clients) == CLIENTS or admit(program, clients))
        talk(clients)
        big = b"x" * 60_000
        assert clients[0].ask(big + b"\n") == big.upper() + b"\n"
        for client in clients:
            client.close()
        wait_for(lambda: program.ask("server.stats().connections") == 0)


def admit(program: Program, clients: list[Client]) -> bool:
    """One more client, if the server takes it; it turns some away when it has no descriptors."""
    client = program.connect()
    try:
        taken = client.ask(b"hello\n") == b"HELLO\n"
    except ConnectionError:
        taken = False
    if taken:
        clients.append(client)
    else:
        client.close()
    return len(clients) == CLIENTS


@pytest.mark.parametrize("every", [31, 53, 101])
def test_allocations_that_fail(shim: Path, tmp_path: Path, backend: str, every: int) -> None:
    """Connections may be closed for it, but no wrong byte is sent and the server goes on."""
    whole = 0
    with failing(shim, tmp_path / "report", backend, f"malloc:ENOMEM:{every}") as program:
        for n in range(300):
            with program.connect() as client:
                line = b"%d " % n + b"x" * (n * 97 % 40_000) + b"\n"
                with contextlib.suppress(ConnectionError):
                    client.send(line[:100])
                    client.send(line[100:] + line)
                    client.finish()
                    answer = client.rest()
                    assert (line.upper() * 2).startswith(answer)
                    whole += answer == line.upper() * 2
        assert whole > 0
        wait_for(served, program, what="serving again")


def served(program: Program) -> bool:
    """Whether a new connection is served."""
    with program.connect() as client, contextlib.suppress(ConnectionError):
        return client.ask(b"a\n") == b"A\n"
    return False
