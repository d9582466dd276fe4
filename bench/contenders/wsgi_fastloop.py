"""The applications of wsgi.py, for `fastloop serve wsgi_fastloop.py:raw`."""

from __future__ import annotations

import sys
from pathlib import Path

import fastloop

sys.path.insert(0, str(Path(__file__).parent))

import wsgi


def __getattr__(name: str) -> fastloop.WSGI:
    """Return `raw`, `flask` or `django`."""
    if name.startswith("_"):
        raise AttributeError(name)
    return fastloop.WSGI(wsgi.make(name))
