"""WSGI (PEP 3333): what Flask, Django, Bottle and their like are written against.

    fastloop.serve(fastloop.WSGI(app), "http://127.0.0.1:8000")

An application runs in the loop's own thread, one request after the other: the fastest way for one
that computes. One that waits, for a database or another server, holds up everybody else there: give
it threads by ``blocking=N``. Its request bodies are read as they arrive then, and gathered before
the call otherwise.
"""

from fastloop.wsgi.marker import WSGI

__all__ = ["WSGI"]
