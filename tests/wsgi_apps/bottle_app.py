"""Bottle: signed cookies, uploads, streaming, files, errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bottle import Bottle, HTTPResponse, redirect, request, response, static_file

app = Bottle()


@app.get("/")
def index() -> str:
    return "Hello, World!"


@app.route("/echo/<rest:path>", method=["GET", "POST", "PUT"])
def echo(rest: str) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.path,
        "rest": rest,
        "url": request.url,
        "args": {name: request.query.getall(name) for name in request.query},
        "form": {name: request.forms.getall(name) for name in request.forms},
        "data": request.body.read().decode("latin-1"),
        "agent": request.get_header("user-agent"),
        "custom": request.get_header("x-custom"),
        "length": request.content_length,
        "cookies": dict(request.cookies),
    }


@app.get("/count")
def count() -> dict[str, Any]:
    n = (request.get_cookie("n", secret="for tests") or 0) + 1
    response.set_cookie("n", n, secret="for tests")
    return {"n": n}


@app.post("/upload")
def upload() -> dict[str, Any]:
    files = {
        name: (each.raw_filename, len(each.file.read())) for name, each in request.files.items()
    }
    return {"files": files, "form": dict(request.forms)}


@app.get("/stream")
def stream() -> Iterator[str]:
    response.content_type = "text/plain"
    for n in range(50):
        yield f"{n}\n" * n


@app.get("/file")
def file() -> Any:
    path = Path(__file__)
    return static_file(path.name, path.parent, mimetype="text/plain")


@app.get("/big")
def big() -> HTTPResponse:
    return HTTPResponse("x" * 200_000, 203, {"X-Big": "y" * 5000})


@app.get("/away")
def away() -> None:
    redirect("/", 302)


@app.get("/fail")
def fail() -> str:
    raise ValueError("on purpose")


@app.get("/none")
def none() -> HTTPResponse:
    return HTTPResponse(status=204)
