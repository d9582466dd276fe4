"""Files by HTTP: what it costs to send one that is in the page cache."""

from __future__ import annotations

from functools import partial

import client
import roster
from case import Case, Ratio
from client import Sample
from harness import Server, document

SIZES = (
    ("1k", 1024, "1 KiB", 64, 0.7),
    ("100k", 100 * 1024, "100 KiB", 64, 1.0),
    ("10m", 10 * 1024 * 1024, "10 MiB", 8, 1.0),
)
"""Case, bytes of the file, the same for the title, connections, ratio to nginx to reach."""


def _measure(server: Server, file: str, size: int, connections: int, seconds: float) -> Sample:
    prefix = "/static" if server.name == roster.GRANIAN else ""
    what = client.getting(f"{prefix}/{file}", document(file, size))
    return client.load(server, what, connections=connections, seconds=seconds)


def cases(quick: bool) -> list[Case]:
    """Return the tables of this suite."""
    return [
        Case(
            name,
            f"a file of {title}, {connections} connections",
            (roster.nginx(), roster.fastloop_files(), roster.granian("plaintext")),
            partial(
                _measure,
                file=f"{name}.bin",
                size=size,
                connections=connections,
                seconds=0.5 if quick else 3,
            ),
            (Ratio(roster.NGINX, reach),),
        )
        for name, size, title, connections, reach in SIZES
    ]
