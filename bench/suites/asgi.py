"""ASGI, kept alive: what a request costs a bare application, Starlette and FastAPI everywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import client
import roster
from case import Case, Ratio
from client import Sample
from harness import Contender, Server, document

TEXT = "Hello, World!"
APPS = {"raw": "a bare application", "starlette": "Starlette", "fastapi": "FastAPI, JSON"}


def _servers(app: str) -> tuple[Contender, ...]:
    return (
        roster.fastloop_asgi(app),
        roster.fastpysgi_asgi(app),
        roster.granian_asgi(app),
        roster.uvicorn_asgi(app),
        roster.hypercorn(app),
    )


def _get(app: str, quick: bool) -> Callable[[Server], Sample]:
    body = (f'{{"message":"{TEXT}"}}' if app == "fastapi" else TEXT).encode()
    return partial(
        client.load,
        what=client.getting(f"/{app}", document(f"asgi-{app}.txt", len(body), body)),
        connections=64,
        seconds=0.5 if quick else 3,
    )


def cases(quick: bool) -> list[Case]:
    """Return the tables of this suite."""
    found = []
    for app, what in APPS.items():
        reach = 0.65 if app == "raw" else 1.0
        peers = (roster.UVICORN, roster.GRANIAN, roster.FASTPYSGI)
        ratios = tuple(Ratio(each, reach) for each in peers)
        title = f"ASGI, {what}, 64 connections"
        found.append(Case(f"asgi-{app}", title, _servers(app), _get(app, quick), ratios))
    return found
