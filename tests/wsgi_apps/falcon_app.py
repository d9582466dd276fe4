"""Falcon: cookies, uploads, streaming, files, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import falcon
from falcon import Request, Response


class Index:
    def on_get(self, request: Request, response: Response) -> None:
        response.text = "Hello, World!"

    on_head = on_get


class Echo:
    def on_get(self, request: Request, response: Response, rest: str) -> None:
        response.media = {
            "method": request.method,
            "path": request.path,
            "rest": rest,
            "url": request.uri,
            "args": request.params,
            "data": request.bounded_stream.read().decode(),
            "agent": request.user_agent,
            "custom": request.get_header("x-custom"),
            "length": request.content_length,
            "cookies": request.cookies,
        }

    on_post = on_put = on_get


class Count:
    def on_get(self, request: Request, response: Response) -> None:
        n = int(request.cookies.get("n", "0")) + 1
        response.set_cookie("n", str(n), secure=False)
        response.media = {"n": n}


class Upload:
    def on_post(self, request: Request, response: Response) -> None:
        files: dict[str, Any] = {}
        form = {}
        for part in request.get_media():
            if part.filename is None:
                form[part.name] = part.text
            else:
                files[part.name] = (part.filename, len(part.stream.read()))
        response.media = {"files": files, "form": form}


class Stream:
    def on_get(self, request: Request, response: Response) -> None:
        response.content_type = "text/plain"
        response.stream = (f"{n}\n".encode() * n for n in range(50))

    on_head = on_get


class File:
    def on_get(self, request: Request, response: Response) -> None:
        path = Path(__file__)
        response.content_type = "text/plain"
        response.set_stream(path.open("rb"), path.stat().st_size)

    on_head = on_get


class Big:
    def on_get(self, request: Request, response: Response) -> None:
        response.text = "x" * 200_000
        response.status = falcon.HTTP_203
        response.set_header("X-Big", "y" * 5000)


class Away:
    def on_get(self, request: Request, response: Response) -> None:
        raise falcon.HTTPFound("/")


class Fail:
    def on_get(self, request: Request, response: Response) -> None:
        raise ValueError("on purpose")


class Nothing:
    def on_get(self, request: Request, response: Response) -> None:
        response.status = falcon.HTTP_204


app = falcon.App()
app.add_route("/", Index())
app.add_route("/echo/{rest:path}", Echo())
app.add_route("/none", Nothing())
for each in (Count, Upload, Stream, File, Big, Away, Fail):
    app.add_route(f"/{each.__name__.lower()}", each())
