"""A FastAPI application; needs `pip install fastapi`.

fastloop serve fastloop.examples.fastapi_app:app --bind http://127.0.0.1:8000
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI(title="fastloop")


@app.get("/")
async def root(name: str = "world") -> dict[str, str]:
    """Greets."""
    return {"message": f"Hello, {name}!"}


@app.get("/ticks")
async def ticks(count: int = 3) -> StreamingResponse:
    """Sends a line now and then."""

    async def lines() -> AsyncIterator[str]:
        for n in range(count):
            yield f"{n}\n"
            await asyncio.sleep(0.1)

    return StreamingResponse(lines(), media_type="text/plain")
