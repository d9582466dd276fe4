"""The C compiler of this machine, for tests of csrc/ alone."""

from __future__ import annotations

import os
import shlex
import subprocess

COMPILER = shlex.split(os.environ.get("CC", "cc"))


def _has_zlib() -> bool:
    """Whether csrc/ finds zlib's header, and so needs the library."""
    probe = subprocess.run(
        [*COMPILER, "-E", "-include", "zlib.h", "-x", "c", "/dev/null", "-o", "/dev/null"],
        capture_output=True,
        check=False,
    )
    return probe.returncode == 0


LIBRARIES = ["-lz"] if _has_zlib() else []
"""Of the linker; to come last."""
