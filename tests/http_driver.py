"""HTTP's framing driven from Python, without a server: tests/http/driver.c."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from cffi import FFI
from compiler import COMPILER, LIBRARIES

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-g", "-O2", "-pthread", "-Wall", "-Wextra", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

OLD, HEAD, CLOSE, KEPT, UPGRADE = 1, 2, 4, 8, 16
"""Flags of a request, as in csrc/frame.h."""


@dataclass(frozen=True)
class Request:
    """What was read of one request."""

    method: bytes
    target: bytes
    path: bytes
    """Decoded."""
    query: bytes
    head: bytes
    """The request line and the fields, each with its CR LF."""
    body: bytes
    flags: int

    @property
    def fields(self) -> tuple[tuple[bytes, bytes], ...]:
        """Names as sent, and values."""
        lines = self.head.split(b"\r\n")[1:-1]
        pairs = (line.split(b":", 1) for line in lines)
        return tuple((name, value.strip(b" \t")) for name, value in pairs)


def misread(request: Request) -> str:
    """What is told of a request that its own head does not say; empty if nothing.

    Another way to read a head, slow and simple, for heads that are known to be right.
    """
    method, target, version = request.head.split(b"\r\n")[0].split(b" ")
    path, _, query = re.sub(rb"(?i)^https?://[^/?]*", b"", target).partition(b"?")
    text = unquote_to_bytes(path or b"/").decode("utf-8", "surrogateescape")
    fields = [(name.lower(), value.lower()) for name, value in request.fields]
    tokens = {
        token.strip(b" \t")
        for name, value in fields
        if name == b"connection"
        for token in value.split(b",")
    }
    old = version == b"HTTP/1.0"
    chunked = any(name == b"transfer-encoding" for name, _ in fields)
    offers = b"upgrade" in tokens and any(name == b"upgrade" for name, _ in fields)
    flags = {
        OLD: old,
        HEAD: method == b"HEAD",
        CLOSE: b"close" in tokens or (old and b"keep-alive" not in tokens),
        KEPT: old and b"keep-alive" in tokens and b"close" not in tokens,
        UPGRADE: offers and method == b"GET" and not (old or chunked or request.body),
    }
    read = (request.method, request.target, request.path, request.query, request.flags)
    path = text.encode("utf-8", "surrogatepass")
    said = (method, target, path, query, sum(flag for flag, is_set in flags.items() if is_set))
    return "" if read == said else f"read {read}, want {said}"


@dataclass(frozen=True)
class Reading:
    """What was read of some bytes."""

    requests: tuple[Request, ...]
    end: str
    """A status, ``more``, ``close``, or empty: nothing is left, and more may come."""

    @classmethod
    def of(cls, text: bytes) -> Reading:
        """The reading in these records."""
        requests = []
        at = 0
        while text[at : at + 1] == b"R":
            flags = text[at + 1]
            at += 2
            parts = []
            for _ in range(6):
                (size,) = struct.unpack_from("=I", text, at)
                parts.append(text[at + 4 : at + 4 + size])
                at += 4 + size
            target, method, path, query, head, body = parts
            requests.append(Request(method, target, path, query, head, body, flags))
        end = {"": "", "M": "more", "C": "close"}
        last = text[at:].decode()
        return cls(tuple(requests), end[last] if last in end else last.removeprefix("E"))


def build(target: Path, flags: Sequence[str]) -> None:
    """Compiles the driver and the pure part of csrc/: no I/O, no connections."""
    sources: list[Path] = [ROOT / "tests" / "http" / "driver.c"]
    for pattern in ("frame*.c", "http_*.c", "ws_*.c", "buf.c", "codec.c", "date.c", "wire.c"):
        sources += sorted((ROOT / "csrc").glob(pattern))
    command = [*COMPILER, *FLAGS, *flags, "-I", ROOT / "csrc", *sources]
    command += [*LIBRARIES, "-o", target]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


class Driver:
    """The shared library."""

    def __init__(self, folder: Path) -> None:
        """Builds it there."""
        target = folder / "driver.so"
        build(target, ["-shared", "-fPIC"])
        self._ffi = FFI()
        self._ffi.cdef(
            "size_t driver_read(const char *, size_t, size_t, int, const char **);"
            "long driver_cuts(const char *, size_t);"
        )
        self._lib: Any = self._ffi.dlopen(str(target))
        self._text = self._ffi.new("const char **")

    def read(self, data: bytes) -> Reading:
        """What is read when the bytes arrive at once."""
        size = self._lib.driver_read(data, len(data), max(1, len(data)), 0, self._text)
        return Reading.of(self._ffi.buffer(self._text[0], size)[:] if size else b"")

    def cuts(self, data: bytes) -> int:
        """A cut at which the bytes are read otherwise, or -1."""
        cut: int = self._lib.driver_cuts(data, len(data))
        return cut


def read_sanitized(folder: Path, inputs: Iterable[bytes]) -> Iterator[tuple[int, Reading]]:
    """For each input a cut that changes its reading (-1: none), and the reading; sanitized."""
    program = folder / "driver"
    build(program, SANITIZERS)
    data = b"".join(struct.pack("=I", len(each)) + each for each in inputs)
    done = subprocess.run([program], input=data, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    at = 0
    while at < len(done.stdout):
        cut, size = struct.unpack_from("=iI", done.stdout, at)
        yield cut, Reading.of(done.stdout[at + 8 : at + 8 + size])
        at += 8 + size
