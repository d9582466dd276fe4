"""Extensions of ASGI's responses: files by path and by descriptor, trailers, early hints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from http_client import HttpClient
from stage import Stage
from test_asgi import START, URL, App, Message, Receive, Send, body

LARGE = bytes(range(256)) * 4096
ONCE = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of a megabyte."""
    path = tmp_path / "file"
    path.write_bytes(LARGE)
    return path


def answer(stage: Stage, *messages: Message, head: bytes = ONCE) -> bytes:
    """All that is said to one request by an application that sends these."""

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    client = HttpClient(stage.serve(App(run), URL, framing=None))
    client.send(head)
    return client.client.rest()


def dechunked(said: bytes) -> tuple[bytes, bytes]:
    """The body in chunks, and what follows the last of them."""
    head, _, rest = said.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    whole = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            return whole, rest
        whole += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]


@pytest.mark.parametrize("length", [None, len(LARGE), 1000])
def test_pathsend(stage_async: Stage, file: Path, length: int | None) -> None:
    path = {"type": "http.response.pathsend", "path": str(file)}
    size = len(LARGE) if length is None else length
    start = {**START, "headers": [] if length is None else [(b"Content-Length", b"%d" % length)]}

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        assert "http.response.pathsend" in scope["extensions"]
        await send(start)
        await send(path)

    with HttpClient(stage_async.serve(App(run), URL, framing=None)) as client:
        for _ in range(2):
            response = client.get("/")
            assert response["content-length"] == str(size)
            assert response.body == LARGE[:size]
        assert client.ask("HEAD", "/")["content-length"] == str(size)


def test_pathsend_of_less_than_was_announced_ends_the_connection(
    stage_async: Stage, file: Path
) -> None:
    start = {**START, "headers": [(b"content-length", b"%d" % (len(LARGE) + 1))]}
    path = {"type": "http.response.pathsend", "path": str(file)}
    head = ONCE.replace(b"connection: close\r\n", b"")
    said = answer(stage_async, start, path, head=head)
    assert said.endswith(LARGE)


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_pathsend_of_no_file_is_500(
    stage_async: Stage, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = {"type": "http.response.pathsend", "path": str(tmp_path / name)}
    assert answer(stage_async, START, path).startswith(b"HTTP/1.1 500 ")
    assert "the ASGI application failed" in caplog.text


def test_zerocopysend(stage_async: Stage, file: Path) -> None:
    async def run(scope: Message, receive: Receive, send: Send) -> None:
        kind = "http.response.zerocopysend"
        assert kind in scope["extensions"]
        await send(START)
        with file.open("rb") as opened:
            fd = opened.fileno()
            await send({"type": kind, "file": fd, "count": 10, "more_body": True})
            await send(body(b"|between|", more=True))
            await send({"type": kind, "file": opened, "count": 300_000, "more_body": True})
            await send({"type": kind, "file": fd, "offset": 5, "count": 3, "more_body": True})
            await send({"type": kind, "file": fd, "offset": 2**40, "more_body": True})
            assert os.lseek(fd, 0, os.SEEK_CUR) == 300_010
        with file.open("rb") as opened:
            await send({"type": kind, "file": opened.fileno()})

    with HttpClient(stage_async.serve(App(run), URL, framing=None)) as client:
        for _ in range(2):
            assert client.get("/").body == (
                LARGE[:10] + b"|between|" + LARGE[10:300_010] + LARGE[5:8] + LARGE
            )
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.client.rest().endswith(b"|between|" + LARGE[10:300_010] + LARGE[5:8] + LARGE)


def test_zerocopysend_takes_files_only(
    stage_async: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    reading, writing = os.pipe()
    try:
        message = {"type": "http.response.zerocopysend", "file": reading, "offset": 0}
        assert answer(stage_async, START, message).startswith(b"HTTP/1.1 500 ")
    finally:
        os.close(reading)
        os.close(writing)
    assert "regular files" in caplog.text


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_part_that_cannot_be_had_leaves_the_response_incomplete(
    stage_async: Stage, file: Path, version: bytes
) -> None:
    async def run(scope: Message, receive: Receive, send: Send) -> None:
        kind = "http.response.zerocopysend"
        await send(START)
        await send(body(b"piece", more=True))
        with file.open("rb") as opened:
            await send({"type": kind, "file": opened.fileno(), "offset": 0, "count": -3})

    client = HttpClient(stage_async.serve(App(run), URL, framing=None))
    client.send(b"GET / HTTP/%s\r\nhost: a\r\n\r\n" % version)
    if version == b"1.1":
        assert client.client.rest().endswith(b"5\r\npiece\r\n")
    else:
        with pytest.raises(ConnectionResetError):
            client.client.rest()


@pytest.mark.parametrize("pieces", [1, 2])
def test_trailers(stage_async: Stage, pieces: int) -> None:
    kind = "http.response.trailers"
    said = answer(
        stage_async,
        {**START, "trailers": True},
        *[body(b"piece", more=n > 1) for n in range(pieces, 0, -1)],
        {"type": kind, "headers": [(b"x-a", b"b")], "more_trailers": True},
        {"type": kind, "headers": [[b"x-c", b"d"], (b"content-length", b"7")]},
    )
    assert dechunked(said) == (b"piece" * pieces, b"x-a: b\r\nx-c: d\r\n\r\n")


def test_trailers_where_there_is_no_place_for_them(stage_async: Stage) -> None:
    said = answer(
        stage_async,
        {**START, "headers": [(b"content-length", b"2")], "trailers": True},
        body(b"ok"),
        {"type": "http.response.trailers", "headers": [(b"x-a", b"b")]},
    )
    assert said.endswith(b"\r\n\r\nok")


def test_trailers_are_checked_and_must_come(
    stage_async: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    start: dict[str, Any] = {**START, "trailers": True}
    bad = {"type": "http.response.trailers", "headers": [(b"x-a", b"b\r\nc: d")]}
    assert b"c: d" not in answer(stage_async, start, body(b"ok"), bad)
    assert answer(stage_async, start, body(b"ok")).endswith(b"2\r\nok\r\n")
    assert "without a complete response" in caplog.text


def test_early_hints(stage_async: Stage) -> None:
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]}
    said = answer(stage_async, hint, START, body(b"ok"))
    assert said.startswith(
        b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 "
    )
