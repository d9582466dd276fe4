"""picows: `python ws_picows.py PORT echo|cast`, on uvloop."""

import sys

import uvloop
from picows import (  # type: ignore[import-not-found]
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_create_server,
)

peers: set[WSTransport] = set()


class Echo(WSListener):  # type: ignore[misc]
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            transport.send(WSMsgType.BINARY, frame.get_payload_as_bytes())


class Cast(WSListener):  # type: ignore[misc]
    def on_ws_connected(self, transport: WSTransport) -> None:
        peers.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        peers.discard(transport)

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            message = frame.get_payload_as_bytes()
            for peer in peers:
                peer.send(WSMsgType.BINARY, message)


async def serve(port: str, mode: str) -> None:
    kind = {"echo": Echo, "cast": Cast}[mode]
    server = await ws_create_server(lambda _request: kind(), "127.0.0.1", int(port), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]))
