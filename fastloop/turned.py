"""Which runtimes there are, and which of them a thread turns."""

from __future__ import annotations

import os
import weakref
from threading import local
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastloop.runtime import Runtime

_local = local()
_runtimes: weakref.WeakSet[Runtime] = weakref.WeakSet()


def register(runtime: Runtime) -> None:
    """The child of a fork is to let go of it."""
    _runtimes.add(runtime)


def turned() -> list[Runtime]:
    """The runtimes that this thread turns: several, if it runs asyncio."""
    if not hasattr(_local, "runtimes"):
        _local.runtimes = []
    found: list[Runtime] = _local.runtimes
    return found


def here() -> Runtime | None:
    """A runtime that this thread turns, if there is one."""
    return next(iter(turned()), None)


def _forget_all() -> None:
    turned().clear()  # a child that turns a loop of its own is not in the parent's any more
    for runtime in list(_runtimes):
        runtime.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
