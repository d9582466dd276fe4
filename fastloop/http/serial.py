"""JSON, by orjson where it is installed and else by the standard library, with the same results."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any


def _dumps(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


dumps: Callable[[Any], bytes]
"""A value as JSON (RFC 8259). Raises TypeError or ValueError for what JSON cannot say."""

loads: Callable[[bytes], Any]
"""The value that JSON says. Raises ValueError for what is none."""

try:
    import orjson
except ImportError:
    dumps, loads = _dumps, json.loads
else:
    # Keys that are numbers are written as text, as the standard library does.
    dumps = partial(orjson.dumps, option=orjson.OPT_NON_STR_KEYS)
    loads = orjson.loads
