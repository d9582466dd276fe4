"""The cases of the Autobahn test suite, which most implementations of WebSocket are judged by.

The suite's own runner needs Python 2; `kosoku` drives the same case files. All of its cases of
framing, pings, reserved bits, opcodes, fragments, UTF-8 and closing (1 to 7 and 10) run here, and
those of size (9); of compression (12, 13), which are a thousand messages each in 18 sizes, a few.
With FASTLOOP_AUTOBAHN=all they run in all sizes, some minutes long, but for the three smallest: we
send these uncompressed, as RFC 7692 allows, and kosoku 0.1 then fails by a mistake of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
from test_websocket import ANY
from ws_client import compressed

from conftest import Serve

pytest.importorskip("kosoku")

EVERYTHING = os.environ.get("FASTLOOP_AUTOBAHN") == "all"
SIZES = range(4, 19) if EVERYTHING else (4,)
"""Of messages of compression: from 1 KiB on."""
FRAGMENTED = ["12.1.11", "13.3.11"]
"""Some of 8 KiB, in fragments of 256 bytes."""
UNDEFINED = {"7.1.6", "7.13.1", "7.13.2"}
"""Cases without a verdict: what they do is not defined."""


RUN = """
import asyncio, json, os, sys
import kosoku

url, *cases = sys.argv[1:]
try:
    results = asyncio.run(kosoku.run_fuzzingclient(url, cases, concurrency=16))
except kosoku.FailureError as error:
    sys.exit(str(error))
told = [[r.case_id, r.behavior.value, r.behavior_close.value] for r in results]
print(json.dumps(told), flush=True)
os._exit(0)
"""
"""In a process of its own, since it keeps threads and descriptors; with 0.1, threads that now and
then abort an interpreter that ends in the usual way.
"""


def judge(serve: Serve, cases: Sequence[str], **options: str) -> None:
    """Runs cases against an echo server: all must be right, and end in the right way."""
    server = serve(lambda message: message, ANY, max_message="16m", max_unsent="64m", **options)
    command = [sys.executable, "-c", RUN, f"ws://127.0.0.1:{server.port}", *cases]
    # A sanitizer that watches our server would not understand a client that it did not build.
    environ = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=1800, env=environ
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) >= len(cases)
    for case, *verdicts in results:
        expected = "INFORMATIONAL" if case in UNDEFINED else "OK"
        assert (case, *verdicts) == (case, expected, expected)


@pytest.mark.many_connections
def test_rules(serve: Serve) -> None:
    judge(serve, [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 10)])


def test_sizes(serve_auto: Serve) -> None:
    judge(serve_auto, ["9.*"])


@compressed
@pytest.mark.parametrize("compression", ["deflate", "context"])
def test_compression(serve_auto: Serve, compression: str) -> None:
    groups = [f"12.{n}" for n in range(1, 6)] + [f"13.{n}" for n in range(1, 8)]
    cases = [f"{group}.{size}" for group in groups for size in SIZES]
    judge(serve_auto, cases if EVERYTHING else cases + FRAGMENTED, compression=compression)
