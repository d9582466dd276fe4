"""What every environ of a listener has, beside what the core makes of each request."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from io import BufferedReader, RawIOBase
from typing import IO, Any

from fastloop.bind import Listener
from fastloop.config import PROCESS_PER_CONNECTION, THREAD_PER_CONNECTION, Config
from fastloop.http.body import Body

BLOCK = 64 * 1024
"""Bytes that a body is read ahead, and a file is read at once."""


PLACES = 22
"""Keys that a dict must have had to have room for 42; see ``roomy``."""


class Nothing:
    """The ``wsgi.input`` of a request without a body: one for all of them, so it cannot change."""

    def read(self, _size: int | None = -1) -> bytes:
        """b"": there is nothing."""
        return b""

    readline = read1 = read

    def readlines(self, _hint: int = -1) -> list[bytes]:
        """No lines."""
        return []

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """Other requests have it too, so it stays open."""


class Errors:
    """The ``wsgi.errors``: what is ``sys.stderr`` at the time of writing."""

    def write(self, text: str) -> int:
        """Writes it."""
        return sys.stderr.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes them one after the other."""
        sys.stderr.writelines(lines)

    def flush(self) -> None:
        """Makes sure it is seen."""
        sys.stderr.flush()


class FileWrapper:
    """The ``wsgi.file_wrapper``: a file to be sent by the system, or an iterable of its blocks."""

    def __init__(self, file: IO[bytes], block: int = BLOCK) -> None:
        """``file`` has ``read``; its ``close``, if there is one, is called at the end."""
        self.file = file
        self.block = block
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.file.read(self.block):
            yield piece


class Arriving(RawIOBase):
    """A body that is read as it arrives, by waiting: for worker threads."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer with what came; 0 at the end.

        Raises ConnectionClosed if the peer leaves before the end, and HTTPError for a body that is
        malformed, too large or too slow.
        """
        if not self._piece:
            self._piece = memoryview(self._body.wait())
        n = min(len(buffer), len(self._piece))
        buffer[:n] = self._piece[:n]
        self._piece = self._piece[n:]
        return n


def arriving(body: Body) -> BufferedReader:
    """The ``wsgi.input`` of a body that is still arriving."""
    return BufferedReader(Arriving(body), BLOCK)


def base(listener: Listener, config: Config) -> dict[str, Any]:
    """The keys that are the same for all requests (PEP 3333, "environ Variables")."""
    return roomy(
        **_address(listener),
        SERVER_SOFTWARE="fastloop",
        SCRIPT_NAME=root(config),
        **{
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": Nothing(),
            "wsgi.input_terminated": True,
            "wsgi.errors": Errors(),
            "wsgi.multithread": config.blocking > 1
            or config.threads > 1
            or config.model == THREAD_PER_CONNECTION,
            "wsgi.multiprocess": config.model == PROCESS_PER_CONNECTION,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
        },
    )


def roomy(**keys: Any) -> dict[str, Any]:
    """These keys, in a dict whose copies have room for those of a request.

    CPython copies the table of a dict as it is, with the places that were taken once; so no copy
    has to grow, which would cost as much as the copy.
    """
    for n in range(PLACES - len(keys)):
        keys[f"place {n}"] = None
    while next(reversed(keys)).startswith("place "):
        keys.popitem()
    return keys


def root(config: Config) -> str:
    """The path below which the application lives, in the form of SCRIPT_NAME; "" for all of it."""
    return config.root_path.rstrip("/").encode().decode("latin-1")


def _address(listener: Listener) -> dict[str, str]:
    """Where a listener is; one without host and port has what a URL without them means."""
    address = listener.sockets[0].getsockname()
    if not isinstance(address, tuple):
        return {"SERVER_NAME": "localhost", "SERVER_PORT": "80", "REMOTE_ADDR": ""}
    return {"SERVER_NAME": str(address[0]), "SERVER_PORT": str(address[1])}
