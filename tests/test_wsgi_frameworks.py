"""Frameworks of WSGI on fastloop answer as they do on gunicorn."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest

pytest.importorskip("gunicorn")

from wsgi_compare import Same, multipart, same


@pytest.fixture(scope="module", params=["flask", "django", "bottle", "falcon"])
def framework(request: pytest.FixtureRequest) -> str:
    """The name of a framework that is installed."""
    name: str = request.param
    pytest.importorskip(name)
    return name


@pytest.fixture(scope="module")
def servers(framework: str) -> Iterator[Same]:
    """The application that is written in it, on all servers."""
    name = f"{framework}_app"
    with same(name, import_module(f"wsgi_apps.{name}").app) as found:
        yield found


def test_plain_requests(servers: Same) -> None:
    assert servers.get("/").text == "Hello, World!"
    assert servers.ask("HEAD", "/").status == 200
    assert servers.get("/missing").status == 404
    assert servers.ask("PATCH", "/").status in (404, 405)


def test_what_a_request_says(servers: Same) -> None:
    for target in ("/echo/a?b=c&b=d&e=", "/echo/%C3%A9%20x", "/echo/a%2Fb/c", "/echo/a?%C3%A9=%FF"):
        assert servers.get(target, user_agent="tests", x_custom="yes").status == 200
    form = "application/x-www-form-urlencoded"
    assert servers.ask("POST", "/echo/x", b"a=b&c=%20", content_type=form).status == 200
    assert servers.ask("PUT", "/echo/x", b"plain text", content_type="text/plain").status == 200
    assert servers.ask("POST", "/echo/x", b"").status == 200


def test_sessions(servers: Same) -> None:
    for n in (1, 2, 3):
        assert servers.get("/count").json()["n"] == n


def test_uploads(servers: Same) -> None:
    body, kind = multipart(a=("a.txt", b"x" * 300_000), b=("", b"plain"), c=("c", b""))
    found = servers.ask("POST", "/upload", body, content_type=kind).json()
    assert found["files"]["a"] == ["a.txt", 300_000]
    assert found["form"]["b"] == "plain"


def test_responses_in_pieces(servers: Same) -> None:
    assert servers.get("/stream").text.endswith("49\n")
    assert servers.ask("HEAD", "/stream").status == 200


def test_large_responses(servers: Same) -> None:
    response = servers.get("/big")
    assert (len(response.body), len(response["x-big"])) == (200_000, 5000)


def test_files(servers: Same) -> None:
    assert b"def " in servers.get("/file").body
    assert servers.ask("HEAD", "/file").status == 200


def test_other_statuses(servers: Same) -> None:
    assert servers.get("/away").status in (302, 303)
    assert servers.get("/none").status == 204
    assert servers.get("/fail").status == 500
    assert servers.get("/").text == "Hello, World!"


def test_ranges_of_files(servers: Same, framework: str) -> None:
    if framework != "flask":
        pytest.skip("the framework knows none")
    response = servers.get("/file", range="bytes=3-10")
    assert (response.status, len(response.body)) == (206, 8)
    assert servers.get("/file", if_none_match='"fixed"').status == 304
