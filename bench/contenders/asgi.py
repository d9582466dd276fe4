"""What uvicorn serves: `uvicorn asgi:plaintext`, `asgi:json`, `asgi:echo`."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def answer(send: Send, kind: bytes, body: bytes) -> None:
    """Send a whole response."""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def plaintext(_scope: Message, _receive: Receive, send: Send) -> None:
    await answer(send, b"text/plain", b"Hello, World!")


async def json(_scope: Message, _receive: Receive, send: Send) -> None:
    await answer(send, b"application/json", orjson.dumps({"message": "Hello, World!"}))


async def echo(_scope: Message, receive: Receive, send: Send) -> None:
    message = await receive()
    body = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    await answer(send, b"application/octet-stream", body)
