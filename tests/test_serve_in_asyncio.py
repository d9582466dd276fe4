"""A server as one of the tasks of a user's own asyncio program."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from client import TIMEOUT

import fastloop


def upper(line: bytes) -> bytes:
    """A plain handler: it runs on the user's loop as well."""
    return line.upper()


async def upper_later(line: bytes) -> bytes:
    """The same, but async."""
    await asyncio.sleep(0)
    return line.upper()


async def ask(server: fastloop.Server, line: bytes) -> bytes:
    """One question by asyncio's own client, on the same loop."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(line)
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer


async def begin(server: fastloop.Server) -> asyncio.Task[None]:
    """Starts serving in a task."""
    task = asyncio.create_task(server.serve())
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("handler", [upper, upper_later])
def test_cancelled(handler: object) -> None:
    async def main() -> None:
        server = fastloop.Server(handler, "tcp://127.0.0.1:0", framing="line")
        task = await begin(server)
        port = server.port
        assert await asyncio.gather(*(ask(server, b"a\n") for _ in range(5))) == [b"A\n"] * 5
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(asyncio.wait_for(main(), TIMEOUT))


@pytest.mark.parametrize("handler", [upper, upper_later])
def test_stopped_on_its_loop(handler: object) -> None:
    async def main() -> None:
        server = fastloop.Server(handler, "tcp://127.0.0.1:0", framing="line")
        task = await begin(server)
        assert await ask(server, b"a\n") == b"A\n"
        server.stop()
        await task

    asyncio.run(asyncio.wait_for(main(), TIMEOUT))


def test_stopped_from_another_thread() -> None:
    async def main() -> None:
        server = fastloop.Server(upper, "tcp://127.0.0.1:0", framing="line")
        task = await begin(server)
        assert await ask(server, b"a\n") == b"A\n"
        await asyncio.to_thread(server.stop)
        await task

    asyncio.run(asyncio.wait_for(main(), TIMEOUT))


def test_idle_does_not_turn() -> None:
    """The user's loop goes round, ours does not."""

    async def main() -> None:
        server = fastloop.Server(upper, "tcp://127.0.0.1:0", framing="line")
        task = await begin(server)
        assert await ask(server, b"a\n") == b"A\n"
        await asyncio.sleep(0.3)
        before = server.stats().turns
        for _ in range(100):
            await asyncio.sleep(0.001)
        assert server.stats().turns - before <= 2
        server.stop()
        await task

    asyncio.run(asyncio.wait_for(main(), TIMEOUT))


def test_a_server_serves_once() -> None:
    server = fastloop.Server(upper, "tcp://127.0.0.1:0", framing="line")
    with server, pytest.raises(fastloop.FastloopError, match="already"):
        server.start()


def test_threads_are_refused() -> None:
    server = fastloop.Server(upper, "tcp://127.0.0.1:0", framing="line", threads=2)
    with pytest.raises(fastloop.ConfigError, match="threads"):
        asyncio.run(server.serve())


def test_a_plain_handler_that_raises_cancelled_error() -> None:
    """It is no cancellation of whoever turns the loop."""

    def cancels(request: fastloop.Request) -> str:
        if request.path == "/bad":
            raise asyncio.CancelledError
        return "ok"

    async def answer(server: fastloop.Server, path: bytes) -> bytes:
        line = b"GET %s HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" % path
        return await ask(server, line)

    async def main() -> None:
        server = fastloop.Server(cancels, "http://127.0.0.1:0")
        task = await begin(server)
        paths = (b"/", b"/bad", b"/", b"/bad", b"/")
        found = await asyncio.gather(*(answer(server, path) for path in paths))
        assert [int(each.split()[1]) for each in found] == [200, 500, 200, 500, 200]
        server.stop()
        await task

    asyncio.run(asyncio.wait_for(main(), TIMEOUT))


def test_a_call_soon_of_the_user_stays() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        calls = []
        real = loop.call_soon

        def call_soon(*args: Any, **options: Any) -> asyncio.Handle:
            calls.append(args)
            return real(*args, **options)

        loop.call_soon = call_soon  # type: ignore[method-assign]
        server = fastloop.Server(upper_later, "tcp://127.0.0.1:0", framing="line")
        task = await begin(server)
        assert await ask(server, b"a\n") == b"A\n"
        assert loop.call_soon is call_soon
        assert calls
        server.stop()
        await task

    asyncio.run(asyncio.wait_for(main(), TIMEOUT))
