"""Every framing over a socket: whole, in pieces, big, in bulk, and over its maximum."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from client import wait_for

from conftest import Connect, Serve
from fastloop import framing

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Kind:
    """A framing, and how a message looks in it."""

    framing: Any
    pack: Callable[[bytes], bytes]
    messages: tuple[bytes, ...] = (b"", b"a", b"bc\x00", b"d" * 200)
    big: int = 10 * MIB


def prefixed(width: int, order: Any) -> Callable[[bytes], bytes]:
    """A length of so many bytes in front."""
    return lambda message: len(message).to_bytes(width, order) + message


def varint(message: bytes) -> bytes:
    """Seven bits a byte, the lowest first."""
    n, head = len(message), b""
    while n > 127:
        head, n = head + bytes([n & 127 | 128]), n >> 7
    return head + bytes([n]) + message


def bulk(message: bytes) -> bytes:
    """A bulk string of RESP."""
    return b"$%d\r\n%s\r\n" % (len(message), message)


KINDS = {
    "line": Kind(framing.Line(max=10 * MIB), lambda message: message + b"\n"),
    "crlf": Kind(framing.Line(b"\r\n", max=10 * MIB), lambda message: message + b"\r\n"),
    "u8": Kind("u8", prefixed(1, "big"), big=255),
    "u16be": Kind("u16be", prefixed(2, "big"), big=65535),
    "u16le": Kind("u16le", prefixed(2, "little"), big=65535),
    "u32be": Kind("u32be", prefixed(4, "big")),
    "u32le": Kind("u32le", prefixed(4, "little")),
    "varint": Kind("varint", varint),
    "resp": Kind("resp", lambda message: b"*1\r\n" + bulk(message)),
}


def reply_of(name: str, message: bytes) -> bytes:
    """The bytes in which an echo of this message comes back."""
    return bulk(message) if name == "resp" else KINDS[name].pack(message)


def echo(message: Any) -> bytes:
    """The message itself; of a RESP command, the name."""
    word: bytes = message[0] if isinstance(message, tuple) else message
    return word


@pytest.fixture(params=KINDS)
def name(request: pytest.FixtureRequest) -> str:
    """Of a framing."""
    result: str = request.param
    return result


def test_round_trips(serve: Serve, connect: Connect, name: str) -> None:
    client = connect(serve(echo, framing=KINDS[name].framing))
    for message in KINDS[name].messages:
        client.send(KINDS[name].pack(message))
        expected = reply_of(name, message)
        assert client.read(len(expected)) == expected


def test_many_pipelined(serve: Serve, connect: Connect, name: str) -> None:
    client = connect(serve(echo, framing=KINDS[name].framing))
    messages = [b"%d" % n for n in range(3000)]
    data = b"".join(map(KINDS[name].pack, messages))
    sender = threading.Thread(target=client.send, args=(data,))
    sender.start()
    expected = b"".join(reply_of(name, message) for message in messages)
    assert client.read(len(expected)) == expected
    sender.join()


def test_byte_by_byte(serve: Serve, connect: Connect, name: str) -> None:
    client = connect(serve(echo, framing=KINDS[name].framing))
    messages = KINDS[name].messages[:3]
    for byte in b"".join(map(KINDS[name].pack, messages)):
        client.send(bytes([byte]))
    expected = b"".join(reply_of(name, message) for message in messages)
    assert client.read(len(expected)) == expected


@pytest.mark.many_connections
def test_every_split(serve: Serve, connect: Connect, name: str) -> None:
    """A short conversation, cut in three at any two places; the server sees each cut."""
    server = serve(echo, framing=KINDS[name].framing)
    messages = [b"x", b"", b"yz"]
    data = b"".join(map(KINDS[name].pack, messages))
    expected = b"".join(reply_of(name, message) for message in messages)
    step = 1 if len(data) < 16 else 3
    for first, second in itertools.combinations(range(0, len(data) + 1, step), 2):
        with connect(server) as client:
            for part in (data[:first], data[first:second], data[second:]):
                seen = server.stats().bytes_in + len(part)
                client.send(part)
                wait_for(lambda seen: server.stats().bytes_in >= seen, seen)
            assert client.read(len(expected)) == expected


def test_big_messages(serve: Serve, connect: Connect, name: str) -> None:
    """Both ways, and what is behind one is not lost."""
    client = connect(serve(echo, framing=KINDS[name].framing))
    message = bytes(range(48, 112)) * (KINDS[name].big // 64 + 1)
    message = message[: KINDS[name].big - (1 if name == "crlf" else 0)]
    data = KINDS[name].pack(message) + KINDS[name].pack(b"small")
    sender = threading.Thread(target=client.send, args=(data,))
    sender.start()
    expected = reply_of(name, message) + reply_of(name, b"small")
    assert client.read(len(expected)) == expected
    sender.join()


@pytest.mark.shared_state
def test_raw(serve: Serve, connect: Connect) -> None:
    """Bytes as they come, in pieces of at most the maximum."""
    sizes: list[int] = []

    def handler(data: bytes) -> bytes:
        sizes.append(len(data))
        return data

    client = connect(serve(handler, framing=framing.Raw(max=1000)))
    data = bytes(range(256)) * 8 * KIB
    sender = threading.Thread(target=client.send, args=(data,))
    sender.start()
    assert client.read(len(data)) == data
    sender.join()
    assert sum(sizes) == len(data)
    assert max(sizes) <= 1000


@pytest.mark.parametrize(
    ("reply", "sent"),
    [(b"b", b"\x01b"), ("t", b"\x01t"), (7, b"\x017"), ([b"a", 1], b"\x01a\x011")],
)
def test_replies_are_framed(serve: Serve, connect: Connect, reply: object, sent: bytes) -> None:
    client = connect(serve(lambda message: reply, framing="u8"))
    client.send(b"\x00")
    client.finish()
    assert client.rest() == sent


def test_reply_over_what_the_prefix_can_say(serve: Serve, connect: Connect) -> None:
    client = connect(serve(lambda message: bytes(256), framing="u8"))
    client.send(b"\x00")
    assert client.rest() == b""


# -- over the maximum --


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (framing.Line(max=10), b"ok\n" + b"x" * 11 + b"\n"),
        (framing.Line(b"\r\n", max=10), b"ok\r\n" + b"x" * 30),
        (framing.Length("u16be", max=10), b"\x00\x02ok\x00\x0b"),
        (framing.Length("u32le", max=10), b"\x02\x00\x00\x00ok\xff\xff\xff\xff"),
        (framing.Length("varint", max=10), b"\x02ok\xff\xff\xff\xff\x0f"),
    ],
)
def test_over_the_maximum_closes(serve: Serve, connect: Connect, kind: Any, data: bytes) -> None:
    """After the reply to what was good."""
    client = connect(serve(lambda message: message.upper(), framing=kind))
    client.send(data)
    assert client.rest().strip(b"\r\n\x00\x02") == b"OK"


def test_a_line_without_an_end(serve: Serve, connect: Connect) -> None:
    """It is cut off at the maximum: memory does not grow with what the peer goes on to send."""
    server = serve(echo, framing=framing.Line(max=64 * KIB), linger=5.0)
    client = connect(server)
    chunk = b"x" * MIB
    for _ in range(10):
        client.send(chunk)
    assert client.rest() == b""
    assert server.stats().protocol_errors == 1
    assert server.stats().messages == 0


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"*-5\r\n", b"invalid multibulk length"),
        (b"*abc\r\n", b"invalid multibulk length"),
        (b"*99999999999\r\n", b"invalid multibulk length"),
        (b"*1\r\n$-5\r\n", b"invalid bulk length"),
        (b"*1\r\n$abc\r\n", b"invalid bulk length"),
        (b"*1\r\n:1\r\n", b"expected '$', got ':'"),
        (b"*1\r\n$99999999999\r\n", b"invalid bulk length"),
        (b'"unbalanced\r\n', b"unbalanced quotes in request"),
    ],
)
def test_resp_errors(serve: Serve, connect: Connect, data: bytes, text: bytes) -> None:
    """Redis' words for it, then the close; the commands before it are answered first, in order."""
    client = connect(serve(echo, framing="resp"))
    client.send(b"first\r\nsecond\r\n" + data + b"third\r\n")
    answer = client.line() + client.line() + client.line() + client.line()
    assert answer == b"$5\r\nfirst\r\n$6\r\nsecond\r\n"
    assert client.rest() == b"-ERR Protocol error: " + text + b"\r\n"
