"""A server in a process of its own: for limits, preloaded libraries and measuring memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Self

from client import TIMEOUT, Client

SANITIZED = "san.so" in os.environ.get("LD_PRELOAD", "")
"""Whether a sanitizer is loaded: it keeps freed memory, and has malloc() to itself."""

# Each line on its standard input is an expression to be evaluated there, and answered on its
# standard output; the end of the input stops it.
SOURCE = """
import json, logging, os, resource, sys
import fastloop
logging.basicConfig(format="%(levelname)s %(message)s")
def limit(files):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
handler = eval(sys.argv[1])
with fastloop.Server(handler, sys.argv[3], **json.loads(sys.argv[2])) as server:
    print(server.port, flush=True)
    for line in sys.stdin:
        print(json.dumps(eval(line)), flush=True)
"""


class Program:
    """Runs a server until the end of the ``with`` block."""

    def __init__(
        self,
        handler: str,
        *,
        bind: str = "tcp://127.0.0.1:0",
        env: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        """The handler is an expression; the options are those of Server."""
        if bind.startswith("tcp:"):
            options = {"framing": "line"} | options
        command = [sys.executable, "-c", SOURCE, handler, json.dumps(options), bind]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | (env or {}),
        )
        self.log = ""
        self.port = int(self._read() or 0)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def ask(self, expression: str) -> Any:
        """The value of an expression over there: ``server``, ``rss()`` and ``limit(n)`` exist."""
        assert self._process.stdin is not None
        self._process.stdin.write(expression + "\n")
        self._process.stdin.flush()
        return json.loads(self._read())

    def connect(self) -> Client:
        """A client of it."""
        return Client(("127.0.0.1", self.port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Stops it. It has to end in peace, with its log in ``log``."""
        try:
            self.log = self._process.communicate(timeout=TIMEOUT)[1]
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.log = self._process.communicate()[1]
        if kind is None:
            assert self._process.returncode == 0, self.log
