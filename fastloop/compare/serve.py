"""`python -m fastloop.compare.serve PID ...`: `fastloop ...` that does not outlive the process PID.

A session of comparisons that is killed cannot end its server, which would go on for ever.
"""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with(parent: int) -> None:
    """From now on the end of the parent is the end of this process, where the system knows how."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    from fastloop.cli import main

    end_with(int(sys.argv.pop(1)))
    main(prog_name="fastloop")
