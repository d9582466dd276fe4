"""Handlers that wait: what holds up an event loop, and what does not.

A message "slow" waits for 50 ms, as for a database that answers late. "read" reads a file of which
nothing is in memory: the file that the environment variable FILE names, whose pages the kernel is
told to drop first. Any other message comes back at once.
"""

from __future__ import annotations

import asyncio
import os
import time

import fastloop

SECONDS = 0.05
SLOW, READ = b"slow", b"read"
PIECE = 1 << 20


def sleeping(message: bytes) -> bytes:
    """Wait in the thread that runs handlers: the loop's own, or with blocking=N one of N."""
    if message == SLOW:
        time.sleep(SECONDS)
    return message


async def awaiting(message: bytes) -> bytes:
    """Wait as asyncio does: the loop goes on meanwhile."""
    if message == SLOW:
        await asyncio.sleep(SECONDS)
    return message


def forget(path: str) -> None:
    """Have the kernel drop what it keeps of a file."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def reading(message: bytes) -> bytes:
    """Read in the thread that runs handlers."""
    if message == READ:
        path = os.environ["FILE"]
        forget(path)
        with open(path, "rb", buffering=0) as file:
            file.read()
    return message


async def pooled(message: bytes) -> bytes:
    """Read on the core's pool of threads, a mebibyte at a time: each piece is handed over by the
    loop's thread, which has to copy it."""
    if message == READ:
        path = os.environ["FILE"]
        forget(path)
        offset = 0
        while data := await fastloop.read_file(path, offset=offset, count=PIECE):
            offset += len(data)
    return message
