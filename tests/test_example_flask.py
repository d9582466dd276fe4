"""The example with Flask, as its users start it."""

from __future__ import annotations

import pytest
from http_client import HttpClient

import fastloop

pytest.importorskip("flask")


@pytest.mark.parametrize("blocking", [0, 2])
def test_a_guest_book(blocking: int) -> None:
    from fastloop.examples import flask_app

    flask_app.entries.clear()
    with (
        fastloop.Server(flask_app.served, "http://127.0.0.1:0", blocking=blocking) as server,
        HttpClient(server) as client,
    ):
        form = "application/x-www-form-urlencoded"
        for text in (b"text=one", b"text=%3Ctwo%3E"):
            assert client.ask("POST", "/", text, content_type=form).status == 302
        assert "<li>&lt;two&gt;</li><li>one</li>" in client.get("/").text
        assert client.get("/export").text == "<two>\none\n"
        assert client.ask("POST", "/", b"", content_type=form).status == 400
