"""A conversation stays correct while system calls and allocations of the core fail now and then."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client import Client, wait_for
from http_client import HttpClient, request
from program import SANITIZED, Program

from conftest import WAYS, backends

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None or SANITIZED,
    reason="preloads a library of its own, which is for glibc",
)

WAIT = {
    "epoll": "epoll_wait",
    "poll": "poll",
    "select": "select",
    "io_uring": "ring_enter",
    "threads": "poll",
    "processes": "poll",
}


def fitting(way: str, faults: tuple[str, ...]) -> list[str]:
    """The faults that can happen on a backend: io_uring sends without a call that could fail, so
    there it is the submission that does.
    """
    named = [fault.format(wait=WAIT[way]) for fault in faults]
    if way != "io_uring":
        return named
    return [each for each in named if not each.startswith("send:")] + ["ring_enter:EBUSY:5"]


UPPER = "lambda connection, line: line.upper()"

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
def failing(
    shim: Path, report: Path, way: str, *faults: str, handler: str = UPPER, **options: Any
) -> Iterator[Program]:
    """A server to which these faults happen; fails unless each of them did."""
    env = {
        "LD_PRELOAD": str(shim),
        "FASTLOOP_FAULTS": ",".join(faults),
        "FASTLOOP_FAULTS_REPORT": str(report),
    }
    with Program(handler, env=env, linger=0.1, **WAYS[way], **options) as program:
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
def test_calls_that_fail(shim: Path, tmp_path: Path, way: str, faults: tuple[str, ...]) -> None:
    named = fitting(way, faults)
    with failing(shim, tmp_path / "report", way, *named) as program:
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


@pytest.mark.shared_state  # the counters of allocations
@pytest.mark.parametrize("every", [31, 53, 101])
def test_allocations_that_fail(shim: Path, tmp_path: Path, way: str, every: int) -> None:
    """Connections may be closed for it, but no wrong byte is sent and the server goes on."""
    whole = 0
    with failing(shim, tmp_path / "report", way, f"malloc:ENOMEM:{every}") as program:
        for n in range(300):
            with program.connect() as client:
                line = b"%d " % n + b"x" * (n * 97 % 40_000) + b"\n"
                with contextlib.suppress(ConnectionError):
                    client.send(line + line[:100])
                    answer = client.read(len(line))  # so the rest lies in memory of its own
                    client.send(line[100:])
                    client.finish()
                    answer += client.rest()
                    assert (line.upper() * 2).startswith(answer)
                    whole += answer == line.upper() * 2
        assert whole > 0
        wait_for(served, program, what="serving again")


@pytest.mark.skipif("io_uring" not in backends(), reason="it works nowhere here")
@pytest.mark.parametrize(("error", "why"), [("EPERM", "seccomp"), ("ENOSYS", "no such thing")])
def test_a_kernel_that_refuses_io_uring(shim: Path, error: str, why: str) -> None:
    """Another backend takes its place, and the log and `fastloop check` tell why."""
    env = os.environ | {"LD_PRELOAD": str(shim), "FASTLOOP_FAULTS": f"ring_setup:{error}:1"}
    code = (
        "import fastloop, logging; logging.basicConfig()\n"
        "with fastloop.Server(len, 'tcp://127.0.0.1:0', framing='line', backend='io_uring') as s:\n"
        "    print(s.backend)"
    )

    def told(*args: str) -> str:
        done = subprocess.run(
            [sys.executable, *args], env=env, capture_output=True, text=True, check=True
        )
        return done.stdout + done.stderr

    log = told("-c", code)
    assert "epoll\n" in log
    assert re.search(f"io_uring does not work here .*{why}.*: using epoll", log)
    assert re.search(rf"^backend io_uring +no: .*{why}", told("-m", "fastloop", "check"), re.M)


def served(program: Program) -> bool:
    """Whether a new connection is served."""
    with program.connect() as client, contextlib.suppress(ConnectionError):
        return client.ask(b"a\n") == b"A\n"
    return False


# -- HTTP and files --

SMALL, LARGE = b"small" * 1000, bytes(range(256)) * 8000

APP = """
import fastloop

app = fastloop.Router()
app.static("/files", {root!r})
app.post("/echo")(lambda request: request.body)
app.get("/stream")(lambda request: (b"piece" * 100 for _ in range(100)))
"""

HTTP_FAULTS = {
    "interrupted": ("read:EINTR:3", "send:EINTR:3", "sendfile:EINTR:3", "pread:EINTR:3"),
    "not ready": ("read:EAGAIN:3", "send:EAGAIN:3", "sendfile:EAGAIN:3"),
    "short": ("read:short:2", "send:short:2", "sendfile:short:2", "pread:short:2"),
    "all at once": ("read:EAGAIN:5", "send:short:3", "sendfile:short:3", "pread:EINTR:5"),
}


@contextlib.contextmanager
def failing_http(
    shim: Path, folder: Path, backend: str, *faults: str
) -> Iterator[tuple[Program, Path]]:
    """A server of HTTP to which these faults happen, and its files."""
    root = folder / "www"
    root.mkdir()
    (root / "small").write_bytes(SMALL)
    (root / "large").write_bytes(LARGE)
    script = folder / "app.py"
    script.write_text(APP.format(root=str(root)))
    handler = f"__import__('runpy').run_path({str(script)!r})['app']"
    options = {"handler": handler, "bind": "http://127.0.0.1:0"}
    with failing(shim, folder / "report", backend, *faults, **options) as program:
        yield program, root


@pytest.mark.parametrize("faults", HTTP_FAULTS.values(), ids=HTTP_FAULTS)
def test_http_while_calls_fail(
    shim: Path, tmp_path: Path, backend: str, faults: tuple[str, ...]
) -> None:
    body = bytes(range(256)) * 300
    wanted = [SMALL, body, LARGE, LARGE[10:100_011], b"piece" * 10_000, SMALL]
    asked = (
        request("GET", "/files/small")
        + request("POST", "/echo", body)
        + request("GET", "/files/large")
        + request("GET", "/files/large", range="bytes=10-100010")
        + request("GET", "/stream")
        + request("GET", "/files/small")
    )
    with failing_http(shim, tmp_path, backend, *fitting(backend, faults)) as (program, root):
        for n in range(10):
            (root / "small").touch()  # is read again
            with HttpClient(program.port) as client:
                client.send(asked[: n * 37], asked[n * 37 :])
                assert [client.response().body for _ in wanted] == wanted
        wait_for(lambda: program.ask("server.stats().connections") == 0)


@pytest.mark.parametrize("fault", ["pread:EIO:2", "pread:EIO:3", "sendfile:EIO:3"])
def test_a_disk_that_fails(shim: Path, tmp_path: Path, backend: str, fault: str) -> None:
    """What is sent is the file, or its beginning and a close, or the news that there is none."""
    whole = 0
    with failing_http(shim, tmp_path, backend, fault) as (program, root):
        for n in range(40):
            path = root / f"{n}"
            content = (SMALL, LARGE)[n % 2]
            path.write_bytes(content)
            with HttpClient(program.port) as client:
                client.send(request("GET", f"/files/{n}", connection="close"))
                head, _, body = client.client.rest().partition(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 200 "):
                assert content.startswith(body)
                whole += body == content
            else:
                assert int(head.split()[1]) in (404, 500, 503)
        assert whole > 0
        with HttpClient(program.port) as client:
            assert client.ask("POST", "/echo", b"x").body == b"x"


@pytest.mark.parametrize("every", [31, 53, 101])
def test_http_while_allocations_fail(shim: Path, tmp_path: Path, backend: str, every: int) -> None:
    """Connections may be closed for it, but no wrong byte is sent and the server goes on."""
    whole = 0
    get = request("GET", "/files/small")
    post = request("POST", "/echo", SMALL, connection="close")
    with failing_http(shim, tmp_path, backend, f"malloc:ENOMEM:{every}") as (program, _):
        for _ in range(300):
            with HttpClient(program.port) as client, contextlib.suppress(ConnectionError, EOFError):
                client.send(get + post[:100])
                responses = [client.response()]  # so the rest lies in memory of its own
                client.send(post[100:])
                responses += client.responses()
                assert all(r.body == SMALL or r.status >= 500 for r in responses)
                whole += [r.body for r in responses] == [SMALL, SMALL]
        assert whole > 0
