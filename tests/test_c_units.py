"""Builds each program of tests/c/ with the address and undefined-behaviour sanitizers, and runs it;
those called ``test_*_threads.c`` also with the thread sanitizer. Replays the seeds of tests/fuzz/
through the fuzz targets.

The core needs no Python, so its unit tests are plain C. A test program passes by exiting with 0;
what it prints says which check failed. ``CC`` chooses the compiler (default: ``cc``), gcc or clang.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from compiler import COMPILER, LIBRARIES

ROOT = Path(__file__).resolve().parent.parent
CORE = sorted((ROOT / "csrc").glob("*.c"))
TESTS = sorted((ROOT / "tests" / "c").glob("test_*.c"))
THREADED = [path for path in TESTS if path.stem.endswith("_threads")]
FUZZ = ROOT / "tests" / "fuzz"
TARGETS = sorted(FUZZ.glob("fuzz_*.c"))

SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
COMMON = [
    *("-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-pthread"),
    *("-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Werror"),
    *("-I", str(ROOT / "csrc"), "-I", str(ROOT / "tests" / "c")),
]
FLAGS = [*COMMON, *SANITIZERS]
WRAPPED = "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc"  # see tests/c/oom.h

COMPILE_SECONDS = 300
RUN_SECONDS = 120


def run(command: Sequence[str | Path], seconds: int) -> None:
    """Run a command; fail the test with what it printed unless it exits with 0 in time."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        check=False,
    )
    if done.returncode != 0:
        output = done.stdout.decode(errors="replace")
        pytest.fail(f"exit {done.returncode}: {shlex.join(map(str, command))}\n{output}", False)


def compile_to(directory: Path, source: Path) -> Path:
    """Compile one C file; return its object file."""
    target = directory / f"{source.stem}.o"
    run([*COMPILER, *FLAGS, "-c", source, "-o", target], COMPILE_SECONDS)
    return target


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The objects of all of csrc/ and of the allocator that fails on demand."""
    directory = tmp_path_factory.mktemp("core")
    sources = [*CORE, ROOT / "tests" / "c" / "oom.c"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda source: compile_to(directory, source), sources))


@pytest.mark.parametrize("source", TESTS, ids=lambda path: path.stem)
def test_c_unit(source: Path, core: list[Path], tmp_path: Path) -> None:
    program = tmp_path / source.stem
    run([*COMPILER, *FLAGS, source, *core, WRAPPED, *LIBRARIES, "-o", program], COMPILE_SECONDS)
    run([program], RUN_SECONDS)


@pytest.mark.parametrize("source", THREADED, ids=lambda path: path.stem)
def test_c_threads(source: Path, tmp_path: Path) -> None:
    program = tmp_path / source.stem
    sources = [source, *CORE, *LIBRARIES]
    run([*COMPILER, *COMMON, "-fsanitize=thread", *sources, "-o", program], COMPILE_SECONDS)
    run([program], RUN_SECONDS)


@pytest.mark.parametrize("source", TARGETS, ids=lambda path: path.stem)
def test_fuzz_seeds(source: Path, core: list[Path], tmp_path: Path) -> None:
    program = tmp_path / source.stem
    sources = [source, FUZZ / "main.c", *core, *LIBRARIES]
    run([*COMPILER, *FLAGS, *sources, WRAPPED, "-o", program], COMPILE_SECONDS)
    run([program, FUZZ / "seeds" / source.stem.removeprefix("fuzz_")], RUN_SECONDS)
