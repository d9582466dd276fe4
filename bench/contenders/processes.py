"""As many processes on one port as asked for, each with a listening socket of its own.

python processes.py PORT N fastloop-arguments...
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from types import FrameType


def listening(port: int) -> socket.socket:
    """Return one of several sockets among which the kernel spreads the connections."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(1024)
    return sock


def main() -> None:
    """Run the processes until SIGTERM."""
    port, count, args = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    children = []
    for _ in range(count):
        sock = listening(port)
        argv = [sys.executable, "-m", "fastloop", *args, "--bind", f"tcp+fd:{sock.fileno()}"]
        children.append(subprocess.Popen(argv, pass_fds=[sock.fileno()]))
        sock.close()  # the child's is the only one: nobody else would accept from it

    def end(_number: int, _frame: FrameType | None) -> None:
        for child in children:
            child.terminate()

    signal.signal(signal.SIGTERM, end)
    sys.exit(max(child.wait() for child in children))


if __name__ == "__main__":
    main()
