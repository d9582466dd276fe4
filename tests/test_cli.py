"""The command line, as a process of its own: what it says, serves, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from fastloop.config import Config

SECONDS = 30
"""After which a command that does not end has failed; none takes nearly so long."""

Start = Callable[..., "Running"]

APP = """
import sys

def shout(line):
    return line.upper()

def factory():
    return shout

def crash(line):
    raise RuntimeError("no")

class Room:
    def message(self, connection, line):
        return b"room " + line

number = 7
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands run in a directory with an app.py, away from the checkout."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(APP)
    for name in list(os.environ):
        if name.startswith("FASTLOOP_"):
            monkeypatch.delenv(name)
    return tmp_path


def run(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs a command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "fastloop", *args],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


class Running:
    """A server that was started on the command line."""

    def __init__(self, *args: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fastloop", *args],
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self, text: str) -> re.Match[str]:
        """Waits for a line of its output that matches."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(text, line):
                return found
        raise AssertionError(f"it ended without saying {text!r}: {self.finished()}")

    def ask(self, port: int, data: bytes) -> bytes:
        """What it answers on a new connection that sends this and closes its side."""
        with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))

    def finished(self) -> tuple[int, str]:
        """Its exit code and what it said on stderr, once it ended."""
        _, err = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, err

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Sends a signal and waits for the end."""
        self.process.send_signal(number)
        return self.finished()


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers; those that a test leaves running are killed."""
    with contextlib.ExitStack() as stack:

        def start(*args: str, **env: str) -> Running:
            running = Running(*args, **env)
            stack.callback(running.process.communicate)
            stack.callback(running.process.kill)
            return running

        yield start


ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"asgi"})

async def failing(scope, receive, send):
    await send({"type": "lifespan.startup.failed", "message": "no database"})

def make():
    return app
"""


class TestAsgi:
    BIND = ("--bind", "http://127.0.0.1:0")

    @pytest.fixture(autouse=True)
    def module(self, directory: Path) -> None:
        (directory / "below").mkdir()
        (directory / "below" / "web.py").write_text(ASGI)

    def ask(self, server: Running) -> bytes:
        port = server.said(r"listening on http://127\.0\.0\.1:(\d+)$")[1]
        with urlopen(f"http://127.0.0.1:{port}/", timeout=SECONDS) as response:
            body: bytes = response.read()
            return body

    def test_an_application_is_recognised(self, start: Start) -> None:
        server = start("serve", "web:app", "--app-dir", "below", *self.BIND)
        assert self.ask(server) == b"asgi"
        assert server.end(signal.SIGTERM) == (0, "")

    def test_factory(self, start: Start) -> None:
        server = start("serve", "web:make", "--factory", "--app-dir", "below", *self.BIND)
        assert self.ask(server) == b"asgi"

    def test_a_startup_that_fails_ends_with_3(self) -> None:
        done = run("serve", "web:failing", "--app-dir", "below", *self.BIND)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr == "fastloop: the application did not start: no database\n"

    def test_a_directory_that_does_not_exist(self) -> None:
        done = run("serve", "web:app", "--app-dir", "nowhere", *self.BIND)
        assert done.returncode == 2
        assert "no such directory" in done.stderr


LISTENING = r"listening on (?:tcp|resp)://127\.0\.0\.1:(\d+)$"
LINE = ("--bind", "tcp://127.0.0.1:0", "--framing", "line")


class TestServe:
    @pytest.mark.parametrize(
        ("target", "answer"),
        [
            ("app:shout", b"HI\n"),
            ("app:factory()", b"HI\n"),
            ("app.py:shout", b"HI\n"),
            ("app:Room", b"room hi\n"),
            ("app:Room()", b"room hi\n"),
            ("fastloop.examples.echo:handle", b"hi\n"),
        ],
    )
    def test_targets(self, start: Start, target: str, answer: bytes) -> None:
        server = start("serve", target, *LINE)
        assert server.ask(int(server.said(LISTENING)[1]), b"hi\n") == answer
        assert server.end() == (0, "")

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("threads", ["1", "2"])
    def test_signals_end_it_quietly(self, start: Start, number: int, threads: str) -> None:
        server = start("serve", "app:shout", *LINE, "--threads", threads)
        server.said(LISTENING)
        assert server.end(number) == (0, "")

    def test_several_addresses_and_options(self, start: Start) -> None:
        server = start(
            *("serve", "app:shout", "--framing", "line", "--delimiter", r"\0", "--threads", "2"),
            *("--bind", "tcp://127.0.0.1:0", "--bind", "tcp+unix:app.sock", "--idle-timeout", "5m"),
        )
        port = int(server.said(LISTENING)[1])
        server.said(r"listening on tcp\+unix:app\.sock$")
        assert server.ask(port, b"a\nb\0") == b"A\nB\0"
        assert server.end() == (0, "")
        assert not os.path.exists("app.sock")

    def test_resp_needs_no_framing(self, start: Start) -> None:
        server = start("serve", "fastloop.examples.kv:handle", "--bind", "resp://127.0.0.1:0")
        port = int(server.said(LISTENING)[1])
        assert server.ask(port, b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n") == b"$2\r\nhi\r\n"
        assert server.end() == (0, "")

    def test_the_environment_and_a_file_are_read(self, start: Start, directory: Path) -> None:
        (directory / "server.toml").write_text("max_message = 3\n")
        server = start(
            *("serve", "app:shout", "--config", "server.toml"),
            FASTLOOP_BIND="tcp://127.0.0.1:0",
            FASTLOOP_FRAMING="u8",
        )
        port = int(server.said(LISTENING)[1])
        assert server.ask(port, b"\3abc") == b"\3ABC"
        assert server.ask(port, b"\4abcd") == b""

    def test_a_handler_that_fails_is_reported(self, start: Start) -> None:
        server = start("serve", "app:crash", *LINE)
        assert server.ask(int(server.said(LISTENING)[1]), b"hi\n") == b""
        code, err = server.end()
        assert code == 0
        assert "RuntimeError: no" in err

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (("app:shout",), "no address to listen on"),
            (("app:shout", "--bind", "tcp://:0"), "tcp://:0 needs --framing: one of raw, line"),
            (("app:shout", "--bind", "https://:0"), "https comes with a later version"),
            (("app:shout", "--bind", "tcp://localhost", "--framing", "raw"), "a port is missing"),
            (("app:shout", "--bind", "tcp://:0", "--framing", "lines"), "did you mean 'line'?"),
            (("app", *LINE), "write module:attr"),
            (("ap:shout", *LINE), "no module named 'ap'"),
            (("other.py:shout", *LINE), "no file other.py"),
            (("./app:shout", *LINE), "write ./app.py:attr"),
            (("app:shuot", *LINE), "app has no 'shuot': did you mean shout?"),
            (("app:number", *LINE), "cannot be called"),
            (("app:number()", *LINE), "leave the () away"),
            (("app:shout", *LINE, "--threads", "many"), "threads='many' is not a whole number"),
            (("app:shout", *LINE, "--idle-timeout", "soon"), "idle_timeout='soon' is not a time"),
            (("app:shout", *LINE, "--backend", "epol"), "did you mean 'epoll'?"),
            (("app:shout", *LINE, "--config", "none.toml"), "cannot read the configuration"),
            (("app:shout", *LINE, "--delimiter", "123456789"), "1 to 8 bytes"),
        ],
        ids=lambda value: None if isinstance(value, tuple) else value,
    )
    def test_mistakes_are_told_in_one_line(self, args: tuple[str, ...], words: str) -> None:
        done = run("serve", *args)
        assert done.returncode == 2
        assert done.stdout == ""
        assert re.fullmatch(r"fastloop: [^\n]+\n", done.stderr)
        assert words in done.stderr

    def test_a_backend_of_another_platform(self) -> None:
        other = "epoll" if sys.platform == "darwin" else "kqueue"
        done = run("serve", "app:shout", *LINE, "--backend", other)
        assert done.returncode == 2
        assert f"backend='{other}' does not work here: not of this platform" in done.stderr

    def test_a_port_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = run(
                "serve", "app:shout", "--framing", "line", "--bind", f"tcp://127.0.0.1:{port}"
            )
        assert done.returncode == 2
        assert done.stderr.startswith(f"fastloop: cannot listen on tcp://127.0.0.1:{port}: address")

    def test_what_the_app_itself_raises_is_shown_whole(self, directory: Path) -> None:
        (directory / "broken.py").write_text("import module_that_is_not_there\n")
        done = run("serve", "broken:handle", *LINE)
        assert done.returncode == 1
        assert "Traceback" in done.stderr
        assert "broken.py" in done.stderr

    def test_help_shows_every_option_with_its_default(self) -> None:
        text = run("serve", "--help", COLUMNS="100").stdout
        for name in Config.__dataclass_fields__:
            assert f"--{name.replace('_', '-')} " in text
        assert "[256k]" in text
        assert "Examples:" in text


HTTP = r"listening on http://127\.0\.0\.1:(\d+)$"

WEB = """
import fastloop

app = fastloop.Router()

@app.get("/hello/{name}")
def hello(request, name):
    return {"hello": name}

@app.get("/late")
async def late(request):
    return "late"

def plain(request):
    return request.path

def fail(request):
    raise ValueError("broken")

def upload(request):
    return str(sum(map(len, request.stream())))
"""


class TestHttp:
    @pytest.fixture(autouse=True)
    def web(self, directory: Path) -> None:
        (directory / "web.py").write_text(WEB)
        (directory / "pages").mkdir()
        (directory / "pages" / "a-12345678.js").write_text("let a;")
        (directory / "pages" / ".env").write_text("secret")

    def get(self, port: str, path: str, data: bytes | None = None) -> tuple[int, bytes]:
        """Status and body."""
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=SECONDS) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()

    @pytest.mark.parametrize(
        ("target", "path", "body"),
        [
            ("web:plain", "/a", b"/a"),
            ("web:app", "/hello/you", b'{"hello":"you"}'),
            ("web.py:app", "/late", b"late"),
            ("web:app", "/-/healthz", b"ok\n"),
        ],
    )
    def test_serve(self, start: Start, target: str, path: str, body: bytes) -> None:
        server = start("serve", target, "--bind", "http://127.0.0.1:0")
        assert self.get(server.said(HTTP)[1], path) == (200, body)
        assert server.end() == (0, "")

    def test_options(self, start: Start) -> None:
        server = start(
            *("serve", "web:fail", "--bind", "http://127.0.0.1:0", "--debug", "--healthz", "/up"),
            *("--static", "/assets=pages", "--max-body", "1k"),
        )
        port = server.said(HTTP)[1]
        status, page = self.get(port, "/")
        assert status == 500
        assert b"ValueError: broken" in page
        assert self.get(port, "/up") == (200, b"ok\n")
        assert self.get(port, "/assets/a-12345678.js") == (200, b"let a;")
        assert self.get(port, "/", bytes(2000))[0] == 413
        code, said = server.end()
        assert code == 0
        assert "'GET / HTTP/1.1' failed" in said

    def test_no_traceback_unless_asked(self, start: Start) -> None:
        server = start("serve", "web:fail", "--bind", "http://127.0.0.1:0", FASTLOOP_DEBUG="no")
        assert self.get(server.said(HTTP)[1], "/") == (500, b"Internal Server Error\n")

    def test_stream(self, start: Start) -> None:
        server = start(
            *("serve", "web:upload", "--stream", "--blocking", "2", "--bind", "http://127.0.0.1:0")
        )
        assert self.get(server.said(HTTP)[1], "/", bytes(300_000)) == (200, b"300000")
        assert server.end(signal.SIGTERM) == (0, "")

    def test_files(self, start: Start) -> None:
        server = start("files", "pages", "--bind", "http://127.0.0.1:0")
        port = server.said(HTTP)[1]
        assert self.get(port, "/a-12345678.js") == (200, b"let a;")
        assert self.get(port, "/.env")[0] == 404
        assert self.get(port, "/")[0] == 404
        assert self.get(port, "/../web.py")[0] == 404
        assert server.end() == (0, "")

    def test_files_in_other_ways(self, start: Start) -> None:
        server = start(
            *("files", "pages", "--bind", "http://127.0.0.1:0", "--listing", "--hidden"),
            *("--cache-control", "max-age=60", "--immutable", "*-????????.js"),
        )
        port = server.said(HTTP)[1]
        status, page = self.get(port, "/")
        assert status == 200
        assert b"a-12345678.js" in page
        with urlopen(f"http://127.0.0.1:{port}/.env", timeout=SECONDS) as answer:
            assert answer.headers["cache-control"] == "max-age=60"
        with urlopen(f"http://127.0.0.1:{port}/a-12345678.js", timeout=SECONDS) as answer:
            assert "immutable" in answer.headers["cache-control"]

    @pytest.mark.parametrize(
        ("args", "told"),
        [
            (("files", "pages"), "no address to listen on: add --bind http://"),
            (("files", "none", "--bind", "http://:0"), "none is no directory"),
            (("files", "pages", "--bind", "tcp://:0"), "http:// addresses, not tcp://:0"),
            (
                ("serve", "web:app", "--bind", "tcp://:0", "--framing", "raw"),
                "a Router serves http",
            ),
            (("serve", "web:app", "--bind", "http://:0", "--static", "pages"), "PREFIX=DIR"),
            (("serve", "web:upload", "--bind", "http://:0", "--stream"), "threads by blocking=N"),
            (
                ("serve", "web:plain", "--bind", "http://:0", "--max-headers", "5"),
                "max_headers='5'",
            ),
        ],
    )
    def test_mistakes_are_told_in_one_line(self, args: tuple[str, ...], told: str) -> None:
        done = run(*args)
        assert done.returncode == 2
        assert told in done.stderr
        assert done.stderr.startswith("fastloop: ")
        assert done.stderr.count("\n") == 1


class TestCheck:
    def test_for_people(self) -> None:
        done = run("check")
        assert done.returncode == 0
        assert re.search(r"^backend poll +works", done.stdout, re.MULTILINE)
        assert done.stdout.count("<- auto") == 1

    def test_for_programs(self) -> None:
        found = json.loads(run("check", "--json").stdout)
        assert found["backends"]["poll"] is None
        assert found["backends"][found["auto"]] is None
        assert {"epoll", "kqueue"} <= set(found["backends"])
        assert found["fastloop"] == run("--version").stdout.split()[1]


class TestDemo:
    def test_it_serves_all_examples_and_tells_how_to_try_them(self, start: Start) -> None:
        base = free_ports(5)
        demo = start("demo", "--base-port", str(base))
        demo.said(rf"nc 127\.0\.0\.1 {base}$")
        demo.said(rf"redis-cli -h 127\.0\.0\.1 -p {base + 2}")
        demo.said(rf"http://127\.0\.0\.1:{base + 4}$")
        demo.said("Ctrl-C")
        assert demo.ask(base, b"hi\n") == b"hi\n"
        assert demo.ask(base + 2, b"PING\r\n") == b"+PONG\r\n"
        assert re.fullmatch(rb"[01]\.\d+\n", demo.ask(base + 3, b"5.1 3.5 1.4 0.2\n"))
        page = urlopen(f"http://127.0.0.1:{base + 4}/", timeout=20)
        assert "text/html" in page.headers["content-type"]
        assert 'new EventSource("events")' in page.read().decode()
        with urlopen(f"http://127.0.0.1:{base + 4}/events", timeout=20) as events:
            told = json.loads(events.readline().removeprefix(b"data: "))
            assert told["messages"] >= 5  # of all servers of the demo
            assert told["servers"] == 2
            assert demo.end() == (0, "")  # also while somebody looks at the page

    def test_a_port_in_use(self) -> None:
        base = free_ports(5)
        with socket.create_server(("127.0.0.1", base)):
            done = run("demo", "--base-port", str(base))
        assert done.returncode == 2
        assert "--base-port" in done.stderr


def free_ports(n: int) -> int:
    """The first of n ports in a row that nobody uses. Below those that the system hands out."""
    for base in range(20000 + os.getpid() % 5000, 32000, n):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(base, base + n):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return base
    raise AssertionError("no free ports")
