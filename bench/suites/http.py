"""HTTP/1.1, kept alive: what a request costs with a Python function behind each of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import client
import roster
from case import Case, Ratio
from client import Sample
from harness import Contender, Server, document

TEXT, TEXT_TYPE = "Hello, World!", "application/octet-stream"
JSON, JSON_TYPE = '{"message":"Hello, World!"}', "application/json"
POSTED = 10_240


def _peers(app: str) -> tuple[Contender, ...]:
    return (
        roster.granian(app),
        roster.fastpysgi(app),
        roster.socketify(app),
        roster.uvicorn(app),
    )


def _get(app: str, connections: int, depth: int, quick: bool) -> Callable[[Server], Sample]:
    text = JSON if app == "json" else TEXT
    return partial(
        client.load,
        what=client.getting(f"/{app}", document(f"{app}.txt", len(text), text.encode())),
        connections=connections,
        depth=depth,
        seconds=0.5 if quick else 3,
    )


def cases(quick: bool) -> list[Case]:
    """Return the tables of this suite."""
    plaintext = (
        roster.floor("http", TEXT_TYPE, TEXT),
        roster.fastloop_http("plaintext"),
        roster.fastloop_http("plaintext", "io_uring"),
        roster.nginx(),
        *_peers("plaintext"),
    )
    json = (
        roster.floor("http", JSON_TYPE, JSON),
        roster.fastloop_http("json"),
        roster.fastloop_http("json", "io_uring"),
        roster.nginx(),
        *_peers("json"),
    )
    echo = (
        roster.floor("post"),
        roster.fastloop_http("echo"),
        roster.fastloop_http("echo", "io_uring"),
        *_peers("echo"),
    )
    floor, nginx = roster.FLOOR, roster.NGINX
    return [
        Case(
            "plaintext",
            "HTTP plaintext, 64 connections",
            plaintext,
            _get("plaintext", 64, 1, quick),
            (Ratio(floor, 1.2), Ratio(nginx, 1.0)),
        ),
        Case(
            "plaintext-1000",
            "HTTP plaintext, 1,000 busy connections",
            plaintext,
            _get("plaintext", 1000, 1, quick),
            (Ratio(floor), Ratio(nginx, 1.0)),
        ),
        Case(
            "plaintext-16",
            "HTTP plaintext, 64 connections, 16 at once",
            plaintext,
            _get("plaintext", 64, 16, quick),
            (Ratio(floor, 1.2 / 0.44), Ratio(roster.SOCKETIFY, 0.3)),
        ),
        Case(
            "json",
            "HTTP JSON, 64 connections",
            json,
            _get("json", 64, 1, quick),
            (Ratio(floor), Ratio(nginx)),
        ),
        Case(
            "post",
            "HTTP echo of 10 KiB posted, 64 connections",
            echo,
            partial(
                client.load,
                what=client.posting("/echo", POSTED),
                connections=64,
                seconds=0.5 if quick else 3,
            ),
            (Ratio(floor),),
        ),
    ]
