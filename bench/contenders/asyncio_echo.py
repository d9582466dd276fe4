"""asyncio: `python asyncio_echo.py PORT raw|line|busy_1ms`; a Protocol, its fastest interface."""

import asyncio
import sys
from typing import cast

import handlers


class Raw(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = cast(asyncio.WriteTransport, transport).write

    def data_received(self, data: bytes) -> None:
        self.write(handlers.raw(data))


class Line(Raw):
    rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.write(b"\n".join([*map(handlers.line, lines), b""]))  # one write for all of them


class Busy(Raw):
    def data_received(self, data: bytes) -> None:
        self.write(handlers.busy_1ms(data))


async def serve(port: str, mode: str) -> None:
    protocol = {"raw": Raw, "line": Line, "busy_1ms": Busy}[mode]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", int(port), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
