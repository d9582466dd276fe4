"""Startup and shutdown of an ASGI application: the lifespan protocol 2.0."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from fastloop.errors import StartupError

log = logging.getLogger("fastloop")

Message = dict[str, Any]


class Lifespan:
    """The lifespan of one application on one event loop.

    ``mode`` is the option of that name: "on" makes an application that does not take part an error,
    "off" does not ask it.
    """

    def __init__(self, app: Callable[..., Any], mode: str) -> None:
        self._app = app
        self._mode = mode
        self.state: dict[str, Any] = {}
        """What the application put into ``scope["state"]``; each request gets a copy."""
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._said: dict[str, Message] = {}
        self._step = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._supported = False

    async def startup(self) -> None:
        """Waits until the application started; again does nothing. Raises StartupError."""
        if self._mode == "off" or self._task is not None:
            return
        self._task = asyncio.get_running_loop().create_task(self._run())
        await self._ask("startup")
        failed = self._said.get("lifespan.startup.failed")
        if failed is not None:
            raise StartupError(f"the application did not start: {failed.get('message', '')}")
        if "lifespan.startup.complete" in self._said:
            self._supported = True
            return
        error = self._error()
        why = "it returned" if error is None else f"{type(error).__name__}: {error}"
        if self._mode == "on":
            raise StartupError(f"the application does not take lifespan events ({why})") from error
        log.info("the application takes no lifespan events (%s)", why)

    async def shutdown(self) -> None:
        """Waits until the application has shut down; again does nothing."""
        if not self._supported or self._task is None:
            return
        self._supported = False
        await self._ask("shutdown")
        failed = self._said.get("lifespan.shutdown.failed")
        error = self._error()
        if failed is not None:
            log.error("the application did not shut down: %s", failed.get("message", ""))
        elif error is not None:
            log.error("the application failed at its shutdown", exc_info=error)

    def _error(self) -> BaseException | None:
        """What it ended by, if it did and not in peace."""
        if self._task is None or not self._task.done():
            return None
        return asyncio.CancelledError() if self._task.cancelled() else self._task.exception()

    async def _ask(self, what: str) -> None:
        self._step.clear()
        self._events.put_nowait({"type": f"lifespan.{what}"})
        task = self._task
        assert task is not None
        said = asyncio.ensure_future(self._step.wait())
        try:
            await asyncio.wait((said, task), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            said.cancel()

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        await self._app(scope, self._events.get, self._send)

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if not kind.startswith("lifespan."):
            raise RuntimeError(f"{kind!r} is no message of the lifespan protocol")
        self._said[kind] = message
        self._step.set()
