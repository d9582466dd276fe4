"""What is asked of the servers: the handler, how it is addressed, and what it answers."""

from __future__ import annotations

import http.client
import io
import re
import socket
from dataclasses import dataclass
from typing import Any

from fastloop import bind
from fastloop import framing as framings
from fastloop.compare.driver import Server
from fastloop.compare.errors import PointError
from fastloop.errors import ConfigError
from fastloop.framing import LENGTHS, NAMES, unescape

ECHO = "fastloop.examples.echo:handle"
SIZE = 64
"""Bytes of a message to the built-in handler."""
TIMEOUT = 10.0


@dataclass(frozen=True)
class Workload:
    """A handler and what clients say to it."""

    target: str
    url: str
    framing: str
    load: dict[str, Any]
    """For the load generator: see fl_load_config in csrc/fastloop.h."""
    description: str

    @property
    def options(self) -> list[str]:
        """The flags of `fastloop serve` that it needs, whatever the technique."""
        known = bind.parse(self.url).framing is not None
        return ["--max-requests", "0"] if known else ["--framing", self.framing]


def builtin() -> Workload:
    """Lines that come back: 64 bytes, no two of them equal."""
    load = {"dialect": "line", "size": SIZE}
    return Workload(ECHO, "tcp://127.0.0.1:0", "line", load, f"an echo of lines of {SIZE} bytes")


def of(target: str, url: str | None, framing: str | None, message: str, path: str) -> Workload:
    """A user's handler, which is asked once now, so that later answers can be compared.

    `message` is what it gets, as typed in a shell (with escapes such as \\n); for RESP, words of a
    command; for HTTP `path` is asked for by GET. Raises ConfigError for what cannot be served, or
    gives no answer.
    """
    url = url or ("resp://127.0.0.1:0" if framing == "resp" else "tcp://127.0.0.1:0")
    where = bind.parse(url)
    if where.kind == "fd":
        raise ConfigError(f"{url} is for one server, and each technique has its own: use port 0")
    name = where.framing or framing
    if name is None:
        raise ConfigError(
            f"{url} needs --framing: one of {', '.join(NAMES)}; or give --bind http://..."
        )
    if where.framing not in (None, framing) and framing is not None:
        raise ConfigError(f"{url} has its own framing: leave --framing away")
    framings.of(name)  # or it says what is wrong with that
    if name == "http":
        asked = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("latin-1")
        description = f"{target}, GET {path}"
    else:
        asked = framed(name, unescape(message) or b"")
        description = f"{target}, {message!r} in framing {name}"
    first = Workload(target, url, name, {}, description)
    answer = learn(first, asked)
    load = {
        "dialect": "http" if name == "http" else "same",
        "ask": asked.decode("latin-1"),
        "answer": answer.decode("latin-1"),
    }
    return Workload(target, url, name, load, description)


def framed(name: str, message: bytes) -> bytes:
    """A message as it travels."""
    if name == "raw":
        return message
    if name == "line":
        return message + b"\n"
    if name == "resp":
        words = message.split()
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
    if name == "varint":
        number, prefix = len(message), b""
        while number > 127:
            prefix += bytes([number & 127 | 128])
            number >>= 7
        return prefix + bytes([number]) + message
    if name in LENGTHS and (match := re.fullmatch(r"u(\d+)(be|le)?", name)):
        try:
            size = int(match[1]) // 8
            prefix = len(message).to_bytes(size, "little" if match[2] == "le" else "big")
            return prefix + message
        except OverflowError:
            raise ConfigError(f"--message is too long for framing {name}") from None
    raise ConfigError(f"framing {name!r} is unknown: use one of {', '.join(NAMES)}")


def learn(workload: Workload, asked: bytes) -> bytes:
    """What the handler answers to one message; of HTTP the body."""
    try:
        with Server(workload.target, workload.url, workload.options, None) as server:
            said = ask(server.address, asked)
    except PointError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(
            f"{workload.target} gave no answer to the first message: {error}"
        ) from error
    if workload.framing == "http":
        return body(workload, said)
    if not said:
        raise ConfigError(f"{workload.target} does not answer: only what replies can be compared")
    return said


def ask(address: Any, asked: bytes) -> bytes:
    """All that comes back on a connection that sends this and nothing more."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    if family == socket.AF_INET and ":" in address[0]:
        family = socket.AF_INET6
    with socket.socket(family) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect(address if isinstance(address, str) else tuple(address))
        sock.sendall(asked)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def body(workload: Workload, said: bytes) -> bytes:
    """The body of a response. Raises ConfigError if it is none, or its status is not 200."""

    class Made:
        def makefile(self, *_: Any, **__: Any) -> io.BytesIO:
            return io.BytesIO(said)

    response = http.client.HTTPResponse(Made())  # type: ignore[arg-type]
    try:
        response.begin()
        content = response.read()
    except (http.client.HTTPException, OSError) as error:
        raise ConfigError(f"{workload.description}: no response of HTTP: {error!r}") from error
    if response.status != 200:
        raise ConfigError(
            f"{workload.description}: answered by {response.status} {response.reason}; name a path"
            " that is answered by 200: --path /..."
        )
    return content
