"""What the head of a request says, read only when somebody asks.

The core has checked it against RFC 9112: every line ends in CRLF, names are tokens, values have no
control characters, and there is one request line. So nothing here can fail.
"""

from __future__ import annotations

import re

from fastloop.http.multidict import Headers

_OWS = " \t"
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)(.*)")


def request_line(head: bytes) -> str:
    """The first line, as sent: "GET /path?query HTTP/1.1"."""
    return head[: head.index(b"\r\n")].decode("latin-1")


def target(head: bytes) -> str:
    """The request target, as sent."""
    return request_line(head).split(" ")[1]


def split_target(target: str) -> tuple[str, str]:
    """Authority and path of a request target: the authority is "" unless it is an absolute URL."""
    match = _ABSOLUTE.fullmatch(target)
    authority, rest = (match[1], match[2]) if match else ("", target)
    return authority, rest.partition("?")[0] or "/"


def fields(head: bytes) -> Headers:
    """The header fields, values without the white space around them (RFC 9110, section 5.5)."""
    lines = head.decode("latin-1").split("\r\n")[1:-1]
    pairs = (line.partition(":") for line in lines)
    return Headers((name.lower(), value.strip(_OWS)) for name, _, value in pairs)


def cookies(values: list[str]) -> dict[str, str]:
    """Cookies by name; of two with one name the first, which belongs to the longer path.

    Lenient as RFC 6265 asks: pieces without "=" are left out, quotes around a value are dropped.
    """
    found: dict[str, str] = {}
    for piece in ";".join(values).split(";"):
        name, equals, value = piece.partition("=")
        if equals:
            value = value.strip(_OWS)
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            found.setdefault(name.strip(_OWS), value)
    return found
