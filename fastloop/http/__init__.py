"""HTTP for handlers: what they get, what they may return, and which of them a request is for.

    import fastloop

    app = fastloop.Router()

    @app.get("/hello/{name}")
    def hello(request, name):
        return {"hello": name}

    fastloop.serve(app, "http://127.0.0.1:8000")

A handler ``f(request)`` returns

===========================  =====================================================================
``bytes``, ``str``           200 with these bytes, or this text in UTF-8
``dict``, ``list``           200 with JSON, written by orjson if that is installed
``None``                     204, nothing
``Response``                 a status, header fields and cookies of your own, around any of these
an iterator                  pieces of bytes or str as they come, no faster than the peer takes them
``file(path)``               a file, with ranges and conditional requests, without Python
``sse(events)``              Server-Sent Events
===========================  =====================================================================

It raises ``HTTPError(404)`` to answer with an error; whatever else it raises is logged and answered
by 500.
"""

from fastloop.http.errors import HTTPError
from fastloop.http.file import File, file
from fastloop.http.forms import Form, UploadFile
from fastloop.http.multidict import Headers, MultiDict
from fastloop.http.request import BlockingRequest, Request, StreamRequest
from fastloop.http.response import Response, ResponseHeaders, html, json, redirect, text
from fastloop.http.router import Router
from fastloop.http.sse import Event, sse
from fastloop.http.static import Static

__all__ = [
    "BlockingRequest",
    "Event",
    "File",
    "Form",
    "HTTPError",
    "Headers",
    "MultiDict",
    "Request",
    "Response",
    "ResponseHeaders",
    "Router",
    "Static",
    "StreamRequest",
    "UploadFile",
    "file",
    "html",
    "json",
    "redirect",
    "sse",
    "text",
]
