"""Flask: sessions, uploads, streaming, files, errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, redirect, request, send_file, session, url_for

app = Flask(__name__)
app.secret_key = "for tests"
app.config["PROPAGATE_EXCEPTIONS"] = False


@app.route("/")
def index() -> str:
    return "Hello, World!"


@app.route("/echo/<path:rest>", methods=["GET", "POST", "PUT", "DELETE"])
def echo(rest: str) -> Response:
    return jsonify(
        method=request.method,
        path=request.path,
        rest=rest,
        url=request.url,
        args=request.args.to_dict(flat=False),
        form=request.form.to_dict(flat=False),
        data=request.get_data(as_text=True),
        agent=request.headers.get("user-agent"),
        custom=request.headers.get("x-custom"),
        length=request.content_length,
        cookies=request.cookies.to_dict(),
    )


@app.route("/count")
def count() -> dict[str, Any]:
    session["n"] = session.get("n", 0) + 1
    return {"n": session["n"]}


@app.route("/upload", methods=["POST"])
def upload() -> dict[str, Any]:
    files = {name: (each.filename, len(each.read())) for name, each in request.files.items()}
    return {"files": files, "form": request.form.to_dict()}


@app.route("/stream")
def stream() -> Response:
    def pieces() -> Iterator[str]:
        for n in range(50):
            yield f"{n}\n" * n

    return Response(pieces(), mimetype="text/plain")


@app.route("/file")
def file() -> Response:
    return send_file(Path(__file__), mimetype="text/plain", conditional=True, etag="fixed")


@app.route("/big")
def big() -> tuple[str, int, dict[str, str]]:
    return "x" * 200_000, 203, {"X-Big": "y" * 5000}


@app.route("/away")
def away() -> Any:
    return redirect(url_for("index"))


@app.route("/fail")
def fail() -> str:
    raise ValueError("on purpose")


@app.route("/none")
def none() -> tuple[str, int]:
    return "", 204
