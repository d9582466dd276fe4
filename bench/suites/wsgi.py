"""WSGI, kept alive: what a request costs a bare application, Flask and Django on each server.

uWSGI is not among them: it leaves out the length of these responses, and closes after each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import client
import roster
from case import Case, Ratio
from client import Sample
from harness import Contender, Server, document

TEXT = "Hello, World!"
BARE = {"raw": "a bare application", "flask": "Flask", "django": "Django"}


def _servers(app: str) -> tuple[Contender, ...]:
    return (
        roster.fastloop_wsgi(app),
        roster.fastpysgi_wsgi(app),
        roster.granian_wsgi(app),
        roster.gunicorn(app),
    )


def _get(app: str, quick: bool) -> Callable[[Server], Sample]:
    return partial(
        client.load,
        what=client.getting(f"/{app}", document("wsgi.txt", len(TEXT), TEXT.encode())),
        connections=64,
        seconds=0.5 if quick else 3,
    )


def cases(quick: bool) -> list[Case]:
    """Return the tables of this suite."""
    found = []
    for app, what in BARE.items():
        floor = (roster.floor("http", "text/plain", TEXT),) if app == "raw" else ()
        ratios = [Ratio(roster.FASTPYSGI, 0.95)]
        if floor:
            ratios.append(Ratio(roster.FLOOR, 1.25))
        title = f"WSGI, {what}, 64 connections"
        contenders = (*floor, *_servers(app))
        found.append(Case(f"wsgi-{app}", title, contenders, _get(app, quick), tuple(ratios)))
    return found
