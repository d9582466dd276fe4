"""websockets: `python ws_websockets.py PORT echo|cast`, on uvloop."""

import asyncio
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

peers: set[ServerConnection] = set()


async def echo(peer: ServerConnection) -> None:
    async for message in peer:
        await peer.send(message)


async def cast(peer: ServerConnection) -> None:
    peers.add(peer)
    try:
        async for message in peer:
            broadcast(peers, message)
    finally:
        peers.discard(peer)


async def run(port: str, mode: str) -> None:
    handler = {"echo": echo, "cast": cast}[mode]
    options = {"compression": None, "ping_interval": None, "backlog": 1024}
    async with serve(handler, "127.0.0.1", int(port), **options):  # type: ignore[arg-type]
        await asyncio.Future()


if __name__ == "__main__":
    uvloop.run(run(*sys.argv[1:]))
