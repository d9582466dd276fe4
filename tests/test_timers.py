"""Calls that are due later: their order, cancelling, and timers that set timers."""

from __future__ import annotations

import time

import pytest
from client import wait_for

import fastloop
from conftest import Serve

LONG = 3600.0


def echo(line: bytes) -> bytes:
    """Answers a line with itself."""
    return line


def test_timers_in_order(serve: Serve) -> None:
    server = serve(echo)
    calls: list[str] = []
    server.call_later(0.06, calls.append, "third")
    server.call_later(0.02, calls.append, "first")
    server.call_later(0.04, calls.append, "second")
    cancelled = server.call_later(0.01, calls.append, "never")
    cancelled.cancel()
    cancelled.cancel()
    server.call_later(0.08, calls.append, "last")
    wait_for(lambda: "last" in calls)
    assert calls == ["first", "second", "third", "last"]


def test_timers_that_add_timers(serve: Serve) -> None:
    """Ever another one, of no time at all; others and messages get their turn as well."""
    server = serve(echo)
    calls: list[int] = []

    def again() -> None:
        calls.append(len(calls))
        if len(calls) < 500:
            server.call_later(0, again)

    server.call_later(0, again)
    wait_for(lambda: len(calls) == 500)


def test_a_cancelled_timer_leaves_its_place_unharmed(serve: Serve) -> None:
    """Both are due in one turn; the first cancels the second and sets a new one."""
    server = serve(echo)
    calls: list[str] = []
    timers: list[fastloop.Timer] = []

    def first() -> None:
        timers[0].cancel()
        server.call_later(LONG, calls.append, "too soon")
        server.call_later(0.05, calls.append, "end")

    def hold_up() -> None:
        timers.append(server.call_later(0.02, calls.append, "cancelled"))
        server.call_later(0.01, first)
        time.sleep(0.1)

    server.call_soon_threadsafe(hold_up)
    wait_for(lambda: calls)
    assert calls == ["end"]


def test_a_timer_that_raises(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(echo)
    calls: list[int] = []
    server.call_later(0, lambda: 1 // 0)
    server.call_later(0.01, calls.append, 1)
    wait_for(lambda: calls)
    assert "ZeroDivisionError" in caplog.text
