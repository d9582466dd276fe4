"""A client of WebSocket that says just what it is told to; and frames, written and read."""

from __future__ import annotations

import pytest
from client import Client

import fastloop
from fastloop._ffi import lib

compressed = pytest.mark.skipif(not lib.fl_compresses(), reason="built without zlib")

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3
MASK = b"\x37\xfa\x21\x3d"

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def handshake(path: str = "/", *fields: str, version: str = "13") -> bytes:
    """A request that opens a WebSocket."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        f"Sec-WebSocket-Key: {KEY.decode()}",
        f"Sec-WebSocket-Version: {version}",
        *fields,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A masked frame, as clients send them."""
    n = len(payload)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if n < 126:
        head += bytes([0x80 | n])
    elif n < 65536:
        head += bytes([0x80 | 126]) + n.to_bytes(2, "big")
    else:
        head += bytes([0x80 | 127]) + n.to_bytes(8, "big")
    return head + MASK + bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))


def closing(code: int, reason: str = "") -> bytes:
    """A close frame."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


class RawSocket(Client):
    """One connection."""

    def open(self, path: str = "/", *fields: str, more: bytes = b"") -> dict[str, str]:
        """Shakes hands, with `more` in the same breath. Returns the fields of the answer."""
        self.send(handshake(path, *fields) + more)
        status, answer = self.head()
        assert status == 101, status
        assert answer["sec-websocket-accept"].encode() == ACCEPT
        return answer

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and fields of a response."""
        status = int(self.line().split()[1])
        fields = {}
        while (line := self.line().rstrip()) != b"":
            name, _, value = line.decode().partition(":")
            fields[name.lower()] = value.strip()
        return status, fields

    def frame(self) -> tuple[int, bytes]:
        """The next frame: its first byte and its payload; (0, b"") at the end of the stream."""
        head = self.read(2)
        if len(head) < 2:
            return 0, b""
        assert head[1] < 128, "a server does not mask"
        n = head[1]
        if n > 125:
            n = int.from_bytes(self.read(2 if n == 126 else 8), "big")
        return head[0], self.read(n)

    def closed(self) -> tuple[int, str]:
        """Code and reason of the close frame that comes next, with the end of the stream."""
        first, payload = self.frame()
        assert first == 0x80 | CLOSE, (first, payload)
        assert self.frame() == (0, b"")
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()


def raw(server: fastloop.Server) -> RawSocket:
    """A client of the server's first address."""
    return RawSocket(("127.0.0.1", server.port))
