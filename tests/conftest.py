"""Every behaviour is tested on every backend of this machine, and under both other models; or in
those ways alone that FASTLOOP_TEST_WAYS names, separated by spaces."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from client import Client
from stage import Stage

import fastloop
from fastloop._ffi import ffi, lib

Serve = Callable[..., fastloop.Server]
Connect = Callable[..., Client]


MODELS = {"threads": "thread-per-connection", "processes": "process-per-connection"}

CHOSEN = os.environ.get("FASTLOOP_TEST_WAYS", "").split()


def chosen(way: str) -> bool:
    """Whether tests are to be run in this way."""
    return not CHOSEN or way in CHOSEN


def backends() -> list[str]:
    """Those that work here."""
    names: list[str] = []
    while (name := lib.fl_backend_name(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return [name for name in names if chosen(name) and lib.fl_backend_probe(name.encode()) == 0]


@pytest.fixture(params=backends())
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a way to wait."""
    name: str = request.param
    return name


WAYS: dict[str, dict[str, str]] = {
    **{name: {"backend": name} for name in backends()},
    **{name: {"model": model} for name, model in MODELS.items() if chosen(name)},
}
"""All ways to serve a connection, as options of a Server."""


APART = ("shared_state", "many_connections")
"""What a process per connection does not hold, or only slowly: markers, see pyproject.toml."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out what a test is marked for: APART and ``event_loop``."""
    items[:] = [item for item in items if not excluded(item)]


def excluded(item: pytest.Item) -> bool:
    """Whether the test's way of serving cannot hold what it asks for."""
    callspec = getattr(item, "callspec", None)
    way = callspec.params.get("way") if callspec is not None else None
    if way not in ("threads", "processes"):
        return False
    if callspec.params.get("blocking"):  # worker threads belong to event loops
        return True
    if way == "processes" and any(map(item.get_closest_marker, APART)):
        return True
    return item.get_closest_marker("event_loop") is not None


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> str:
    """The name of a way to serve connections."""
    name: str = request.param
    return name


@pytest.fixture(params=["asyncio", "uvloop"])
def stage_async(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A stage whose async handlers run on this loop, on a backend that it can wait for."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop").new_event_loop().close()  # it opens what it keeps
    stage = Stage(loop=request.param)
    yield stage
    stage.close()


@pytest.fixture
def stage(way: str) -> Iterator[Stage]:
    """Where servers that serve in this way and their clients play."""
    stage = Stage(**WAYS[way])
    yield stage
    stage.close()


@pytest.fixture
def stage_auto() -> Iterator[Stage]:
    """For what does not depend on how a connection is served."""
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture
def serve_auto(stage_auto: Stage) -> Serve:
    """Starts a server there."""
    return stage_auto.serve


@pytest.fixture
def serve(stage: Stage) -> Serve:
    """Starts a server: ``serve(handler, *binds, framing="line", **options)``."""
    return stage.serve


@pytest.fixture
def connect(stage: Stage) -> Connect:
    """Connects a client: ``connect(server)``."""
    return stage.connect


@pytest.fixture
def answers(serve: Serve, connect: Connect) -> Callable[..., bytes]:
    """What a handler answers to these bytes until the close: ``answers(handler, b"...")``."""

    def run(handler: Any, data: bytes, framing: Any = "line", **options: Any) -> bytes:
        client = connect(serve(handler, framing=framing, **options))
        client.send(data)
        client.finish()
        return client.rest()

    return run
