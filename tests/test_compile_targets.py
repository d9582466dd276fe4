"""Every file of csrc/ compiles for the platforms that the tests do not run on.

The headers and libc of the targets come with the zig compiler (`ziglang`, of the test extra), so
this finds what is missing or differently declared there; it runs nothing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[1] / "csrc"
SOURCES = sorted(path.name for path in CSRC.glob("*.c"))
TARGETS = [
    "x86_64-macos.11.0",
    "aarch64-macos.11.0",
    "x86_64-freebsd.14.0",
]
FLAGS = [
    "-std=c11",
    "-D_GNU_SOURCE",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Werror",
]


@pytest.fixture(scope="session")
def zlib(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """zlib's two headers, which the targets' own libraries provide and zig does not."""
    directory = tmp_path_factory.mktemp("zlib")
    for name in ("zlib.h", "zconf.h"):
        found = [*Path("/usr/include").glob(name), *Path("/usr/include").glob(f"*/{name}")]
        if found:  # else they are compiled to do without
            (directory / name).write_bytes(found[0].read_bytes())
    return directory


def test_there_is_something_to_compile() -> None:
    assert "poller_kqueue.c" in SOURCES


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("target", TARGETS)
def test_compiles(target: str, source: str, zlib: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target, *FLAGS]
    command += ["-isystem", str(zlib)]
    command += ["-c", str(CSRC / source), "-o", str(tmp_path / "out.o")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
