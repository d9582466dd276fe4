"""What broke other servers, where it takes an application to show it; each under its own name.

What is wrong in requests alone is in the corpus of tests/http/.
"""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from client import wait_for
from http_client import HttpClient, Response

import fastloop
from conftest import Serve
from fastloop.http import Event, redirect

URL = "http://127.0.0.1:0"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

CONTROLS = [chr(n) for n in (*range(9), *range(10, 32), 127)]
ATTACK = "a\r\nX-Injected: 1\r\n\r\n<script>"


Answer = Callable[[Callable[[Any], Any]], Response]


@pytest.fixture
def answer(serve: Serve) -> Answer:
    """What a client gets of a handler; others must be served as before."""

    def ask(handler: Callable[[Any], Any]) -> Response:
        app = fastloop.Router()
        app.get("/")(handler)
        app.get("/alive")(lambda request: "alive")
        server = serve(app, URL, framing=None)
        with HttpClient(server) as client, HttpClient(server) as other:
            response = client.get("/")
            assert "x-injected" not in response
            assert b"script" not in response.body
            assert other.get("/alive").text == "alive"
        return response

    return ask


SPLITTING: dict[str, Callable[[Any], Any]] = {
    "value": lambda _: fastloop.Response("x", headers={"x-a": ATTACK}),
    "name": lambda _: fastloop.Response("x", headers={ATTACK: "x"}),
    "name with a space": lambda _: fastloop.Response("x", headers={"X Bad Name": "x"}),
    "name with a colon": lambda _: fastloop.Response("x", headers={"x-a: b\r\nx-injected": "x"}),
    "value with NUL": lambda _: fastloop.Response("x", headers={"x-a": "value\x00end"}),
    "bytes": lambda _: fastloop.Response("x", headers={"x-a": ATTACK.encode()}),
    "type": lambda _: fastloop.Response("x", content_type=ATTACK),
    "redirect": lambda _: redirect(ATTACK),
    "cookie's value": lambda _: with_cookie("a", ATTACK),
    "cookie's name": lambda _: with_cookie(ATTACK, "a"),
    "status": lambda _: fastloop.Response("x", status="200 OK\r\nX-Injected: 1"),  # type: ignore[arg-type]
    "error": lambda _: raise_(fastloop.HTTPError(404, headers={"x-a": ATTACK})),
    "stream": lambda _: fastloop.Response(iter(["x"]), headers={"x-a": ATTACK}),
    "event": lambda _: fastloop.sse(iter([Event("x", event=ATTACK)])),
}
"""CVE-2018-1000164 (gunicorn), CVE-2020-7695 (uvicorn), CVE-2026-34519 (aiohttp), CVE-2025-67724
(tornado), GHSA-f5p7-9fr5-8jmj (granian: such a header ended the process)."""


def with_cookie(name: str, value: str) -> fastloop.Response:
    """A response that sets a cookie."""
    response = fastloop.Response("x")
    response.set_cookie(name, value)
    return response


def raise_(error: Exception) -> None:
    """Raises it."""
    raise error


@pytest.mark.parametrize("place", SPLITTING)
def test_response_splitting(answer: Answer, place: str) -> None:
    """An application that passes on what a client sent cannot be made to say two responses."""
    assert answer(SPLITTING[place]).status == (302 if place == "redirect" else 500)


def test_every_control_character_is_refused(answer: Answer) -> None:
    """In a name, in a value, and in what becomes of one."""

    def handler(request: Any) -> str:
        for each in CONTROLS:
            for headers in ({"x-a": f"b{each}c"}, {f"x{each}a": "b"}):
                with pytest.raises(ValueError, match="header"):
                    fastloop.Response("x", headers=headers)
        return "all of them"

    assert answer(handler).text == "all of them"


def test_what_splitlines_would_split(serve: Serve) -> None:
    """CVE-2026-44546 (daphne): NEL, and LS in UTF-8, end no line of a head."""
    value = b"a\x85b: c\xe2\x80\xa8d: e"

    def handler(request: Any) -> Any:
        return [*request.headers.items()]

    with HttpClient(serve(handler, URL, framing=None)) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + value + b"\r\n\r\n")
        assert client.response().json() == [["host", "a"], ["x-a", value.decode("latin-1")]]


@pytest.mark.shared_state
def test_nothing_reaches_a_terminal_through_the_log(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """CVE-2020-7694 (uvicorn): what a client sent is logged as it was sent, not decoded."""

    def handler(request: Any) -> None:
        raise LookupError(request.path)

    with caplog.at_level(logging.DEBUG), HttpClient(serve(handler, URL, framing=None)) as client:
        assert client.get("/%1b[31mred%0d%0aERROR%20forged").status == 500
    lines = [record.getMessage() for record in caplog.records]
    assert any("%1b[31mred" in line for line in lines)
    assert not any(c in line for line in lines for c in "\x1b\r\n")


@pytest.mark.many_connections
def test_connections_that_are_reset_before_they_are_accepted(serve: Serve) -> None:
    """CVE-2024-49769 (waitress): their descriptors stayed, and the loop span."""
    server = serve(lambda request: "x", URL, framing=None)
    for _ in range(200):
        sock = socket.create_connection(("127.0.0.1", server.port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    with HttpClient(server) as client:
        assert client.get("/").text == "x"
    wait_for(lambda: server.stats().connections == 0)
    before = server.stats().turns
    with HttpClient(server) as client:
        assert client.get("/").text == "x"
    assert server.stats().turns - before < 20


@pytest.mark.many_connections
def test_requests_whose_answers_nobody_reads(serve: Serve) -> None:
    """CVE-2026-54273 (aiohttp): as many as came were kept. Here the client has to wait."""
    server = serve(lambda request: bytes(1000), URL, framing=None, max_requests=0)
    with HttpClient(server, receive_buffer=4096) as client:
        client.client.sock.settimeout(1)
        sent = 0
        try:
            while sent < 100_000_000:
                sent += client.client.sock.send(GET * 1000)
        except TimeoutError:
            client.client.sock.settimeout(20)
        assert sent < 100_000_000
        assert server.stats().unsent < 10_000_000
        whole = sent // len(GET)
        for _ in range(whole):
            assert client.response().status == 200


def test_a_page_that_shows_what_was_asked_for(serve: Serve, tmp_path: Path) -> None:
    """The server's own pages say nothing of a request but escaped."""
    app = fastloop.Router()
    app.static("/files", tmp_path, listing=True)
    (tmp_path / "<script>").mkdir()
    server = serve(app, URL, framing=None)
    with HttpClient(server) as client:
        for path in ("/<script>alert(1)</script>", "/files/<script>", "/files/<script>/"):
            assert b"<script>" not in client.get(path).body
    with HttpClient(server) as client:
        client.send(b"GET /<script> <script> HTTP/1.1\r\n\r\n")
        assert b"<script>" not in client.response().body
