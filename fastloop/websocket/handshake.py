"""The opening handshake (RFC 6455, section 4.2), and what it agrees on."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fastloop._ffi import lib
from fastloop.crossing import MARK
from fastloop.http.errors import HTTPError
from fastloop.http.multidict import Headers
from fastloop.http.request import Request
from fastloop.http.response import ResponseHeaders

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = rf'[ \t]*;[ \t]*({_TOKEN})(?:[ \t]*=[ \t]*(?:({_TOKEN})|"({_TOKEN})"))?'
_EXTENSION = re.compile(rf"[ \t]*({_TOKEN})((?:{_PARAMETER})*)[ \t]*")

UPGRADE = {"upgrade": "websocket", "sec-websocket-version": "13"}
"""Header fields that tell others what is spoken here."""

LEAST_WINDOW, MOST_WINDOW = 8, 15

Offer = tuple[str, list[tuple[str, str | None]]]
"""An extension and its parameters."""


class Handshake:
    """A request that asks for a WebSocket.

    Raises HTTPError 426 for one that asks for none or for another version, 400 for a bad one.
    """

    def __init__(self, request: Request) -> None:
        fields = request.headers
        connection = _tokens(fields, "connection")
        if "websocket" not in _tokens(fields, "upgrade") or "upgrade" not in connection:
            raise HTTPError(426, "this is a WebSocket", UPGRADE)
        if request.method != "GET" or request.http_version != "1.1" or "close" in connection:
            raise HTTPError(400, "a WebSocket begins with GET and HTTP/1.1, and stays open")
        if request[4] or "transfer-encoding" in fields:
            raise HTTPError(400, "a handshake has no body")
        if fields.getall("sec-websocket-version") != ["13"]:
            raise HTTPError(426, "WebSocket is spoken here in version 13 only", UPGRADE)
        self.request = request
        self.key = _key(fields.getall("sec-websocket-key"))
        self.subprotocols = _list(fields, "sec-websocket-protocol")
        """Those that the client can speak, the ones it likes best first."""
        self.offers = _extensions(fields.getall("sec-websocket-extensions"))

    @property
    def origin(self) -> str | None:
        """Where the page that connects comes from, as "https://example.com"; browsers tell."""
        return self.request.headers.get("origin")

    def choose(self, subprotocols: Iterable[str]) -> str | None:
        """The first of these that the client offers too."""
        return next((each for each in subprotocols if each in self.subprotocols), None)

    def accept(
        self,
        listener: int,
        *,
        subprotocol: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        window: int = 0,
    ) -> tuple[Any, ...]:
        """The reply that makes the connection one of this listener, of ``native.websocket``.

        ``window`` is the largest, in bits, for compressing, with FL_WS_KEEP_* added where messages
        may refer to earlier ones; 0: nothing is compressed. Raises ValueError for header fields
        that HTTP does not allow.
        """
        digest = hashlib.sha1(self.key.encode() + _GUID, usedforsecurity=False).digest()
        fields = ResponseHeaders(headers)
        fields["upgrade"] = "websocket"
        fields["sec-websocket-accept"] = base64.b64encode(digest).decode()
        if subprotocol is not None:
            fields["sec-websocket-protocol"] = subprotocol
        bits, answer = negotiate(self.offers, window)
        if bits:
            fields["sec-websocket-extensions"] = answer
        start = (MARK, lib.FL_HTTP_START, 101, fields.crossing())
        return (MARK, lib.FL_WS_ACCEPT, listener, bits, start)


def negotiate(offers: Iterable[Offer], window: int) -> tuple[int, str]:
    """The window of bits that the first acceptable offer of permessage-deflate leads to, with flags
    (FL_WS_*), and the answer to it (RFC 7692, section 7.1); 0 and "" if none does.

    ``window`` is what we grant, with FL_WS_KEEP_* for those who may take their context over.
    """
    for name, parameters in offers if window else ():
        bits = _acceptable(parameters, window & MOST_WINDOW) if name == "permessage-deflate" else 0
        if bits:
            flags, answers = _contexts(dict(parameters), window & ~MOST_WINDOW, bits)
            if any(key == "server_max_window_bits" for key, _ in parameters):
                answers.append(f"server_max_window_bits={bits}")
            return bits | flags, "; ".join([name, *answers])
    return 0, ""


def _contexts(offered: dict[str, str | None], may: int, window: int) -> tuple[int, list[str]]:
    """Who takes its context over, as flags of the core and in words."""
    flags, answers = 0, []
    for side, keeps in (("server", lib.FL_WS_KEEP_OUT), ("client", lib.FL_WS_KEEP_IN)):
        if may & keeps and f"{side}_no_context_takeover" not in offered:
            flags |= keeps
        else:
            answers.append(f"{side}_no_context_takeover")
    if flags & lib.FL_WS_KEEP_IN and "client_max_window_bits" in offered:
        flags |= lib.FL_WS_NARROW_IN
        least = min(window, _bits(offered["client_max_window_bits"]) or window)
        answers.append(f"client_max_window_bits={least}")
    return flags, answers


def _acceptable(parameters: list[tuple[str, str | None]], window: int) -> int:
    """The window that an offer allows; 0 for an offer that is declined."""
    names = [name for name, _ in parameters]
    if len(set(names)) != len(names):
        return 0
    for name, value in parameters:
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                return 0
        elif name == "client_max_window_bits":
            if value is not None and not _bits(value):
                return 0
        elif name == "server_max_window_bits":
            window = min(window, _bits(value))
        else:
            return 0
    return window if window > LEAST_WINDOW else 0  # zlib has no window of 8 bits


def _bits(value: str | None) -> int:
    """A window in bits; 0 if it is none."""
    found = int(value) if value is not None and re.fullmatch("[1-9][0-9]?", value) else 0
    return found if LEAST_WINDOW <= found <= MOST_WINDOW else 0


def _list(fields: Headers, name: str) -> list[str]:
    values = ",".join(fields.getall(name)).split(",")
    return [value.strip(" \t") for value in values if value.strip(" \t")]


def _tokens(fields: Headers, name: str) -> set[str]:
    return {value.lower() for value in _list(fields, name)}


def _key(values: list[str]) -> str:
    """The key of the client: 16 bytes in base64, once."""
    try:
        if len(values) == 1 and len(base64.b64decode(values[0], validate=True)) == 16:
            return values[0]
    except binascii.Error:
        pass
    raise HTTPError(400, "Sec-WebSocket-Key is not 16 bytes in base64")


def _extensions(values: list[str]) -> list[Offer]:
    offers: list[Offer] = []
    for element in ",".join(values).split(",") if values else ():
        match = _EXTENSION.fullmatch(element)
        if match is None:
            raise HTTPError(400, "Sec-WebSocket-Extensions is malformed")
        found = re.findall(_PARAMETER, match[2])
        parameters = [(name, value or quoted or None) for name, value, quoted in found]
        offers.append((match[1], parameters))
    return offers


def allowed(origin: str | None, origins: Iterable[str] | None, host: str, scheme: str) -> bool:
    """Whether a page of this origin may connect: None allows all, and who has none is no browser.

    ``"same"`` in ``origins`` stands for the host that the request is for.
    """
    if origins is None or origin is None:
        return True
    known: Mapping[str, str] = {"same": f"{scheme}://{host}"}
    return any(origin.lower() == known.get(each, each).lower() for each in origins)
