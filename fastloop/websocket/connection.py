"""A WebSocket as handlers see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastloop._ffi import ffi, lib
from fastloop.connection import Connection
from fastloop.crossing import MARK
from fastloop.errors import ConnectionClosed

if TYPE_CHECKING:
    from fastloop.http.request import Request

ABNORMAL = 1006
"""The code that stands for an end without a close frame (RFC 6455, section 7.4.1)."""

LONGEST_REASON = 123
"""Bytes of UTF-8 (RFC 6455, section 5.5.1)."""


def check_close(code: int, reason: str) -> None:
    """Raises ValueError for what a close frame cannot say (RFC 6455, sections 5.5.1 and 7.4), and
    TypeError for a code that is no int.
    """
    if not isinstance(code, int):
        raise TypeError(f"close code {code!r} is no int")
    if not (code in (1000, 1001, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise ValueError(f"close code {code} is not 1000, 1001, 1003, 1007-1014 or 3000-4999")
    if len(reason.encode()) > LONGEST_REASON:
        raise ValueError(f"the reason {reason!r} is longer than {LONGEST_REASON} bytes of UTF-8")


class CloseReason(str):
    """Why a WebSocket ended: the text that was given, often "", with its ``code``.

    1000 is the normal end, 1001 somebody going away (a closed tab, a server that stops), 1005 that
    the peer gave no code, 1006 that the connection broke without a word.
    """

    code: int
    __slots__ = ("code",)

    @classmethod
    def of(cls, why: int, text: str) -> CloseReason:
        """From what the core tells: a close code, an error, or 0."""
        reason = cls(text or (ffi.string(lib.fl_strerror(why)).decode() if why < 0 else ""))
        reason.code = why if why > 0 else ABNORMAL
        return reason


@dataclass(frozen=True)
class Opening:
    """How a WebSocket came about."""

    request: Request
    subprotocol: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


class WebSocket(Connection):
    """One peer. All that is said of ``Connection`` holds: handles are cheap and safe to keep.

    ``send`` takes str (text), bytes (binary) or a list of these, and never waits: ``unsent`` tells
    what the peer did not take yet, and ``await drain()`` waits for it.
    """

    __slots__ = ()

    @property
    def request(self) -> Request:
        """The request that opened it: path, query, headers, cookies, peer.

        Raises ConnectionClosed when the connection is gone.
        """
        return self._opening.request

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Those of the path it is served on: ``{"room": "tea"}``."""
        return self._opening.parameters

    @property
    def subprotocol(self) -> str | None:
        """The one that was agreed on; None if there is none."""
        return self._opening.subprotocol

    @property
    def _opening(self) -> Opening:
        opening: Opening | None = self._runtime.openings.get(self.id)
        if opening is None:
            raise ConnectionClosed("the connection is closed")
        return opening

    def close(self, code: int = 1000, reason: str = "", *, abort: bool = False) -> None:
        """Sends a close frame behind what was said so far, and then nothing more.

        ``code`` is 1000, 1001, 1003, 1007 to 1014, or 3000 to 4999 for your own; ``reason`` at most
        123 bytes of UTF-8. Replies that async handlers still owe are dropped. With ``abort`` the
        connection is reset at once. Twice is fine. Raises ValueError for another code or reason,
        and TypeError for a code that is no int.
        """
        if abort:
            super().close(abort=True)
            return
        check_close(code, reason)
        self._runtime.call(self._close_with, code, str(reason))

    def _close_with(self, code: int, reason: str) -> None:
        self._runtime.closing.add(self.id)
        self._runtime.command((MARK, lib.FL_WS_CLOSE, self.id, code, reason))

    def __repr__(self) -> str:
        return f"<WebSocket {self.id:#x}>"
