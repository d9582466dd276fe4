"""The loop never waits for a disk: while reads do not come back, everyone else is served.

A preloaded library holds up the reads of some files until a gate is opened. Nothing is timed: what
is answered before the gate opens was answered without waiting for what is behind it.
"""

from __future__ import annotations

import contextlib
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from client import wait_for
from http_client import HttpClient, request
from program import SANITIZED, Program

from conftest import WAYS

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None or SANITIZED,
    reason="preloads a library of its own, which is for glibc",
)

SMALL, LARGE = b"small" * 100, b"L" * 3_000_000

APP = """
import fastloop

app = fastloop.Router()
app.static("/files", {root!r})
app.get("/hello")(lambda request: "hello")
app.get("/file")(lambda request: fastloop.file({root!r} + "/small.slow"))
app.get("/part")(lambda request: fastloop.file({root!r} + "/large.slow"))

{async_part}
"""

ASYNC_PART = """
@app.get("/read")
async def read(request):
    return await fastloop.read_file({root!r} + "/small.slow")
"""

Start = Callable[..., contextlib.AbstractContextManager[Program]]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What holds reads up."""
    library = tmp_path_factory.mktemp("faults") / "gate.so"
    source = Path(__file__).parent / "faults" / "gate.c"
    flags = ["-shared", "-fPIC", "-O2", "-std=c11", "-D_GNU_SOURCE", "-U_FORTIFY_SOURCE"]
    subprocess.run(["cc", *flags, "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """Closed as long as this file is there."""
    gate = tmp_path / "gate"
    gate.touch()
    yield gate
    gate.unlink(missing_ok=True)


@pytest.fixture
def start(library: Path, gate: Path, tmp_path: Path) -> Start:
    """Runs a server with files behind the gate, and beside it."""
    root = tmp_path / "www"
    root.mkdir()
    for name, content in {"small": SMALL, "large": LARGE}.items():
        (root / f"{name}.slow").write_bytes(content)
        (root / f"{name}.fast").write_bytes(content)
    for n in range(9):
        (root / f"{n}.slow").write_bytes(SMALL)

    def run(*, is_async: bool = False, **options: object) -> Program:
        script = tmp_path / "app.py"
        part = ASYNC_PART.format(root=str(root)) if is_async else ""
        script.write_text(APP.format(root=str(root), async_part=part))
        return Program(
            f"__import__('runpy').run_path({str(script)!r})['app']",
            bind="http://127.0.0.1:0",
            env={"LD_PRELOAD": str(library), "FASTLOOP_GATE": str(gate)},
            linger=0.1,
            **options,
        )

    return run


def is_answered(client: HttpClient) -> bool:
    """Whether anything came."""
    return bool(select.select([client.client.sock], [], [], 0)[0])


def others_are_served(program: Program) -> None:
    """From Python, from memory, and by sendfile; on a new connection each time.

    The first time, threads find out where the files are; all others need none.
    """
    for _ in range(10):
        with HttpClient(program.port) as other:
            assert other.get("/hello").body == b"hello"
            assert other.get("/files/small.fast").body == SMALL
            assert other.get("/files/large.fast").body == LARGE


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/files/small.slow", SMALL),
        ("/files/large.slow", LARGE),
        ("/file", SMALL),
        ("/part", LARGE),
    ],
)
def test_a_file_that_is_waited_for(
    way: str, start: Start, gate: Path, path: str, content: bytes
) -> None:
    with start(**WAYS[way]) as program, HttpClient(program.port) as slow:
        slow.send(request("GET", path) + request("GET", "/hello"))
        others_are_served(program)
        with HttpClient(program.port) as other:
            assert other.get("/files/missing").status == 404
        gate.unlink()
        assert slow.response().body == content
        assert slow.response().body == b"hello"


def test_nothing_is_said_before(way: str, start: Start, gate: Path) -> None:
    """Neither a head without its body nor the answer to what was asked later."""
    with start(**WAYS[way]) as program, HttpClient(program.port) as slow:
        slow.send(request("GET", "/files/small.slow") + request("GET", "/hello"))
        others_are_served(program)
        assert not is_answered(slow)
        gate.unlink()
        assert [slow.response().body for _ in range(2)] == [SMALL, b"hello"]


def test_a_file_that_a_handler_reads(start: Start, gate: Path) -> None:
    with start(is_async=True) as program, HttpClient(program.port) as slow:
        slow.send(request("GET", "/read"))
        others_are_served(program)
        assert not is_answered(slow)
        gate.unlink()
        assert slow.response().body == SMALL


def test_all_threads_wait(backend: str, start: Start, gate: Path) -> None:
    """More files than threads: who needs none of them is served all the same."""
    with contextlib.ExitStack() as stack:
        program = stack.enter_context(start(backend=backend, file_threads=2))
        others_are_served(program)
        slow = [stack.enter_context(HttpClient(program.port)) for _ in range(9)]
        for n, client in enumerate(slow):
            client.send(request("GET", f"/files/{n}.slow"))
        others_are_served(program)
        assert not any(map(is_answered, slow))
        gate.unlink()
        assert [client.response().body for client in slow] == [SMALL] * 9


def test_too_many_wait(backend: str, start: Start, gate: Path) -> None:
    """One is read, two wait, and the fourth is told to come again."""
    with contextlib.ExitStack() as stack:
        program = stack.enter_context(start(backend=backend, file_threads=1, file_queue=2))
        clients = [stack.enter_context(HttpClient(program.port)) for _ in range(3)]
        first, *others = clients
        others_are_served(program)
        first.send(request("GET", "/files/0.slow"))
        others_are_served(program)
        others[0].send(request("GET", "/files/1.slow"))
        others_are_served(program)
        others[1].send(request("GET", "/files/2.slow"))
        others_are_served(program)
        with HttpClient(program.port) as client:
            refused = client.get("/files/3.slow")
            assert refused.status == 503
            assert int(refused["retry-after"]) > 0
            assert client.get("/hello").body == b"hello"
            gate.unlink()
            assert [client.response().body for client in clients] == [SMALL] * 3
            assert client.get("/files/3.slow").body == SMALL


def test_who_asked_leaves(backend: str, start: Start, gate: Path) -> None:
    """What is read for nobody goes nowhere, and nothing of it stays. Who only closed might still
    listen, and keeps its connection until it has its answer."""
    with start(backend=backend) as program:
        others_are_served(program)
        for n in range(8):
            client = HttpClient(program.port)
            client.send(request("GET", f"/files/{n % 4}.slow"))
            client.client.reset() if n % 2 else client.close()
        others_are_served(program)
        wait_for(lambda: program.ask("server.stats().connections") == 4)
        gate.unlink()
        wait_for(lambda: program.ask("server.stats().connections") == 0)
        others_are_served(program)
        with HttpClient(program.port) as client:
            assert client.get("/files/0.slow").body == SMALL
