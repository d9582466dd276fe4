"""The same application on fastloop, in both ways, and on gunicorn: the answers must be the same."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from client import TIMEOUT, wait_for
from http_client import Response

import fastloop
from fastloop import WSGI

URL = "http://127.0.0.1:0"
HERE = Path(__file__).parent

OWN = {
    *("date", "server", "connection", "transfer-encoding", "content-length"),
    *("set-cookie", "allow"),
}
"""Fields of the servers, or made of sets; cookies are compared by name, since they hold times."""


class Browser:
    """A client that keeps its cookies, and takes HTTP as gunicorn writes it."""

    def __init__(self, port: int) -> None:
        self.client = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, target: str, body: bytes | None, **fields: str) -> Response:
        """The response to a request; its cookies are sent from then on."""
        named = {"host": "testserver", **fields}
        if self.cookies:
            named["cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        headers = {name.replace("_", "-"): value for name, value in named.items()}
        self.client.request(method, target, body, headers)
        got = self.client.getresponse()
        found = tuple((name.lower(), value) for name, value in got.getheaders())
        response = Response(got.status, got.reason, found, got.read())
        for line in response.all("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.coded_value
        return response


class Same:
    """Asks all servers, and insists on one answer."""

    def __init__(self, browsers: dict[str, Browser]) -> None:
        self.browsers = browsers

    def ask(self, method: str, target: str, body: bytes | None = None, **fields: str) -> Response:
        """The answer of all; ``fields`` as of HttpClient."""
        answers = {n: b.ask(method, target, body, **fields) for n, b in self.browsers.items()}
        seen = {name: seen_of(answer) for name, answer in answers.items()}
        assert seen["inline"] == seen["threads"] == seen["gunicorn"], (method, target)
        return answers["inline"]

    def get(self, target: str, **fields: str) -> Response:
        """The same with GET."""
        return self.ask("GET", target, None, **fields)


def seen_of(response: Response) -> Any:
    """What an application decides of its response."""
    fields = sorted(each for each in response.fields if each[0] not in OWN)
    cookies = sorted(line.partition("=")[0] for line in response.all("set-cookie"))
    return response.status, fields, cookies, response.body


@contextmanager
def gunicorn(name: str) -> Iterator[int]:
    """The port of a gunicorn that serves ``wsgi_apps.<name>:app``."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        environ = {**os.environ, "PYTHONPATH": str(HERE)}
        command = [sys.executable, "-m", "gunicorn", "-b", f"fd://{listening.fileno()}"]
        command += ["-k", "gthread", "--threads", "2"]
        process = subprocess.Popen(
            [*command, f"wsgi_apps.{name}:app"],
            pass_fds=[listening.fileno()],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield listening.getsockname()[1]
        finally:
            process.terminate()
            wait_for(lambda: process.poll() is not None, what="the end of gunicorn")


@contextmanager
def same(name: str, app: Any) -> Iterator[Same]:
    """The application on all servers."""
    inline = fastloop.Server(WSGI(app), URL)
    threads = fastloop.Server(WSGI(app), URL, blocking=2)
    with gunicorn(name) as port, inline, threads:
        ports = {"inline": inline.port, "threads": threads.port, "gunicorn": port}
        browsers = {name: Browser(port) for name, port in ports.items()}
        yield Same(browsers)
        for browser in browsers.values():
            browser.client.close()


def multipart(**parts: tuple[str, bytes]) -> tuple[bytes, str]:
    """A form with files, as name=(filename, content), and its content type."""
    lines = b""
    for name, (filename, content) in parts.items():
        lines += b"--limit\r\n"
        lines += f'Content-Disposition: form-data; name="{name}"'.encode()
        if filename:
            lines += f'; filename="{filename}"\r\nContent-Type: text/plain'.encode()
        lines += b"\r\n\r\n" + content + b"\r\n"
    return lines + b"--limit--\r\n", "multipart/form-data; boundary=limit"
