"""Bind addresses: how they are read, and the sockets behind them."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastloop.bind import Bind, Listener, listen, parse
from fastloop.errors import ConfigError

Open = Callable[..., Listener]

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux spreads connections")


@pytest.fixture
def open_() -> Iterator[Open]:
    """listen(), with a close at the end."""
    with contextlib.ExitStack() as stack:

        def run(url: str, threads: int = 1) -> Listener:
            listener = listen(url, threads=threads)
            stack.callback(listener.close)
            return listener

        yield run


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A short relative path for a Unix socket: absolute ones may be too long for the kernel."""
    monkeypatch.chdir(tmp_path)
    return "app.sock"


def port(listener: Listener) -> int:
    """Where it listens."""
    number: int = listener.sockets[0].getsockname()[1]
    return number


class TestParse:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("tcp://127.0.0.1:7000", ("tcp", "inet", "127.0.0.1", 7000)),
            ("tcp://localhost:0", ("tcp", "inet", "localhost", 0)),
            ("tcp://[::1]:7000", ("tcp", "inet", "::1", 7000)),
            ("tcp://[fe80::1%eth0]:7000", ("tcp", "inet", "fe80::1%eth0", 7000)),
            ("tcp://:7000", ("tcp", "inet", "", 7000)),
            ("tcp://:65535/", ("tcp", "inet", "", 65535)),
            ("resp://10.0.0.1:6380", ("resp", "inet", "10.0.0.1", 6380)),
        ],
    )
    def test_internet(self, url: str, expected: tuple[str, str, str, int]) -> None:
        bind = parse(url)
        assert (bind.scheme, bind.kind, bind.host, bind.port) == expected
        assert bind.url == url

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            (
                "tcp+unix:/run/app.sock",
                Bind("tcp+unix:/run/app.sock", "tcp", "unix", path="/run/app.sock"),
            ),
            ("resp+unix:app.sock", Bind("resp+unix:app.sock", "resp", "unix", path="app.sock")),
            ("tcp+unix:///run/a b", Bind("tcp+unix:///run/a b", "tcp", "unix", path="/run/a b")),
            ("tcp+fd:3", Bind("tcp+fd:3", "tcp", "fd", fd=3)),
            ("ws+fd:3", Bind("ws+fd:3", "ws", "fd", fd=3)),
            ("ws+fd:3/chat", Bind("ws+fd:3/chat", "ws", "fd", path="/chat", fd=3)),
        ],
    )
    def test_others(self, url: str, expected: Bind) -> None:
        assert parse(url) == expected

    def test_the_scheme_may_tell_the_framing(self) -> None:
        assert parse("resp://:1").framing == "resp"
        assert parse("resp+unix:/x").framing == "resp"
        assert parse("tcp://:1").framing is None

    @pytest.mark.parametrize(
        ("url", "hint"),
        [
            ("tcp://localhost", "a port is missing: tcp://localhost:7000"),
            ("tcp://[::1]", "a port is missing"),
            ("tcp://::1:7000", "an IPv6 host in brackets"),
            ("tcp://host:70000", "ports go up to 65535"),
            ("tcp://host:-1", "write tcp://host:port"),
            ("tcp://host:1/path", "write tcp://host:port"),
            ("tcp:host:1", "write tcp://host:port"),
            ("tcp://user@[::1]:7", "write tcp://host:port"),
            ("https://host:443", "https comes with a later version"),
            ("wss://host:80/chat", "wss comes with a later version"),
            ("wss+unix:/x", "wss comes with a later version"),
            ("udp://host:1", "'udp' is unknown"),
            ("localhost:7000", "'localhost' is unknown"),
            ("7000", "an address looks like"),
            ("", "an address looks like"),
            ("tcp+unix:", "a path is missing"),
            ("tcp+unix:/", "a path is missing"),
            ("tcp+fd:x", "a descriptor is missing"),
            ("tcp+fd:", "a descriptor is missing"),
            ("tcp+fd:3/chat", "a descriptor is missing"),
            (7000, "an address is a string"),
        ],
    )
    def test_mistakes(self, url: str, hint: str) -> None:
        with pytest.raises(ConfigError) as raised:
            parse(url)
        message = str(raised.value)
        assert str(url) in message
        assert hint in message
        assert "\n" not in message


class TestInternet:
    def test_port_0_is_told(self, open_: Open) -> None:
        listener = open_("tcp://127.0.0.1:0")
        assert listener.address == f"tcp://127.0.0.1:{port(listener)}"
        assert parse(listener.address).port > 0
        socket.create_connection(listener.sockets[0].getsockname()).close()

    def test_every_interface_takes_both_families(self, open_: Open) -> None:
        listener = open_("tcp://:0")
        socket.create_connection(("127.0.0.1", port(listener))).close()
        if socket.has_dualstack_ipv6():
            socket.create_connection(("::1", port(listener))).close()
        assert listener.address == f"tcp://:{port(listener)}"

    @pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
    def test_an_ipv6_address_takes_only_ipv6(self, open_: Open) -> None:
        listener = open_("tcp://[::]:0")
        assert listener.address == f"tcp://[::]:{port(listener)}"
        socket.create_connection(("::1", port(listener))).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port(listener)))

    @pytest.mark.parametrize("threads", [1, 2])
    def test_a_port_in_use(self, open_: Open, threads: int) -> None:
        first = open_("tcp://127.0.0.1:0")
        with pytest.raises(ConfigError) as raised:
            listen(first.address, threads=threads)
        assert str(raised.value) == (
            f"cannot listen on {first.address}: address already in use"
            " (another program listens there; pick another port, or port 0)"
        )

    @linux
    def test_a_port_whose_owner_shares_it_is_in_use_all_the_same(self, open_: Open) -> None:
        first = open_("tcp://127.0.0.1:0", threads=2)
        with pytest.raises(ConfigError, match="address already in use"):
            listen(first.address, threads=2)

    @linux
    def test_threads_have_sockets_of_their_own_on_one_port(self, open_: Open) -> None:
        listener = open_("tcp://127.0.0.1:0", threads=3)
        assert len({each.fileno() for each in listener.sockets}) == 3
        assert len({each.getsockname() for each in listener.sockets}) == 1
        clients = [socket.create_connection(("127.0.0.1", port(listener))) for _ in range(60)]
        taken = [count_waiting(each) for each in listener.sockets]
        assert sum(taken) == 60
        assert all(taken)  # one of them empty: a chance of 3 * (2/3)**60
        for client in clients:
            client.close()

    def test_a_port_can_be_taken_again_at_once(self, open_: Open) -> None:
        first = listen("tcp://127.0.0.1:0")
        client = socket.create_connection(first.sockets[0].getsockname())
        taken, _ = first.sockets[0].accept()
        taken.close()  # our side closes first, so the connection lingers in TIME_WAIT
        client.close()
        first.close()
        assert open_(first.address).address == first.address

    def test_addresses_that_are_not_ours(self) -> None:
        with pytest.raises(ConfigError, match="no interface of this machine has that address"):
            listen("tcp://203.0.113.1:0")

    def test_hosts_that_do_not_exist(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        with pytest.raises(ConfigError, match="no such host"):
            listen("tcp://nowhere.invalid:0")


def count_waiting(listener: socket.socket) -> int:
    """How many connections wait to be accepted."""
    listener.setblocking(False)
    for n in range(1000):
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return n
    raise AssertionError("too many")


class TestUnix:
    def test_it_listens_and_leaves_nothing_behind(self, open_: Open, path: str) -> None:
        listener = open_(f"tcp+unix:{path}", threads=2)
        assert listener.address == f"tcp+unix:{path}"
        assert len(listener.sockets) == 2
        connect(path)
        listener.close()
        assert not os.path.exists(path)
        listener.close()

    def test_what_a_dead_process_left_is_removed(self, open_: Open, path: str) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path)
        open_(f"tcp+unix:{path}")
        connect(path)

    def test_what_a_living_one_uses_is_not(self, open_: Open, path: str) -> None:
        open_(f"tcp+unix:{path}")
        with pytest.raises(ConfigError, match="address already in use"):
            listen(f"tcp+unix:{path}")
        connect(path)

    def test_files_are_not_removed(self, path: str) -> None:
        Path(path).write_text("precious")
        with pytest.raises(ConfigError, match="a file is there that is no socket"):
            listen(f"tcp+unix:{path}")
        assert Path(path).read_text() == "precious"

    def test_a_file_that_took_its_place_is_not_removed(self, open_: Open, path: str) -> None:
        listener = open_(f"tcp+unix:{path}")
        Path("other").write_text("another")
        os.replace("other", path)
        listener.close()
        assert Path(path).read_text() == "another"

    def test_directories_that_do_not_exist(self, path: str) -> None:
        with pytest.raises(ConfigError, match="No such file or directory"):
            listen(f"tcp+unix:nowhere/{path}")

    def test_paths_that_are_too_long(self, path: str) -> None:
        with pytest.raises(ConfigError, match="too long"):
            listen(f"tcp+unix:{path * 20}")


def connect(path: str) -> None:
    """Fails unless somebody listens."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


class TestInherited:
    def test_a_listening_socket_is_adopted(self, open_: Open) -> None:
        with socket.create_server(("127.0.0.1", 0)) as given:
            listener = open_(f"tcp+fd:{given.fileno()}")
            assert listener.address == f"tcp+fd:{given.fileno()}"
            listener.close()
            socket.create_connection(given.getsockname()).close()  # the given one is still open

    def test_one_that_does_not_listen_is_not(self) -> None:
        with socket.socket() as given, pytest.raises(ConfigError, match=r"nobody called listen\("):
            listen(f"tcp+fd:{given.fileno()}")

    def test_nor_a_descriptor_that_is_closed_or_no_socket(self) -> None:
        with socket.socket() as given:
            number = given.fileno()
        with pytest.raises(ConfigError, match="Bad file descriptor"):
            listen(f"tcp+fd:{number}")
        with open(__file__) as file, pytest.raises(ConfigError, match=r"[Ss]ocket"):
            listen(f"tcp+fd:{file.fileno()}")
