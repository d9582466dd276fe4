"""What granian serves: `granian --interface rsgi ws_rsgi:echo`, `ws_rsgi:cast`."""

from typing import Any

CLOSED = 0
peers: set[Any] = set()


async def echo(_scope: object, protocol: Any) -> None:
    peer = await protocol.accept()
    while (message := await peer.receive()).kind != CLOSED:
        await peer.send_bytes(message.data)


async def cast(_scope: object, protocol: Any) -> None:
    own = await protocol.accept()
    peers.add(own)
    try:
        while (message := await own.receive()).kind != CLOSED:
            for peer in peers:
                await peer.send_bytes(message.data)
    finally:
        peers.discard(own)
