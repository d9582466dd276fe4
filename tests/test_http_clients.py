"""Clients that others wrote: curl, nc, ab, wrk, h2load, httpx, http.client, slowhttptest.

One that is not installed is skipped; .ci/run installs them all. Only what they say at the end
counts, not how fast anything was.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from client import wait_for
from http_client import HttpClient

import fastloop
from conftest import Serve

ENVIRON = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
"""Not for them: a sanitizer that watches the server."""

SECONDS = 60
MIB = 1024 * 1024


def tell(request: Any) -> Any:
    """An application that tells what it was asked; ``/big`` answers with that many bytes."""
    if request.path == "/big":
        return bytes(int(request.query["n"]))
    if request.path == "/stream":
        return (b"piece %d\n" % n for n in range(1000))
    return {
        "method": request.method,
        "path": request.path,
        "query": request.query_string,
        "version": request.http_version,
        "fields": dict(request.headers.items()),
        "size": len(request.body),
        "digest": hashlib.sha256(request.body).hexdigest(),
    }


@pytest.fixture
def server(serve: Serve) -> fastloop.Server:
    """A server on this backend."""
    return serve(tell, "http://127.0.0.1:0", framing=None, linger=5)


@pytest.fixture
def url(server: fastloop.Server) -> str:
    """Its address."""
    return f"http://127.0.0.1:{server.port}"


def run(
    program: str, *arguments: object, data: bytes | None = None, code: int | None = 0
) -> subprocess.CompletedProcess[bytes]:
    """What a program printed; it has to end with this code (None: with any)."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(
        [program, *map(str, arguments)],
        input=data or b"",
        env=ENVIRON,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert code in (None, done.returncode), done.stdout + done.stderr
    return done


def curl(*arguments: object, data: bytes | None = None) -> bytes:
    """What curl prints."""
    return run("curl", "-sS", "--max-time", SECONDS, *arguments, data=data).stdout


def told(text: bytes) -> dict[str, Any]:
    """What the application told."""
    found: dict[str, Any] = json.loads(text)
    return found


class TestCurl:
    @pytest.mark.parametrize(
        "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"]
    )
    def test_methods(self, url: str, method: str) -> None:
        answer = told(curl("-X", method, f"{url}/a%20b?c=d"))
        assert (answer["method"], answer["path"], answer["query"]) == (method, "/a b", "c=d")
        assert answer["version"] == "1.1"

    def test_head(self, url: str) -> None:
        text = curl("-I", f"{url}/big?n=1000000")
        assert text.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"content-length: 1000000\r\n" in text.lower()

    def test_post(self, url: str) -> None:
        answer = told(curl("-d", "a=b&c=d", url))
        assert (answer["method"], answer["size"]) == ("POST", 7)
        assert answer["fields"]["content-type"] == "application/x-www-form-urlencoded"

    @pytest.mark.parametrize("size", [0, 1, 70_000, 3 * MIB])
    def test_chunked_upload(self, url: str, size: int) -> None:
        data = bytes(range(256)) * (size // 256 + 1)
        data = data[:size]
        answer = told(curl("-T", "-", "-H", "Transfer-Encoding: chunked", url, data=data))
        assert answer["fields"]["transfer-encoding"] == "chunked"
        assert answer["digest"] == hashlib.sha256(data).hexdigest()

    def test_it_is_told_to_go_on(self, url: str) -> None:
        """It asks before it sends more than a megabyte."""
        data = bytes(range(256)) * 8192
        done = run(
            "curl",
            "-sSv",
            "--expect100-timeout",
            SECONDS,
            "-H",
            "Expect: 100-continue",
            "--data-binary",
            "@-",
            url,
            data=data,
        )
        assert b"< HTTP/1.1 100 Continue" in done.stderr
        assert told(done.stdout)["digest"] == hashlib.sha256(data).hexdigest()

    def test_a_body_that_is_too_large(self, server: fastloop.Server, url: str) -> None:
        """It sees the whole answer, whether or not it asks first."""
        for expect in ("Expect: 100-continue", "Expect:"):
            text = curl("-i", "-H", expect, "--data-binary", "@-", url, data=bytes(17 * MIB))
            assert text.startswith(b"HTTP/1.1 413 ")
            assert b"connection: close\r\n" in text.lower()

    def test_it_keeps_the_connection(self, server: fastloop.Server, url: str) -> None:
        text = curl(
            "-w",
            "%{num_connects}\n",
            *[f"{url}/{n}" for n in range(5)],
            "-o",
            "/dev/null",
            *["-o", "/dev/null"] * 4,
        )
        assert text.split() == [b"1", b"0", b"0", b"0", b"0"]
        assert server.stats().accepted == 1

    def test_it_is_told_that_the_connection_ends(self, server: fastloop.Server, url: str) -> None:
        text = curl(
            "-w",
            "%{num_connects}\n",
            "-H",
            "Connection: close",
            "-o",
            "/dev/null",
            "-o",
            "/dev/null",
            url,
            url,
        )
        assert text.split() == [b"1", b"1"]

    def test_http_1_0(self, url: str) -> None:
        text = curl("-i", "--http1.0", url)
        head, _, body = text.partition(b"\r\n\r\n")
        assert told(body)["version"] == "1.0"
        assert b"transfer-encoding" not in head.lower()

    @pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
    def test_a_stream(self, url: str, version: str) -> None:
        text = curl(version, f"{url}/stream")
        assert text == b"".join(b"piece %d\n" % n for n in range(1000))

    def test_a_large_response(self, url: str) -> None:
        assert len(curl(f"{url}/big?n={30 * MIB}")) == 30 * MIB

    def test_http_2_is_not_taken(self, url: str) -> None:
        """It offers h2c, and goes on in HTTP/1.1."""
        text = curl("-i", "--http2", url)
        assert text.startswith(b"HTTP/1.1 200 OK\r\n")


class TestCurlAndFiles:
    """What the README shows, and what else curl can ask of files."""

    CONTENT = bytes(range(256)) * 4000

    @pytest.fixture
    def url(self, serve: Serve, tmp_path: Path) -> str:
        """A server of one large file and a small one."""
        (tmp_path / "large.bin").write_bytes(self.CONTENT)
        (tmp_path / "page.html").write_text("<h1>page</h1>")
        (tmp_path / "page.html.gz").write_bytes(gzip.compress(b"<h1>page</h1>"))
        app = fastloop.Router()
        app.static("/", tmp_path)
        return f"http://127.0.0.1:{serve(app, 'http://127.0.0.1:0', framing=None).port}"

    def test_ranges(self, url: str) -> None:
        assert curl("-r", "0-99", f"{url}/large.bin") == self.CONTENT[:100]
        assert curl("-r", "-100", f"{url}/large.bin") == self.CONTENT[-100:]
        assert b"multipart/byteranges" in curl("-i", "-r", "0-9,50-59", f"{url}/large.bin")
        assert b" 416 " in curl("-i", "-r", "2000000-", f"{url}/large.bin").splitlines()[0]

    def test_going_on(self, url: str, tmp_path: Path) -> None:
        """A download that broke off is continued where it did."""
        part = tmp_path / "part"
        part.write_bytes(self.CONTENT[:300_000])
        curl("-C", "-", "-o", part, f"{url}/large.bin")
        assert part.read_bytes() == self.CONTENT

    def test_conditions(self, url: str, tmp_path: Path) -> None:
        copy, etag = tmp_path / "copy", tmp_path / "etag"
        curl("--etag-save", etag, "-o", copy, "-R", f"{url}/large.bin")
        assert copy.read_bytes() == self.CONTENT
        status = ("-w", "%{http_code}", "-o", "/dev/null", f"{url}/large.bin")
        assert curl("--etag-compare", etag, *status) == b"304"
        assert curl("-z", copy, *status) == b"304"
        assert curl("-H", 'If-None-Match: "other"', *status) == b"200"

    def test_compressed(self, url: str) -> None:
        assert curl("--compressed", f"{url}/page.html") == b"<h1>page</h1>"
        assert b"content-encoding: gzip" in curl("-I", "--compressed", f"{url}/page.html").lower()

    @pytest.mark.parametrize(
        "path", ["/../../etc/passwd", "/%2e%2e/etc/passwd", "/..%2fetc/passwd"]
    )
    def test_no_way_out(self, url: str, path: str) -> None:
        text = curl("-i", "--path-as-is", url + path)
        assert text.split(b" ", 2)[1] in (b"400", b"404")
        assert b"root:" not in text


def test_curl_by_a_unix_socket(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    serve(tell, f"http+unix:{path}", framing=None)
    answer = told(curl("--unix-socket", path, "-d", "body", "http://localhost/a"))
    assert (answer["path"], answer["size"]) == ("/a", 4)


def test_pipelining_by_nc(server: fastloop.Server) -> None:
    requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(50))
    text = run("nc", "-N", "127.0.0.1", server.port, data=requests).stdout
    assert text.count(b"HTTP/1.1 200 OK\r\n") == 50
    assert re.findall(rb'"path": ?"/(\d+)"', text) == [b"%d" % n for n in range(50)]


@pytest.mark.parametrize("options", [[], ["-k"]])
@pytest.mark.many_connections
def test_ab(url: str, options: list[str]) -> None:
    """It speaks HTTP/1.0, with and without keep-alive."""
    text = run("ab", "-q", "-n", 2000, "-c", 20, *options, f"{url}/").stdout.decode()
    assert re.search(r"Complete requests: +2000\n", text)
    assert "Non-2xx" not in text
    assert re.search(r"Write errors: +[1-9]", text) is None
    assert re.search(r"Exceptions: [1-9]|Connect: [1-9]|Receive: [1-9]", text) is None
    if options:
        assert re.search(r"Keep-Alive requests: +2000\n", text)


def test_ab_post(url: str, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(bytes(10_000))
    arguments = ("-q", "-k", "-n", 500, "-c", 10, "-p", body, "-T", "text/plain", f"{url}/")
    text = run("ab", *arguments).stdout.decode()
    assert re.search(r"Complete requests: +500\n", text)
    assert "Non-2xx" not in text


@pytest.mark.many_connections
def test_wrk(server: fastloop.Server, url: str) -> None:
    text = run("wrk", "-t", 1, "-c", 20, "-d", "1s", "--timeout", "30s", f"{url}/").stdout.decode()
    requests = re.search(r"(\d+) requests in", text)
    assert requests
    assert int(requests[1]) > 0
    assert "Socket errors" not in text
    assert "Non-2xx" not in text


@pytest.mark.parametrize("path", ["/", "/stream", "/big?n=100000"])
@pytest.mark.many_connections
def test_h2load(url: str, path: str) -> None:
    text = run("h2load", "--h1", "-n", 1000, "-c", 20, "-m", 4, url + path).stdout.decode()
    assert "1000 succeeded, 0 failed, 0 errored, 0 timeout" in text
    assert "1000 2xx, 0 3xx, 0 4xx, 0 5xx" in text


def test_http_client(server: fastloop.Server) -> None:
    """One connection, bodies in every form that it has."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
    try:
        bodies: list[Any] = [None, b"", b"bytes", "text", iter([b"chunks ", b"", b"of", b"it"])]
        for body in bodies:
            wanted = body if isinstance(body, bytes) else {None: b"", "text": b"text"}.get(body)
            connection.request("PUT", "/x", body, encode_chunked=True)
            answer = told(connection.getresponse().read())
            digest = hashlib.sha256(b"chunks ofit" if wanted is None else wanted).hexdigest()
            assert answer["digest"] == digest
        connection.request("HEAD", "/")
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"")
        connection.request("GET", "/stream")
        assert connection.getresponse().read().count(b"piece") == 1000
    finally:
        connection.close()
    assert server.stats().accepted == 1


class TestHttpx:
    def test_a_session(self, server: fastloop.Server, url: str) -> None:
        httpx = pytest.importorskip("httpx")
        with httpx.Client(base_url=url, timeout=SECONDS, trust_env=False) as client:
            for n in range(20):
                answer = client.post(f"/{n}", content=bytes(n), params={"q": "\u00e9 &"}).json()
                assert (answer["path"], answer["size"]) == (f"/{n}", n)
                assert answer["query"] in ("q=%C3%A9%20%26", "q=%C3%A9+%26")
            assert client.head("/").status_code == 200
            with client.stream("GET", "/stream") as response:
                assert sum(len(piece) for piece in response.iter_bytes()) > 8000
            assert client.post("/", content=iter([b"a", b"b"])).json()["size"] == 2
        assert server.stats().accepted == 1

    @pytest.mark.many_connections
    def test_many_at_once(self, url: str) -> None:
        httpx = pytest.importorskip("httpx")

        async def ask_all() -> list[int]:
            async with httpx.AsyncClient(base_url=url, timeout=SECONDS, trust_env=False) as client:
                answers = await asyncio.gather(*[client.get(f"/{n}") for n in range(200)])
                return [int(answer.json()["path"][1:]) for answer in answers]

        assert asyncio.run(ask_all()) == list(range(200))


class TestSlowHttpTest:
    """Attacks that hold connections: the server ends them, and serves others meanwhile."""

    @pytest.mark.parametrize(
        "kind",
        [
            ["-H", "-i", 1],
            ["-B", "-i", 1, "-s", 8192],
            ["-X", "-w", 100, "-y", 200, "-z", 10, "-n", 5, "-k", 1],
        ],
        ids=["slow headers", "slow body", "slow read"],
    )
    def test_it_is_left_without_connections(
        self, serve: Serve, kind: list[object], tmp_path: Path
    ) -> None:
        program = shutil.which("slowhttptest")
        if program is None:
            pytest.skip("slowhttptest is not installed")
        options = {"header_timeout": 1, "body_timeout": 1, "write_timeout": 1, "keep_alive": 1}
        server = serve(tell, "http://127.0.0.1:0", framing=None, linger=0.2, **options)
        target = f"http://127.0.0.1:{server.port}/big?n={8 * MIB}"
        attack = subprocess.Popen(
            [program, *map(str, [*kind, "-c", 30, "-r", 30, "-l", 60, "-p", 5, "-u", target])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=tmp_path,
            env=ENVIRON,
            text=True,
        )
        try:
            wait_for(lambda: server.stats().accepted >= 30, what="the attack")
            wait_for(lambda: is_served_alone(server), what="the end of its connections")
            if "-X" not in kind:  # that one looks at its connections too seldom to notice
                assert "No open connections left" in attack.communicate(timeout=SECONDS)[0]
        finally:
            attack.kill()
            attack.communicate()


def is_served_alone(server: fastloop.Server) -> bool:
    """Whether a new client is the only one there is; it is served in any case."""
    with HttpClient(server) as client:
        assert client.get("/").status == 200
        time.sleep(0.05)
        return server.stats().connections == 1
