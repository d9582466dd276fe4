"""The same application in uvicorn: what it is asked, and what of an answer must be the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from client import TIMEOUT, wait_for
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


@contextmanager
def in_uvicorn(app: Any) -> Iterator[str]:
    """Serves it in a thread. Yields its URL."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="critical", lifespan="auto", loop="asyncio")
    )
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        wait_for(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


OWN = ("date", "server", "connection", "set-cookie", "content-length", "transfer-encoding")
"""Fields of the server itself, how it says where the body ends, and what tells the time."""


def said(response: httpx.Response, url: str) -> Any:
    """All that the application decides."""
    fields = sorted((k, v.replace(url, "")) for k, v in response.headers.items() if k not in OWN)
    return response.status_code, fields, "set-cookie" in response.headers, response.content


def talk(url: str, path: str, *messages: str | bytes, **options: Any) -> list[Any]:
    """What a WebSocket tells: of the handshake, in answer to each message, and of its end."""
    told: list[Any] = []
    try:
        with connect(url.replace("http", "ws") + path, open_timeout=TIMEOUT, **options) as client:
            assert client.response is not None
            told += [client.subprotocol, client.response.headers.get("x-kind")]
            try:
                for message in messages:
                    client.send(message)
                    told.append(client.recv(TIMEOUT))
            except ConnectionClosed:
                told += [client.close_code, client.close_reason]
    except InvalidStatus as refused:
        told += [refused.response.status_code, refused.response.headers.get("x-why")]
    return told
