"""What uvicorn serves: `uvicorn ws_asgi:echo`, `ws_asgi:cast`."""

from asgi import Message, Receive, Send

peers: set[Send] = set()


async def echo(_scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"]})


async def cast(_scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    peers.add(send)
    try:
        while (message := await receive())["type"] == "websocket.receive":
            for peer in peers:
                await peer({"type": "websocket.send", "bytes": message["bytes"]})
    finally:
        peers.discard(send)
