"""The suites: what is asked of whom, and which figures answer it."""

from __future__ import annotations

from collections.abc import Callable

from case import Case

from . import asgi, beside_idle, echo, http, idle, kv, latency, static, threads, ws, wsgi

SUITES: dict[str, Callable[[bool], list[Case]]] = {
    "kv": kv.cases,
    "echo": echo.cases,
    "http": http.cases,
    "static": static.cases,
    "wsgi": wsgi.cases,
    "asgi": asgi.cases,
    "ws": ws.cases,
    "idle": idle.cases,
    "beside-idle": beside_idle.cases,
    "latency": latency.cases,
    "threads": threads.cases,
}
"""By name; the argument asks for a quick run, to see that all works rather than to publish."""
