"""ASGI 3: what an application is told and may say, one behaviour after the other."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from client import TIMEOUT, wait_for
from http_client import HttpClient
from stage import Stage

import fastloop
from conftest import backends
from fastloop.asgi.disconnect import is_disconnect
from fastloop.asgi.scope import EXTENSIONS
from fastloop.interface import detect

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

URL = "http://127.0.0.1:0"
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"a/b")]}


def body(data: bytes, *, more: bool = False) -> Message:
    """A part of a response."""
    return {"type": "http.response.body", "body": data, "more_body": more}


class App:
    """Runs a function for each request, and takes part in the lifespan."""

    def __init__(self, run: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.run = run
        self.events: list[str] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.run(scope, receive, send)
            return
        scope["state"]["kept"] = "in startup"
        for _ in range(2):
            event = (await receive())["type"]
            self.events.append(event)
            await send({"type": f"{event}.complete"})


Serve = Callable[..., HttpClient]


@pytest.fixture
def ask(stage_async: Stage) -> Serve:
    """A client of a server of this application."""

    def serve(run: Any, **options: Any) -> HttpClient:
        return HttpClient(stage_async.serve(App(run), URL, framing=None, **options))

    return serve


@pytest.fixture(params=[each for each in backends() if each not in ("poll", "select")])
def stage_polled(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A stage on a backend that asyncio can wait for."""
    stage = Stage(loop="asyncio", backend=request.param)
    yield stage
    stage.close()


@pytest.mark.parametrize("pause", [False, True])
def test_scope(ask: Serve, pause: bool) -> None:
    seen: list[Message] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        seen.append(scope)
        if pause:
            await asyncio.sleep(0)
        await send(START)
        await send(body(b"ok"))

    with ask(run, root_path="/base") as client:
        response = client.ask("GET", "/a%20%C3%A9?b=%20c", None, X_Y="z")
        assert (response.status, response["content-type"], response.text) == (200, "a/b", "ok")
        assert response["content-length"] == "2"
    (scope,) = seen
    assert scope["method"] == "GET"
    assert scope["path"] == "/base/a \xe9"
    assert scope["raw_path"] == b"/base/a%20%C3%A9"
    assert scope["root_path"] == "/base"
    assert scope["query_string"] == b"b=%20c"
    assert (scope["http_version"], scope["scheme"]) == ("1.1", "http")
    assert (b"x-y", b"z") in scope["headers"]
    assert scope["client"][0] == scope["server"][0] == "127.0.0.1"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.4"}
    assert scope["state"] == {"kept": "in startup"}


def test_scopes_share_nothing(ask: Serve) -> None:
    async def run(scope: Message, receive: Receive, send: Send) -> None:
        said = f"{scope['type']} {scope['path']} {sorted(scope['state'])} {scope['extensions']}"
        scope["state"]["other"] = scope["asgi"]["other"] = scope["extensions"]["other"] = 1
        assert len(scope["asgi"]) == 3
        await send(START)
        await send(body(said.encode()))

    with ask(run) as client:
        first = client.get("/%ff").text
        second = client.get("/%ff").text
    assert first == second == f"http /\ufffd ['kept'] {EXTENSIONS}"


@pytest.mark.parametrize("size", [0, 10, 300_000])
def test_bodies_both_ways(ask: Serve, size: int) -> None:
    async def run(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        more = True
        while more:
            event = await receive()
            more = event["more_body"]
            await send(body(event["body"], more=True))
        await send(body(b""))

    data = bytes(range(256)) * (size // 256 + 1)
    with ask(run) as client:
        for _ in range(2):
            response = client.ask("POST", "/", data[:size])
            assert response.body == data[:size]


HEAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\n"


def test_a_cancelled_receive_loses_nothing(ask: Serve) -> None:
    cancelled = threading.Event()

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        waits = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.wait([waits])
        cancelled.set()
        await asyncio.sleep(0.05)  # the piece comes while nobody waits
        found, more = b"", True
        while more:
            event = await receive()
            found, more = found + event["body"], event["more_body"]
        await send(START)
        await send(body(found))

    with ask(run) as client:
        client.send(HEAD)
        assert cancelled.wait(TIMEOUT)
        client.send(b"abc")
        client.send(b"def")
        assert client.response().text == "abcdef"


def test_each_receive_that_waits_gets_a_piece_of_its_own(ask: Serve) -> None:
    waiting, got = threading.Event(), threading.Event()

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        tasks = {asyncio.ensure_future(receive()) for _ in range(3)}
        await asyncio.sleep(0)
        waiting.set()
        done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        got.set()
        more, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        (last,) = tasks
        await send(START)
        await send(body(b"+".join(each.result()["body"] for each in (*done, *more))))
        assert await last == {"type": "http.disconnect"}
        told.set()

    told = threading.Event()
    with ask(run) as client:
        client.send(HEAD)
        assert waiting.wait(TIMEOUT)
        client.send(b"abc")
        assert got.wait(TIMEOUT)
        client.send(b"def")
        assert client.response().text == "abc+def"
        assert told.wait(TIMEOUT)


def test_receive_ends_with_the_response(ask: Serve) -> None:
    ends: list[Message] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        waits = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await send(START)
        await send(body(b"early"))
        ends.append(await waits)

    with ask(run) as client:
        client.send(HEAD)
        assert client.response().text == "early"
        wait_for(lambda: ends == [{"type": "http.disconnect"}])


def test_send_waits_for_a_slow_client(stage_polled: Stage) -> None:
    sent = 0
    over: list[BaseException] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(START)
        try:
            while True:
                await send(body(bytes(65536), more=True))
                sent += 65536
        except OSError as error:
            over.append(error)
            raise

    server = stage_polled.serve(App(run), URL, framing=None)
    client = HttpClient(server)
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert client.client.read(1) == b"H"
    before = -1
    while sent != before:  # as much as the buffers of both ends hold
        before = sent
        threading.Event().wait(0.2)
    assert 0 < sent < 64 * 2**20
    client.client.close()
    wait_for(lambda: bool(over))
    assert isinstance(over[0], fastloop.ConnectionClosed)


def test_the_task_is_current_and_has_a_context_of_its_own(ask: Serve) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    tasks: list[Any] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        before = variable.get()
        tasks.append(asyncio.current_task())
        variable.set(scope["path"])
        if scope["path"] == "/wait":
            async with asyncio.timeout(10):
                await asyncio.sleep(0)
        assert asyncio.current_task() is tasks[-1]
        await send(START)
        await send(body(f"{before} {variable.get()}".encode()))

    with ask(run) as client:
        assert client.get("/now").text == "unset /now"
        assert client.get("/wait").text == "unset /wait"
    assert all(isinstance(task, asyncio.Task) for task in tasks)
    assert tasks[0] is not tasks[1]


@pytest.mark.parametrize("pause", [False, True])
@pytest.mark.parametrize("begun", [0, 1])
def test_errors_before_the_body_are_500(
    ask: Serve, pause: bool, begun: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(scope: Message, receive: Receive, send: Send) -> None:
        if pause:
            await asyncio.sleep(0)
        if begun:
            await send(START)
        raise ValueError("on purpose")

    with ask(run) as client:
        assert client.get("/").status == 500
    assert "on purpose" in caplog.text


def test_errors_behind_it_cut_the_response(ask: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def run(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"part", more=True))
        raise ValueError("on purpose")

    client = ask(run)
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    rest = client.client.rest()
    assert rest.endswith(b"4\r\npart\r\n")
    assert "on purpose" in caplog.text


@pytest.mark.parametrize(
    "messages",
    [[], [START], [body(b"")], [START, START], [{"type": "http.nonsense"}]],
    ids=["none", "no body", "no start", "two starts", "unknown"],
)
def test_what_is_out_of_order(
    ask: Serve, messages: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    async def run(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    with ask(run) as client, caplog.at_level(logging.ERROR):
        assert client.get("/").status == 500
    assert "the ASGI application" in caplog.text


@pytest.mark.parametrize("field", [(b"a", b"b\r\nc: d"), (b"a b", b""), (b"a", b"\0")])
def test_headers_are_checked(ask: Serve, field: tuple[bytes, bytes]) -> None:
    async def run(scope: Message, receive: Receive, send: Send) -> None:
        await send({**START, "headers": [field]})
        await send(body(b"ok"))

    with ask(run) as client:
        assert client.get("/").status == 500


def test_a_stop_is_a_disconnect_to_who_waits_for_it(stage_async: Stage) -> None:
    events: list[str] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        events.append((await receive())["type"])
        events.append((await receive())["type"])

    server = stage_async.serve(App(run), URL, framing=None)
    client = HttpClient(server)
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    wait_for(lambda: events == ["http.request"])
    server.stop(drain=0.2)
    client.client.close()
    wait_for(lambda: events == ["http.request", "http.disconnect"])


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("pieces", [0, 1])
def test_a_peer_that_shuts_its_side_is_told_and_still_answered(
    stage_polled: Stage, version: bytes, pieces: int
) -> None:
    events: list[str] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        if pieces:
            await send(START)
            await send(body(b"a", more=True))
        events.append("asks")
        events.append((await receive())["type"])
        events.append((await receive())["type"])
        if not pieces:
            await send(START)
        await send(body(b"z"))

    client = HttpClient(stage_polled.serve(App(run), URL, framing=None))
    client.send(b"GET / HTTP/%s\r\nhost: a\r\n\r\n" % version)
    wait_for(lambda: events == ["asks"])
    client.client.finish()
    said = client.client.rest()
    assert said.startswith(b"HTTP/1.1 200")
    assert b"z" in said.partition(b"\r\n\r\n")[2]
    assert events == ["asks", "http.disconnect", "http.disconnect"]


def test_a_peer_that_leaves_needs_no_answer(
    stage_polled: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[str] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        while not events or events[-1] != "http.disconnect":
            events.append((await receive())["type"])

    server = stage_polled.serve(App(run), URL, framing=None)
    client = HttpClient(server)
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    wait_for(lambda: events == ["http.request"])
    client.client.close()
    wait_for(lambda: events == ["http.request", "http.disconnect"])
    wait_for(lambda: server.stats().connections == 0)
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


def test_disconnect_follows_a_complete_response(ask: Serve) -> None:
    events: list[str] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await send(START)
        await send(body(b"ok"))
        events.append((await waiting)["type"])
        events.append((await receive())["type"])

    with ask(run) as client:
        assert client.get("/").text == "ok"
        wait_for(lambda: events == ["http.disconnect"] * 2)


def test_pipelined_requests_answer_in_order(ask: Serve) -> None:
    async def run(scope: Message, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05 if scope["path"] == "/0" else 0)
        await send(START)
        await send(body(scope["path"].encode()))

    with ask(run) as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % n for n in range(5)))
        assert [client.response().text for _ in range(5)] == [f"/{n}" for n in range(5)]


def test_cancelled_tasks_are_answered(ask: Serve) -> None:
    async def run(scope: Message, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(10)

    with ask(run) as client:
        assert client.get("/").status == 500
        assert client.get("/").status == 500


def caused(error: BaseException, cause: BaseException) -> BaseException:
    """The error, with its cause."""
    error.__cause__ = cause
    return error


def test_what_came_of_a_disconnect() -> None:
    gone, other = fastloop.ConnectionClosed("gone"), ValueError("other")
    group = ExceptionGroup("some", [caused(RuntimeError("so"), gone), gone])
    assert is_disconnect(group)
    assert is_disconnect(caused(RuntimeError("so"), group))
    assert not is_disconnect(ExceptionGroup("some", [gone, other]))
    assert not is_disconnect(caused(other, caused(RuntimeError("round"), other)))
    member = ValueError("in a group")
    assert not is_disconnect(caused(member, ExceptionGroup("some", [member])))


# -- lifespan --


def test_lifespan(stage_async: Stage) -> None:
    async def run(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"ok"))

    app = App(run)
    server = stage_async.serve(app, URL, framing=None)
    with HttpClient(server) as client:
        assert client.get("/").text == "ok"
    assert app.events == ["lifespan.startup"]
    server.stop()
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]


async def no_lifespan(scope: Message, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send(START)
    await send(body(b"ok"))


@pytest.mark.parametrize("mode", ["auto", "off"])
def test_an_application_without_lifespan(stage_async: Stage, mode: str) -> None:
    server = stage_async.serve(no_lifespan, URL, framing=None, lifespan=mode)
    with HttpClient(server) as client:
        assert client.get("/").text == "ok"


def test_a_startup_that_fails() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(fastloop.FastloopError, match="no database"):
        fastloop.serve(app, URL)


async def hangs_at(scope: Message, receive: Receive, send: Send, when: str) -> None:
    while True:
        event = (await receive())["type"]
        print(event, flush=True)
        if event == f"lifespan.{when}":
            await asyncio.sleep(1000)
        await send({"type": f"{event}.complete"})


async def hangs_at_startup(scope: Message, receive: Receive, send: Send) -> None:
    await hangs_at(scope, receive, send, "startup")


async def hangs_at_shutdown(scope: Message, receive: Receive, send: Send) -> None:
    await hangs_at(scope, receive, send, "shutdown")


@pytest.mark.parametrize("threads", [1, 2])
def test_start_raises_what_the_startup_raises(threads: int) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.02)
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    server = fastloop.Server(app, URL, threads=threads)
    before = set(threading.enumerate())
    with pytest.raises(fastloop.FastloopError, match="no database"):
        server.start()
    assert set(threading.enumerate()) <= before


def test_start_waits_for_the_startup(stage_async: Stage) -> None:
    events: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(0.05)
        events.append("started")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    stage_async.serve(app, URL, framing=None)
    assert events == ["started"]


def test_those_that_started_shut_down_if_another_fails() -> None:
    async def fails(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    app = App(no_lifespan)
    with pytest.raises(fastloop.FastloopError, match="no database"):
        fastloop.serve({URL: app, "http://localhost:0": fails}, interface="asgi")
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]


def test_a_lifespan_that_is_cancelled_at_the_shutdown(caplog: pytest.LogCaptureFixture) -> None:
    async def cancels(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise asyncio.CancelledError

    app = App(no_lifespan)
    apps = {URL: cancels, "http://localhost:0": app}
    with fastloop.Server(apps, interface="asgi"):
        pass
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]
    assert "the application failed at its shutdown" in caplog.text


@pytest.mark.parametrize("which", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("when", ["startup", "shutdown"])
def test_signals_end_what_hangs(when: str, which: str) -> None:
    source = (
        "import sys; sys.path.insert(0, sys.argv[1]); import fastloop, test_asgi;"
        f"server = fastloop.Server(test_asgi.hangs_at_{when}, {URL!r});"
        "server.run(started=lambda: print('started', flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", source, str(Path(__file__).parent)], stdout=subprocess.PIPE
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"lifespan.startup\n"
            number = signal.Signals[which]
            if when == "shutdown":
                assert process.stdout.readline() == b"started\n"
            process.send_signal(number)
            if when == "shutdown":
                assert process.stdout.readline() == b"lifespan.shutdown\n"
                process.send_signal(number)
            process.wait(TIMEOUT)
        finally:
            process.kill()


def test_lifespan_on_wants_one() -> None:
    with pytest.raises(fastloop.FastloopError, match="lifespan"):
        fastloop.serve(no_lifespan, URL, lifespan="on")


@pytest.mark.parametrize("model", ["thread-per-connection", "process-per-connection"])
def test_models_of_one_connection_are_refused(model: str) -> None:
    with pytest.raises(fastloop.ConfigError, match=r"ASGI application no_lifespan .*event-loop"):
        fastloop.Server(no_lifespan, URL, model=model)


@pytest.mark.parametrize("url", ["ws://127.0.0.1:0/", "resp://127.0.0.1:0"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(fastloop.ConfigError, match="an ASGI application serves http://"):
        fastloop.Server(no_lifespan, url)


# -- detection --


class TestDetection:
    def test_by_signature(self) -> None:
        def wsgi(environ: Any, start_response: Any) -> Any: ...
        def handler(request: Any) -> Any: ...

        assert detect(no_lifespan) == "asgi"
        assert detect(App(no_lifespan)) == "asgi"
        assert detect(wsgi) == "wsgi"
        assert detect(handler) == detect(fastloop.Router()) == detect(bytes.upper) == "handler"
        assert detect(handler, "asgi") == "asgi"

    def test_asgi_2(self) -> None:
        class Old:
            def __init__(self, scope: Any) -> None: ...

        with pytest.raises(fastloop.ConfigError, match="ASGI 2"):
            detect(Old)


# -- tasks that are made only if a request waits --


def test_who_knows_the_task_keeps_it(ask: Serve) -> None:
    """A task that somebody holds, has a word with, or names is no other request's."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    kept: list[Any] = []
    told: list[str] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        user = getattr(task, "user", "")
        said = f"{variable.get()} {user} {task.get_name()} {task.cancelling()}"
        await send(START)
        await send(body(said.encode()))
        match scope["path"]:
            case "/hold":
                kept.append(task)
            case "/weakly":
                kept.append(weakref.ref(task))
            case "/callback":
                task.add_done_callback(lambda done: told.append(f"done {done.done()}"))
            case "/name":
                task.set_name("mine")
            case "/variable":
                variable.set("mine")
            case "/cancel":
                task.cancel()
            case "/attribute":
                task.user = "mine"  # type: ignore[attr-defined]

    paths = ("/hold", "/weakly", "/callback", "/name", "/variable", "/cancel", "/attribute")
    with ask(run) as client:
        for path in ("/", *paths, "/"):
            said = client.get(path).text
            assert said.startswith("unset "), path
            assert said.endswith(" 0"), path
            assert "mine" not in said
        wait_for(lambda: kept[0].done() and told == ["done True"])
        assert kept[0].exception() is None
        assert kept[1]() is None


class Equal:
    """Equal to all of its kind, or not to be compared."""

    def __init__(self, word: str, *, compares: bool = True) -> None:
        self.word = word
        self._compares = compares

    def __eq__(self, other: object) -> bool:
        if not self._compares:
            raise ValueError("ask for any or all")
        return isinstance(other, Equal)

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("compares", [True, False])
def test_variables_set_to_something_equal_are_set(compares: bool) -> None:
    variable: contextvars.ContextVar[Equal] = contextvars.ContextVar("variable")

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        said = variable.get().word
        variable.set(Equal("of another request", compares=compares))
        await send(START)
        await send(body(said.encode()))

    async def main() -> list[str]:
        variable.set(Equal("of the program"))
        server = fastloop.Server(App(run), URL)
        task = asyncio.create_task(server.serve())
        await asyncio.sleep(0)

        def talk() -> list[str]:
            with HttpClient(server) as client:
                return [client.get("/").text for _ in range(3)]

        found = await asyncio.to_thread(talk)
        server.stop()
        await task
        return found

    assert asyncio.run(main()) == ["of the program"] * 3


def test_all_tasks_are_those_of_requests_that_wait(ask: Serve) -> None:
    go: list[asyncio.Event] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/wait":
            loops.append(asyncio.get_running_loop())
            go.append(asyncio.Event())
            await go[0].wait()
        await send(START)
        await send(body(b"%d" % len(asyncio.all_tasks())))

    with ask(run) as client:
        quiet = int(client.get("/").text)
        client.send(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        wait_for(lambda: bool(go))
        loops[0].call_soon_threadsafe(go[0].set)
        assert int(client.response().text) in (quiet, quiet + 1)


@pytest.mark.parametrize("then", ["event", "sleep", "nothing"])
def test_cancelling_oneself_before_the_first_wait(ask: Serve, then: str) -> None:
    caught: list[str] = []

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            if then == "event":
                await asyncio.Event().wait()
            elif then == "sleep":
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            caught.append(then)
            task.uncancel()
        await send(START)
        await send(body(b"ok"))

    with ask(run) as client:
        for _ in range(2):
            assert client.get("/").text == "ok"
    assert caught == [then] * 2 if then != "nothing" else not caught
