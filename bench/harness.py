"""Getting servers to run: programs built on demand, the peers' environment, pinning, ports."""

from __future__ import annotations

import os
import random
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastloop.compare.spawn import Spawned

BENCH = Path(__file__).resolve().parent
CONTENDERS = BENCH / "contenders"
BUILD = BENCH / "build"
WWW = BUILD / "www"
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]
CFLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra"]
TIMEOUT = 600.0
"""Seconds for a command to end: a build, an installation, a run of redis-benchmark."""


class BenchError(Exception):
    """Something that keeps a contender from being measured, in words for the user."""


@dataclass(frozen=True)
class Contender:
    """A server that can be started."""

    name: str
    argv: Callable[[int], list[str]]
    """Gives the command that serves on a port. What it needs is built or installed then."""
    shared: bool = False
    """Whether it and its clients run on all cores, instead of on one each."""

    @property
    def cores(self) -> list[int]:
        """Where it runs."""
        return CORES if self.shared else [SERVER_CORE]

    @property
    def client_cores(self) -> list[int]:
        """Where its clients run."""
        return CORES if self.shared else [CLIENT_CORE]


@cache
def build(name: str) -> str:
    """Compile bench/NAME.c, and NAME_*.c with it, unless that was done since they changed.

    Returns the program's path.
    """
    sources, program = sorted(BENCH.glob(f"{name}*.c")), BUILD / name
    changed = max(file.stat().st_mtime for file in BENCH.glob(f"{name}*.[ch]"))
    if not program.exists() or program.stat().st_mtime < changed:
        program.parent.mkdir(exist_ok=True)
        run([os.environ.get("CC", "cc"), *CFLAGS, "-o", str(program), *map(str, sources)])
    return str(program)


@cache
def document(name: str, size: int, text: bytes = b"") -> Path:
    """Return a file of bench/build/www/ that begins with a text and goes on as random bytes.

    The bytes are the same in every session. Files there are served, and tell what answers hold.
    """
    file = WWW / name
    content = text + random.Random(name).randbytes(size - len(text))
    if not file.exists() or file.read_bytes() != content:
        WWW.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return file


@cache
def peer_python(*packages: str) -> str:
    """Return the interpreter of bench/.venv, with packages as bench/requirements.txt pins them.

    Each is installed by itself, so that one which cannot be keeps only its own contender away.
    """
    venv, python = BENCH / ".venv", BENCH / ".venv" / "bin" / "python"
    if not python.exists():
        run([sys.executable, "-m", "venv", str(venv)])
    lines = (BENCH / "requirements.txt").read_text().splitlines()
    pins = {line.partition("==")[0]: line for line in lines if "==" in line}
    for package in packages:
        stamp = venv / f"{package}.installed"
        if not stamp.exists() or stamp.read_text() != pins[package]:
            run([str(python), "-m", "pip", "install", "-q", pins[package]])
            stamp.write_text(pins[package])
    return str(python)


def peer_program(name: str, *packages: str) -> str:
    """Return the path of a program that these packages bring, installed in bench/.venv."""
    return str(Path(peer_python(*packages)).with_name(name))


@cache
def program(name: str, package: str) -> str:
    """Return the path of an installed program; raises BenchError saying which package has it."""
    path = shutil.which(name)
    if path is None:
        raise BenchError(f"{name} is not installed (package {package})")
    return path


def run(argv: list[str]) -> str:
    """Run a command and return its output; raises BenchError with what it said if it fails."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{Path(argv[0]).name}: not done after {TIMEOUT:.0f} s") from error
    if done.returncode != 0:
        raise BenchError(f"{Path(argv[0]).name}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def pinned(cores: list[int], argv: list[str]) -> list[str]:
    """Return a command that runs on these cores only."""
    return [program("taskset", "util-linux"), "-c", ",".join(map(str, cores)), *argv]


def raise_file_limit() -> None:
    """Let servers and clients hold as many connections as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Server(Spawned):
    """A contender that runs, on the server's core, from entering the context to leaving it."""

    def __init__(self, contender: Contender) -> None:
        self.name = contender.name
        self.contender = contender
        self.port = _free_port()
        # Not in the checkout: `python -m fastloop` shall find the installed one.
        super().__init__(pinned(contender.cores, contender.argv(self.port)), cwd=CONTENDERS)

    def wait(self) -> None:
        """Returns when it answers on its port. Raises BenchError if it does not."""
        if not self.comes(self._answers):
            raise BenchError(f"{self.name} does not serve: {self.said()[-1000:]}")

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
