"""WebSocket as handlers and clients see it: by the `websockets` library, and by odd clients."""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from client import TIMEOUT, Client, wait_for
from stage import Stage
from ws_client import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    RawSocket,
    closing,
    compressed,
    frame,
    handshake,
    raw,
)

import fastloop
from conftest import Serve
from fastloop import ConfigError, Router, WebSocket
from fastloop._ffi import lib

sync_client = pytest.importorskip("websockets.sync.client")
ConnectionClosed = pytest.importorskip("websockets.exceptions").ConnectionClosed

ANY = "ws://127.0.0.1:0"
HTTP = "http://127.0.0.1:0"


class Room:
    """Answers with what it gets, obeys a few words, and keeps why peers left."""

    def __init__(self) -> None:
        self.peers: list[WebSocket] = []
        self.ends: list[tuple[int, str]] = []

    def open(self, conn: WebSocket) -> None:
        self.peers.append(conn)
        conn.subscribe("all")

    def message(self, conn: WebSocket, message: str | bytes) -> Any:
        match message:
            case "close":
                conn.close(4001, "as you wish")
                return "too late"
            case "fail":
                raise RuntimeError("as you wish")
            case "several":
                conn.send("before")
                return ["text", b"binary", None]
            case "other":
                conn.server.publish("all", "published", exclude=conn)
                return None
            case "leave":
                conn.unsubscribe("all")
            case "all":
                conn.server.publish("all", b"published")
                return None
        return message

    def close(self, conn: WebSocket, reason: Any) -> None:
        self.ends.append((reason.code, str(reason)))


def connect(server: fastloop.Server, path: str = "/", **options: Any) -> Any:
    """A client of the library."""
    options.setdefault("open_timeout", 3 * TIMEOUT)  # a process each takes its time
    return sync_client.connect(f"ws://127.0.0.1:{server.port}{path}", **options)


class TestMessages:
    @pytest.mark.parametrize("compression", ["deflate", None])
    def test_every_size_comes_back(self, serve: Serve, compression: str | None) -> None:
        server = serve(lambda message: message, ANY)
        with connect(server, compression=compression, max_size=None) as client:
            negotiated = "permessage-deflate" in client.response.headers.get(
                "sec-websocket-extensions", ""
            )
            assert negotiated == (compression is not None and lib.fl_compresses() == 1)
            for n in (0, 1, 125, 126, 1023, 1024, 65535, 65536, 700_000):
                for message in ("x" * n, "ü€🐍"[:n] * n, bytes(range(256)) * (n // 256), bytes(n)):
                    if len(message.encode() if isinstance(message, str) else message) > 2**20:
                        continue
                    client.send(message)
                    assert client.recv(timeout=20) == message

    def test_fragments_are_joined(self, serve: Serve) -> None:
        with connect(serve(Room(), ANY)) as client:
            client.send(["a", "ü", "", "c"])
            assert client.recv(timeout=20) == "aüc"
            client.send([b"a", b"\xff"])
            assert client.recv(timeout=20) == b"a\xff"

    def test_what_is_said_keeps_its_order(self, serve: Serve) -> None:
        with connect(serve(Room(), ANY)) as client:
            client.send("several")
            assert [client.recv(timeout=20) for _ in range(3)] == ["before", "text", b"binary"]

    def test_many_at_once(self, serve: Serve) -> None:
        client = raw(serve(lambda message: message, ANY))
        sent = [str(n).encode() for n in range(2000)]
        client.open(more=b"".join(frame(TEXT, each) for each in sent))
        assert [client.frame() for _ in sent] == [(0x81, each) for each in sent]
        client.close()

    def test_a_reply_that_is_no_message_costs_the_connection(self, serve_auto: Serve) -> None:
        room = {"int": 1, "surrogate": "\ud800", "dict": {}}
        server = serve_auto(lambda message: room[message], ANY)
        for word in room:
            with connect(server) as client:
                client.send(word)
                with pytest.raises(ConnectionClosed) as caught:
                    client.recv(timeout=20)
                assert caught.value.rcvd.code == 1011

    def test_batches(self, serve_auto: Serve) -> None:
        @fastloop.batch
        def handle(connections: list[WebSocket], messages: list[str]) -> list[str]:
            assert all(isinstance(conn, WebSocket) for conn in connections)
            return [message.upper() for message in messages]

        with connect(serve_auto(handle, ANY)) as client:
            client.send("hi")
            assert client.recv(timeout=20) == "HI"

    def test_worker_threads(self, serve_auto: Serve) -> None:
        names = set()

        def handle(conn: WebSocket, message: str) -> str:
            names.add(threading.current_thread().name[:16])
            conn.send("first")
            return message

        with connect(serve_auto(handle, ANY, blocking=2)) as client:
            client.send("hi")
            assert [client.recv(timeout=20) for _ in range(2)] == ["first", "hi"]
        assert names == {"fastloop-worker_"}


class TestHandshake:
    def test_a_path_on_an_inherited_socket(self, serve_auto: Serve) -> None:
        with socket.create_server(("127.0.0.1", 0)) as given:
            serve_auto(Room(), f"ws+fd:{given.fileno()}/chat")
            for path, status in (("/", 404), ("/chat", 101)):
                with RawSocket(given.getsockname()) as client:
                    client.send(handshake(path))
                    assert client.head()[0] == status

    def test_what_is_told_of_it(self, serve_auto: Serve) -> None:
        app = Router()

        @app.websocket("/rooms/{name}/{n:int}", subprotocols=["new", "old"])
        def handle(conn: WebSocket, message: str) -> str:
            request = conn.request
            return repr(
                (
                    request.path,
                    conn.parameters,
                    request.query["q"],
                    request.headers["x-a"],
                    conn.subprotocol,
                )
            )

        server = serve_auto(app, HTTP)
        with connect(
            server, "/rooms/tea/7?q=1", subprotocols=["old", "new"], additional_headers={"X-A": "b"}
        ) as client:
            assert client.subprotocol == "new"
            client.send("?")
            told = ("/rooms/tea/7", {"name": "tea", "n": 7}, "1", "b", "new")
            assert client.recv(timeout=20) == repr(told)

    def test_beside_http(self, serve: Serve) -> None:
        app = Router()
        app.get("/")(lambda request: "page")
        app.websocket("/ws", lambda message: message)
        server = serve(app, HTTP)
        client = raw(server)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + handshake("/ws") + frame(TEXT, b"hi"))
        status, fields = client.head()
        assert (status, client.read(int(fields["content-length"]))) == (200, b"page")
        assert client.head()[0] == 101
        assert client.frame() == (0x81, b"hi")
        client.close()

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 426),
            (handshake(version="8"), 426),
            (handshake().replace(b"GET", b"POST"), 405),
            (handshake().replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
            (handshake().replace(b"dGhl", b"d"), 400),
            (handshake().replace(b"dGhl", b"!!!!"), 400),
            (handshake("/", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
            (handshake().replace(b"Upgrade: websocket", b"Upgrade: h2c"), 426),
            (handshake().replace(b"keep-alive, Upgrade", b"keep-alive"), 426),
            (handshake().replace(b"keep-alive", b"close"), 400),
            (handshake("/", "Content-Length: 2") + b"hi", 400),
            (handshake("/", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
            (handshake("/", "Sec-WebSocket-Extensions: a b"), 400),
            (handshake("/elsewhere"), 404),
        ],
    )
    def test_bad_ones(self, serve_auto: Serve, request_: bytes, status: int) -> None:
        client = raw(serve_auto(Room(), ANY))
        client.send(request_)
        got, fields = client.head()
        assert got == status
        if status == 426:
            assert fields["sec-websocket-version"] == "13"
            assert fields["upgrade"] == "websocket"
        client.close()

    def test_origins(self, serve_auto: Serve) -> None:
        app = Router()
        app.websocket("/", lambda message: message, origins=["https://example.com", "same"])
        server = serve_auto(app, HTTP)
        for origin, status in (
            ("https://example.com", 101),
            ("http://localhost", 101),
            ("https://evil.example", 403),
            ("null", 403),
        ):
            client = raw(server)
            client.send(handshake("/", f"Origin: {origin}"))
            assert client.head()[0] == status
            client.close()

    @compressed
    @pytest.mark.parametrize(
        ("offer", "answer"),
        [
            ("permessage-deflate", ""),
            ("permessage-deflate; client_max_window_bits", ""),
            ("permessage-deflate; server_max_window_bits=10", "; server_max_window_bits=10"),
            ('permessage-deflate; server_max_window_bits="15"', "; server_max_window_bits=12"),
            ("permessage-deflate; server_max_window_bits=8", None),
            ("permessage-deflate; server_max_window_bits=16", None),
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflate; client_max_window_bits=7", None),
            ("permessage-deflate; server_no_context_takeover=1", None),
            ("permessage-deflate; unknown", None),
            ("permessage-deflate; unknown, permessage-deflate", ""),
            ("x-webkit-deflate-frame", None),
        ],
    )
    def test_offers(self, stage_auto: Stage, offer: str, answer: str | None) -> None:
        client = raw(stage_auto.serve(Room(), ANY))
        fields = client.open("/", f"Sec-WebSocket-Extensions: {offer}")
        begin = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        want = None if answer is None else begin + answer
        assert fields.get("sec-websocket-extensions") == want
        client.close()

    def test_mistakes(self) -> None:
        with pytest.raises(ConfigError, match="a Router serves http"):
            fastloop.Server(Router(), ANY)
        with pytest.raises(ConfigError, match="lists"):
            Router().websocket("/", lambda message: message, subprotocols="chat")
        app = Router()
        app.websocket("/", lambda message: message, ping_interval=-1)
        with pytest.raises(ConfigError, match="ping_interval"):
            fastloop.Server(app, HTTP)


class TestEnds:
    def test_nothing_is_kept_of_who_left_before_the_answer(self, serve_auto: Serve) -> None:
        entered, go = threading.Event(), threading.Event()
        router = Router()
        router.websocket("/", Room())

        @router.get("/blocks")
        def blocks(request: Any) -> str:
            entered.set()
            assert go.wait(TIMEOUT)
            return "done"

        server = serve_auto(router, HTTP, blocking=1)
        with raw(server) as held, raw(server) as leaving:
            held.send(b"GET /blocks HTTP/1.1\r\nhost: a\r\n\r\n")
            assert entered.wait(TIMEOUT)
            leaving.send(handshake())
            wait_for(lambda: server.stats().messages == 2)
            leaving.reset()
            wait_for(lambda: server.stats().connections == 1)
            go.set()
            assert held.head()[0] == 200
        with raw(server) as last:
            last.open()
            (runtime,) = server._runtimes
            assert len(runtime.openings) == 1

    @pytest.mark.shared_state
    def test_the_peer_closes(self, serve: Serve) -> None:
        room = Room()
        server = serve(room, ANY)
        for code, reason in ((1000, ""), (4999, "bye ü")):
            client = raw(server)
            client.open(more=frame(TEXT, b"last") + closing(code, reason) + frame(TEXT, b"no"))
            assert client.frame() == (0x81, b"last")
            assert client.closed() == (code, "")
            client.close()
        client = raw(server)
        client.open(more=frame(CLOSE))
        assert client.frame() == (0x88, b"")
        client.close()
        wait_for(lambda: len(room.ends) == 3)
        assert sorted(room.ends) == [(1000, ""), (1005, ""), (4999, "bye ü")]

    @pytest.mark.shared_state
    def test_the_peer_vanishes(self, serve: Serve) -> None:
        room = Room()
        server = serve(room, ANY)
        client = raw(server)
        client.open()
        client.close()
        wait_for(lambda: len(room.ends) == 1)
        client = raw(server)
        client.open(more=frame(TEXT, b"half")[:3])
        client.reset()
        wait_for(lambda: len(room.ends) == 2)
        assert [code for code, _ in room.ends] == [1006, 1006]

    @pytest.mark.parametrize(
        ("word", "end"), [("close", (4001, "as you wish")), ("fail", (1011, ""))]
    )
    @pytest.mark.shared_state
    def test_we_close(self, serve: Serve, word: str, end: tuple[int, str]) -> None:
        room = Room()
        client = raw(serve(room, ANY))
        client.open(more=frame(TEXT, b"first") + frame(TEXT, word.encode()) + frame(TEXT, b"x"))
        assert client.frame() == (0x81, b"first")
        assert client.closed() == end
        client.send(closing(end[0]))
        client.close()
        wait_for(lambda: room.ends)
        assert room.ends == [end]

    @pytest.mark.parametrize(
        ("bad", "code"),
        [
            (frame(TEXT, b"\xff"), 1007),
            (frame(TEXT, b"\xc3", fin=False), None),
            (frame(TEXT, b"x", rsv=4), 1002),
            (frame(3), 1002),
            (frame(PING, fin=False), 1002),
            (frame(0, b"x"), 1002),
            (frame(BINARY, bytes(1001)), 1009),
            (b"\x81\x01x", 1002),
            (closing(1005), 1002),
            (closing(2999), 1002),
            (frame(TEXT, b"x", fin=False) + 600 * frame(PONG, bytes(125)), 1009),
        ],
        ids=range(11),
    )
    def test_the_peer_breaks_the_rules(
        self, serve_auto: Serve, bad: bytes, code: int | None
    ) -> None:
        room = Room()
        client = raw(serve_auto(room, ANY, max_message=1000))
        client.open(more=frame(TEXT, b"good"))
        assert client.frame() == (0x81, b"good")
        client.send(bad)
        if code is None:
            client.send(frame(0, b"x"))
            code = 1007
        assert client.closed()[0] == code
        client.close()
        wait_for(lambda: room.ends)
        assert room.ends[0][0] == code

    @compressed
    def test_a_bomb(self, serve_auto: Serve) -> None:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = deflate.compress(bytes(1 << 24)) + deflate.flush(zlib.Z_SYNC_FLUSH)
        client = raw(serve_auto(Room(), ANY))
        client.open("/", "Sec-WebSocket-Extensions: permessage-deflate")
        client.send(frame(BINARY, bomb[:-4], rsv=4))
        assert client.closed()[0] == 1009
        client.close()

    @pytest.mark.shared_state
    def test_the_server_stops(self, serve: Serve) -> None:
        room = Room()
        server = serve(room, ANY)
        clients = [raw(server) for _ in range(20)]
        for client in clients:
            client.open()
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        for client in clients:
            assert client.closed() == (1001, "")
            client.send(closing(1001))
            client.close()
        stopping.join(20)
        assert [code for code, _ in room.ends] == [1001] * 20

    def test_close_checks_what_it_is_given(self, serve_auto: Serve) -> None:
        room = Room()
        with connect(serve_auto(room, ANY)):
            wait_for(lambda: room.peers)
            for code in (0, 999, 1005, 1006, 1015, 2999, 5000):
                with pytest.raises(ValueError, match="close code"):
                    room.peers[0].close(code)
            with pytest.raises(ValueError, match="reason"):
                room.peers[0].close(1000, "ü" * 62)

    @pytest.mark.many_connections
    def test_at_every_stage(self, serve: Serve) -> None:
        server = serve(Room(), ANY)
        whole = (
            handshake() + frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(0, b"b" * 200)
        )
        for n in range(0, len(whole), 7):
            client = raw(server)
            client.send(whole[:n])
            client.reset() if n % 2 else client.close()
        with connect(server) as client:
            client.send("still there")
            assert client.recv(timeout=20) == "still there"


class TestPings:
    def test_they_are_answered_between_fragments_and_once(self, serve: Serve) -> None:
        client = raw(serve(Room(), ANY))
        client.open(more=frame(TEXT, b"a", fin=False))
        for n in range(3):
            client.send(frame(PING, b"%d" % n))
            assert client.frame() == (0x80 | PONG, b"%d" % n)
        client.send(frame(PONG, b"x") + frame(0, b"b"))
        assert client.frame() == (0x81, b"ab")
        client.close()

    @pytest.mark.shared_state
    def test_silence_is_asked_about(self, serve: Serve) -> None:
        room = Room()
        client = raw(serve(room, ANY, ping_interval=0.2, ping_timeout=0.3))
        client.open()
        for _ in range(3):
            assert client.frame() == (0x80 | PING, b"")
            client.send(frame(PONG))
        assert client.frame() == (0x80 | PING, b"")
        assert client.closed() == (1011, "no answer to a ping")
        client.close()
        wait_for(lambda: room.ends)
        assert room.ends == [(1011, "no answer to a ping")]

    def test_without_them_the_idle_timeout_counts(self, serve_auto: Serve) -> None:
        client = raw(serve_auto(Room(), ANY, ping_interval=0, idle_timeout=0.2))
        client.open()
        assert client.closed() == (1001, "")
        client.close()


class TestPublish:
    @pytest.mark.shared_state
    def test_all_get_it_but_who_is_left_out(self, serve: Serve) -> None:
        server = serve(Room(), ANY)
        clients = [raw(server) for _ in range(10)]
        for client in clients:
            client.open(more=frame(TEXT, b"here"))
            assert client.frame() == (0x81, b"here")
        clients[0].send(frame(TEXT, b"other"))
        clients[1].send(frame(TEXT, b"leave"))
        assert clients[1].frame()[1] in (b"leave", b"published")
        clients[2].reset()
        wait_for(lambda: server.stats().connections == 9)
        clients[0].send(frame(TEXT, b"all"))
        assert clients[0].frame() == (0x82, b"published")
        for client in clients[3:]:
            assert client.frame() == (0x81, b"published")
            assert client.frame() == (0x82, b"published")
        for client in clients:
            client.close()

    def test_processes_share_no_topics(self) -> None:
        stage = Stage(model="process-per-connection")
        server = stage.serve(Room(), ANY)
        client = raw(server)
        client.open(more=frame(TEXT, b"here") + frame(TEXT, b"all"))
        assert client.frame() == (0x81, b"here")
        assert client.closed()[0] == 1011
        client.close()
        with pytest.raises(fastloop.FastloopError, match="no other process"):
            server.publish("all", "x")
        stage.close()

    def test_across_threads(self, serve_auto: Serve) -> None:
        server = serve_auto(Room(), ANY, threads=2)
        clients = [raw(server) for _ in range(16)]
        for client in clients:
            client.open(more=frame(TEXT, b"here"))
            assert client.frame() == (0x81, b"here")
        server.publish("all", "x" * 5000)
        server.publish("nobody", "listens")
        for client in clients:
            assert client.frame() == (0x81, b"x" * 5000)
            client.close()

    @pytest.mark.shared_state
    def test_a_wrong_topic_or_code_is_its_handlers_error(self, serve_auto: Serve) -> None:
        wrong: dict[str, Callable[[WebSocket], None]] = {
            "subscribe": lambda conn: conn.subscribe(5),  # type: ignore[arg-type]
            "unsubscribe": lambda conn: conn.unsubscribe(b"all"),  # type: ignore[arg-type]
            "publish": lambda conn: conn.server.publish(5, "x"),  # type: ignore[arg-type]
            "close": lambda conn: conn.close(1000.0),  # type: ignore[arg-type]
        }
        held, begun = threading.Event(), threading.Event()

        def handle(conn: WebSocket, word: str) -> str:
            if word == "hold":  # so that what others say comes in one batch
                begun.set()
                assert held.wait(20)
            if word not in wrong:
                return word
            with pytest.raises(TypeError, match="is no"):
                wrong[word](conn)
            return f"no {word}"

        server = serve_auto(handle, ANY)
        clients = [raw(server) for _ in range(5)]
        for client in clients:
            client.open()
        clients[4].send(frame(TEXT, b"hold"))
        assert begun.wait(20)
        for client, word in zip(clients, [*wrong], strict=False):
            client.send(frame(TEXT, word.encode()) + frame(TEXT, b"own " + word.encode()))
        held.set()
        for client, word in zip(clients, [*wrong], strict=False):
            assert client.frame() == (0x81, f"no {word}".encode())
            assert client.frame() == (0x81, f"own {word}".encode())
        for client in clients:
            client.close()

    def test_other_framings(self, serve_auto: Serve) -> None:
        class Lines:
            def message(self, conn: fastloop.Connection, line: bytes) -> bytes:
                conn.subscribe(line.decode())
                return b"ok"

        server = serve_auto(Lines(), "tcp://127.0.0.1:0", framing="line")
        with Client(("127.0.0.1", server.port)) as client:
            assert client.ask(b"news\n") == b"ok\n"
            server.publish("news", "hear, hear")
            assert client.line() == b"hear, hear\n"

    def test_a_thousand_who_do_not_read(
        self, stage_auto: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Unix sockets: of those of TCP each may buffer some megabytes in the kernel.
        monkeypatch.chdir(tmp_path)
        count = 1000
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = 2 * count + 200
        if soft < needed:
            if hard < needed:
                pytest.skip("too few descriptors")
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        server = stage_auto.serve(
            Room(), "ws+unix:s", max_unsent="64k", low_water="16k", backlog=count
        )
        slow = [RawSocket("s") for _ in range(count)]
        for client in slow:
            client.open()
        quick = RawSocket("s")
        quick.open()
        message = b"x" * 2**20  # which all of them share
        server.publish("all", message)
        assert quick.frame() == (0x82, message)
        quick.send(frame(TEXT, b"all"))
        assert quick.frame() == (0x82, b"published")
        wait_for(lambda: server.stats().connections < count, what="the end of who lags too far")
        quick.send(frame(TEXT, b"hi"))
        assert quick.frame() == (0x81, b"hi")
        for client in [quick, *slow]:
            client.close()


class TestAsync:
    def test_neither_pongs_nor_others_wait_for_a_handler(self, stage_async: Stage) -> None:
        go = threading.Event()

        async def handle(conn: WebSocket, message: str) -> str:
            conn.subscribe("all")
            conn.send("soon")
            while not go.is_set():
                await asyncio.sleep(0.01)
            return message

        server = stage_async.serve(handle, ANY)
        client = raw(server)
        client.open(more=frame(TEXT, b"one") + frame(TEXT, b"two"))
        assert [client.frame() for _ in range(2)] == [(0x81, b"soon")] * 2
        client.send(frame(PING, b"?"))
        assert client.frame() == (0x80 | PONG, b"?")
        server.publish("all", "news")
        assert client.frame() == (0x81, b"news")
        go.set()
        assert [client.frame()[1] for _ in range(2)] == [b"one", b"two"]
        client.close()

    def test_a_handler_without_end_does_not_keep_its_connection(self, stage_async: Stage) -> None:
        ends = []

        class Endless:
            async def message(self, message: str) -> None:
                await asyncio.sleep(3600)

            def close(self, conn: WebSocket, reason: Any) -> None:
                ends.append(reason.code)

        server = stage_async.serve(Endless(), ANY)
        client = raw(server)
        client.open(more=frame(TEXT, b"x") + closing(1000))
        assert client.closed() == (1000, "")
        client.close()
        client = raw(server)
        client.open(more=frame(TEXT, b"x"))
        client.close()
        wait_for(lambda: ends == [1000, 1006])

    def test_drain_waits_for_room(self, stage_async: Stage) -> None:
        sent = []

        async def handle(conn: WebSocket, message: str) -> None:
            for n in range(100):
                conn.send(bytes(100_000))
                sent.append(n)
                await conn.drain()

        server = stage_async.serve(handle, ANY, low_water="64k")
        client = raw(server)
        client.open(more=frame(TEXT, b"go"))
        wait_for(lambda: sent)
        assert len(sent) < 100
        for _ in range(100):
            assert client.frame() == (0x82, bytes(100_000))
        client.close()


@compressed
class TestContext:
    """Compression whose messages refer to earlier ones."""

    OFFER = "Sec-WebSocket-Extensions: permessage-deflate"

    def test_messages_get_shorter(self, serve: Serve) -> None:
        server = serve(lambda message: message, ANY, compression="context")
        inflate = zlib.decompressobj(-15)
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        client = raw(server)
        fields = client.open("/", self.OFFER)
        assert fields["sec-websocket-extensions"] == "permessage-deflate"
        message = bytes(range(100))
        lengths = []
        for _ in range(3):
            packed = deflate.compress(message) + deflate.flush(zlib.Z_SYNC_FLUSH)
            client.send(frame(BINARY, packed[:-4], rsv=4))
            first, payload = client.frame()
            assert first == 0xC2
            assert inflate.decompress(payload + packed[-4:]) == message
            lengths.append(len(payload))
        assert max(lengths[1:]) < lengths[0] / 4
        client.close()

    def test_the_library_speaks_it(self, serve: Serve) -> None:
        server = serve(Room(), ANY, compression="context")
        with connect(server) as one, connect(server) as other:
            for n in range(20):
                for client in (one, other):
                    message = f"{id(client)} {n} " * (1 + n * n * 20)
                    client.send(message)
                    assert client.recv(timeout=20) == message

    @pytest.mark.parametrize(
        ("offer", "answer"),
        [
            ("", ""),
            ("client_max_window_bits", "client_max_window_bits=12"),
            ("client_max_window_bits=10", "client_max_window_bits=10"),
            ("server_max_window_bits=9", "server_max_window_bits=9"),
            ("client_no_context_takeover", "client_no_context_takeover"),
            ("server_no_context_takeover", "server_no_context_takeover"),
        ],
    )
    def test_offers(self, serve_auto: Serve, offer: str, answer: str) -> None:
        app = Router()
        app.websocket("/", Room(), compression="context")
        client = raw(serve_auto(app, HTTP))
        fields = client.open("/", self.OFFER + ("; " + offer if offer else ""))
        want = "permessage-deflate" + ("; " + answer if answer else "")
        assert fields["sec-websocket-extensions"] == want
        client.close()

    def test_what_is_published_is_not_compressed(self, serve_auto: Serve) -> None:
        server = serve_auto(Room(), ANY, compression="context")
        with connect(server) as client:
            for word in ("a" * 100, "b" * 100):
                client.send(word)
                assert client.recv(timeout=20) == word
                server.publish("all", word)
                assert client.recv(timeout=20) == word

    def test_a_list_that_fails_in_part_leaves_no_trace(self, serve_auto: Serve) -> None:
        def handle(conn: WebSocket, message: str) -> str | None:
            if message == "bad":
                conn.send([message * 50, "\ud800"])
                return None
            return message * 50

        with connect(serve_auto(handle, ANY, compression="context")) as client:
            for word in ("good", "bad", "bad and good", "good"):
                client.send(word)
                if word != "bad":
                    assert client.recv(timeout=20) == word * 50

    def test_replies_that_overtake_others(self, stage_async: Stage) -> None:
        async def handle(conn: WebSocket, message: str) -> str:
            conn.send("at once " * 20)
            await asyncio.sleep(0.02 if message.startswith("slow") else 0)
            conn.send("later " * 20)
            return message

        server = stage_async.serve(handle, ANY, compression="context")
        with connect(server) as client:
            words = [("slow " if n % 3 == 0 else "fast ") * 20 + str(n) for n in range(30)]
            for word in words:
                client.send(word)
            got = [client.recv(timeout=20) for _ in range(3 * len(words))]
        assert [word for word in got if word[0] in "sf"] == words
