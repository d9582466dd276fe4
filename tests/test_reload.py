"""`fastloop serve --reload`: another process serves after a change, on the same socket."""

from __future__ import annotations

import builtins
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click
import pytest
from click.testing import CliRunner
from client import TIMEOUT

from fastloop.bind import listen
from fastloop.cli import main
from fastloop.reload import arguments

pytest.importorskip("watchfiles")

APP = "import part\n\ndef handle(request):\n    return part.WORD\n"


def read_until(file: IO[str] | None, word: str) -> str:
    """The line with this word; everything before it is skipped."""
    assert file is not None
    for line in file:
        if word in line:
            return line
    raise AssertionError(f"it ended without saying {word!r}")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A directory with an application."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "part.py").write_text("WORD = 'one'\n")
    return tmp_path


@pytest.fixture
def running(app: Path) -> Iterator[subprocess.Popen[str]]:
    """A server that serves it anew after changes."""
    command = [sys.executable, "-m", "fastloop", "serve", "app:handle", "--reload"]
    command += ["--bind", "http://127.0.0.1:0", "--max-body", "1m"]
    process = subprocess.Popen(
        command, cwd=app, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def connect(port: int) -> socket.socket:
    """A connection that has asked for something."""
    client = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    return client


def answer(client: socket.socket) -> bytes:
    """The body of what it is answered."""
    with client:
        return b"".join(iter(lambda: client.recv(65536), b"")).partition(b"\r\n\r\n")[2]


def test_a_change_is_served_by_another_process(running: Any, app: Path) -> None:
    port = int(read_until(running.stdout, "listening on http://127.0.0.1:").rpartition(":")[2])
    assert answer(connect(port)) == b"one"
    (app / "part.py").write_text("WORD = 'two' +\n")
    assert "part.py" in read_until(running.stderr, "changed")
    read_until(running.stderr, "waiting for a change")
    client = connect(port)  # nobody serves now, and nobody is turned away
    (app / "part.py").write_text("WORD = 'three'\n")
    assert answer(client) == b"three"
    running.send_signal(signal.SIGTERM)
    assert running.wait(TIMEOUT) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_what_cannot_be_watched(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(app)
    serve = ["serve", "app:handle", "--bind", "http://127.0.0.1:0", "--reload"]
    missing = CliRunner().invoke(main, [*serve, "--reload-dir", "nowhere"])
    assert (missing.exit_code, missing.output.count("\n")) == (2, 1)
    assert "--reload-dir nowhere" in missing.output
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "watchfiles":
            raise ModuleNotFoundError(name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    absent = CliRunner().invoke(main, serve)
    assert (absent.exit_code, absent.output.count("\n")) == (2, 1)
    assert "fastloop-server[reload]" in absent.output


def test_the_path_of_websockets_is_passed_on(tmp_path: Path) -> None:
    urls = ("ws://127.0.0.1:0/chat", "ws://127.0.0.1:0", f"ws+unix:{tmp_path}/socket")
    listeners = [listen(url) for url in urls]
    try:
        with click.Context(click.Command("serve")) as context:
            found = arguments(context, listeners)
        fds = [listener.sockets[0].fileno() for listener in listeners]
        binds = [f"ws+fd:{fds[0]}/chat", f"ws+fd:{fds[1]}", f"ws+fd:{fds[2]}"]
        assert found == ["serve", "--reloaded", *(part for b in binds for part in ("--bind", b))]
    finally:
        for listener in listeners:
            listener.close()
