"""A guest book with Flask; needs `pip install flask`.

fastloop serve fastloop.examples.flask_app:served --bind http://127.0.0.1:8000
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from html import escape

from flask import Flask, Response, redirect, request
from werkzeug.wrappers import Response as Answer

import fastloop

MOST = 100
"""Entries that are kept."""

PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Guest book</title>
<h1>Guest book</h1>
<form method="post">
  <input name="text" aria-label="Text" required maxlength="200"> <button>Sign</button>
</form>
<ul>{entries}</ul>
"""

app = Flask(__name__)
entries: deque[str] = deque(maxlen=MOST)


@app.get("/")
def index() -> str:
    """The page."""
    return PAGE.format(entries="".join(f"<li>{escape(each)}</li>" for each in entries))


@app.post("/")
def sign() -> Answer:
    """One more entry."""
    entries.appendleft(request.form["text"][:200])
    return redirect("/")


@app.get("/export")
def export() -> Response:
    """All entries, one a line, sent as they are made."""

    def lines() -> Iterator[str]:
        for entry in list(entries):
            yield entry + "\n"

    return Response(lines(), mimetype="text/plain")


served = fastloop.WSGI(app)
