"""socketify: `python ws_socketify.py PORT echo|cast`, with uWebSockets' own topics."""

import sys
from typing import Any

from socketify import App, CompressOptions  # type: ignore[import-not-found]

app = App()


def echo(peer: Any, message: bytes, opcode: Any) -> None:
    peer.send(message, opcode)


def cast(_peer: Any, message: bytes, opcode: Any) -> None:
    app.publish("all", message, opcode)


if __name__ == "__main__":
    app.ws(
        "/*",
        {
            "compression": CompressOptions.DISABLED,
            "open": lambda peer: peer.subscribe("all"),
            "message": {"echo": echo, "cast": cast}[sys.argv[2]],
        },
    )
    app.listen({"host": "127.0.0.1", "port": int(sys.argv[1])}, lambda _config: None)
    app.run()
