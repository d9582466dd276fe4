"""socketify: `python socketify_http.py PORT plaintext|json|echo`, on its own router."""

import sys
from typing import Any

import orjson
from socketify import App  # type: ignore[import-not-found]


def plaintext(response: Any, _request: object) -> None:
    response.write_header("Content-Type", "text/plain")
    response.end("Hello, World!")


def json(response: Any, _request: object) -> None:
    response.write_header("Content-Type", "application/json")
    response.end(orjson.dumps({"message": "Hello, World!"}))


def echo(response: Any, _request: object) -> None:
    pieces = []

    def collect(response: Any, piece: bytes, last: bool) -> None:
        pieces.append(piece)
        if last:
            response.write_header("Content-Type", "application/octet-stream")
            response.end(b"".join(pieces))

    response.on_data(collect)


if __name__ == "__main__":
    app = App()
    app.any("/*", {"plaintext": plaintext, "json": json, "echo": echo}[sys.argv[2]])
    app.listen({"host": "127.0.0.1", "port": int(sys.argv[1])}, lambda _config: None)
    app.run()
