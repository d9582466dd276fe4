"""What granian serves: `granian --interface rsgi rsgi:plaintext`, `rsgi:json`, `rsgi:echo`."""

from typing import Any

import orjson

TEXT = [("content-type", "text/plain")]
JSON = [("content-type", "application/json")]
BYTES = [("content-type", "application/octet-stream")]


async def plaintext(_scope: object, protocol: Any) -> None:
    protocol.response_bytes(200, TEXT, b"Hello, World!")


async def json(_scope: object, protocol: Any) -> None:
    protocol.response_bytes(200, JSON, orjson.dumps({"message": "Hello, World!"}))


async def echo(_scope: object, protocol: Any) -> None:
    protocol.response_bytes(200, BYTES, await protocol())
