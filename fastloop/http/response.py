"""What handlers return when bytes or text are not enough: status, header fields, cookies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Literal
from urllib.parse import quote

from fastloop.http.serial import dumps

Value = str | int
Fields = Mapping[str, Any] | Iterable[tuple[str, Any]]
"""Names and values (str or int) of header fields."""

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_COOKIE = re.compile(r"[!#-+\--:<-\[\]-~]*")  # RFC 6265, section 4.1.1
_ATTRIBUTE = re.compile(r"[^;\x00-\x1f\x7f]*")

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"
BYTES = "application/octet-stream"


class ResponseHeaders:
    """Header fields of a response, by names in any case; ``add`` makes a second of one name.

    Raises ValueError, naming the field, for a name that is no token (RFC 9110, section 5.1), and
    for a value with a control character such as CR or LF, or with text beyond Latin-1.
    """

    __slots__ = ("_pairs",)

    def __init__(self, fields: Fields = ()) -> None:
        self._pairs: list[tuple[str, str | bytes]] = []
        for name, value in fields.items() if isinstance(fields, Mapping) else fields:
            self.add(name, value)

    def add(self, name: str, value: Value) -> None:
        """One more field, also if there is one of that name."""
        self._pairs.append(checked(name, value))

    def __setitem__(self, name: str, value: Value) -> None:
        pair = checked(name, value)
        self.discard(name)
        self._pairs.append(pair)

    def setdefault(self, name: str, value: Value) -> None:
        """Adds the field unless there is one of that name."""
        if name not in self:
            self.add(name, value)

    def discard(self, name: str) -> None:
        """Removes every field of that name, if there is one."""
        key = name.lower()
        self._pairs = [pair for pair in self._pairs if pair[0].lower() != key]

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self.discard(name)

    def __getitem__(self, name: str) -> str:
        values = self.getall(name)
        if not values:
            raise KeyError(name)
        return values[0]

    def get(self, name: str, default: str | None = None) -> str | None:
        """The (first) value of a name, or the default."""
        values = self.getall(name)
        return values[0] if values else default

    def getall(self, name: str) -> list[str]:
        """Every value of a name."""
        key = name.lower()
        return [value for each, value in self.items() if each.lower() == key]

    def items(self) -> list[tuple[str, str]]:
        """Every field, in order."""
        return [
            (name, value if isinstance(value, str) else value.decode("latin-1"))
            for name, value in self._pairs
        ]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(
            each.lower() == name.lower() for each, _ in self._pairs
        )

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._pairs])

    def __len__(self) -> int:
        return len(self._pairs)

    def crossing(self) -> list[tuple[str, str | bytes]]:
        """The form in which they cross: a copy, which later changes do not reach."""
        return self._pairs[:]

    def __repr__(self) -> str:
        return f"<ResponseHeaders {self._pairs!r}>"


def checked(name: str, value: Value) -> tuple[str, str | bytes]:
    """A field that HTTP allows, in the form in which it crosses; or ValueError, naming it."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ValueError(f"header {name!r}: the name is no token of letters, digits and dashes")
    if not isinstance(value, str):
        if not isinstance(value, int):
            raise ValueError(f"header {name!r}: the value is {type(value).__name__}, not str")
        return name, str(value)
    if _CONTROL.search(value) is not None:
        raise ValueError(f"header {name!r}: the value {value!r} has a control character")
    if value.isascii():
        return name, value
    try:
        return name, value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"header {name!r}: the value {value!r} has text beyond Latin-1; quote() it"
        ) from error


class Response:
    """An answer with a status and header fields of its own.

    ``body`` is bytes, str (sent as UTF-8), a dict or list (JSON), None, or an iterator or async
    iterator of bytes or str, which is sent in pieces as it yields them. ``status`` is 200 to 999.
    ``content_type`` is by default what fits the type of the body. Raises ValueError for a status or
    a header that HTTP does not allow.
    """

    __slots__ = ("_status", "body", "headers")

    def __init__(
        self,
        body: Any = b"",
        status: int = 200,
        headers: Fields | None = None,
        *,
        content_type: str | None = None,
    ) -> None:
        self.status = status
        self.headers = ResponseHeaders(headers or ())
        self.body = body
        if content_type is not None:
            self.headers["content-type"] = content_type

    @property
    def status(self) -> int:
        """The status code. Assigning raises ValueError for one below 200 or above 999."""
        return self._status

    @status.setter
    def status(self, status: int) -> None:
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise ValueError(f"a response has a status from 200 to 999, not {status!r}")
        self._status = int(status)

    def set_cookie(
        self,
        name: str,
        value: str = "",
        *,
        max_age: int | None = None,
        expires: datetime | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = True,
        samesite: Literal["Strict", "Lax", "None"] | None = "Lax",
    ) -> None:
        """Sets a cookie (RFC 6265). ``max_age`` is seconds; without it and ``expires`` the cookie
        ends with the browser. Scripts in the page see it only with ``httponly=False``.

        Raises ValueError for a name or value that a cookie cannot have: quote() such a value.
        """
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"cookie {name!r}: the name is no token of letters, digits and dashes")
        if _COOKIE.fullmatch(value) is None:
            raise ValueError(f"cookie {name!r}: the value {value!r} has characters to be quoted")
        if samesite == "None" and not secure:
            raise ValueError(f"cookie {name!r}: samesite='None' needs secure=True")
        parts = [f"{name}={value}"]
        if max_age is not None:
            parts.append(f"Max-Age={int(max_age)}")
        if expires is not None:
            parts.append(f"Expires={format_datetime(expires.astimezone(UTC), True)}")
        for attribute, text in (("Domain", domain), ("Path", path), ("SameSite", samesite)):
            if text is not None:
                if _ATTRIBUTE.fullmatch(text) is None:
                    raise ValueError(f"cookie {name!r}: {attribute}={text!r} cannot be written")
                parts.append(f"{attribute}={text}")
        parts += ["Secure"] * secure + ["HttpOnly"] * httponly
        self.headers.add("set-cookie", "; ".join(parts))

    def delete_cookie(
        self, name: str, *, path: str | None = "/", domain: str | None = None
    ) -> None:
        """Makes the browser forget a cookie; path and domain are those it was set with."""
        self.set_cookie(name, max_age=0, path=path, domain=domain)

    def __repr__(self) -> str:
        return f"<Response {self.status} {dict(self.headers.items())!r}>"


def text(body: str, status: int = 200, headers: Fields | None = None) -> Response:
    """Plain text."""
    return Response(body, status, headers, content_type=TEXT)


def html(body: str, status: int = 200, headers: Fields | None = None) -> Response:
    """A page."""
    return Response(body, status, headers, content_type=HTML)


def json(value: Any, status: int = 200, headers: Fields | None = None) -> Response:
    """Any value as JSON, also those that are not sent so by themselves, such as numbers and None.

    Written by orjson if that is installed. Raises TypeError for what JSON cannot say.
    """
    return Response(dumps(value), status, headers, content_type=JSON)


def redirect(location: str, status: int = 302, headers: Fields | None = None) -> Response:
    """Sends the client to another address, absolute or a path; it is quoted as far as needed.

    ``status``: 302 found, 303 see other (with GET), 307 and 308 keep the method, 301 and 308 hold
    for ever. Raises ValueError for any other.
    """
    if status not in (301, 302, 303, 307, 308):
        raise ValueError(f"{status!r} is no status of a redirect: use 301, 302, 303, 307 or 308")
    response = Response(b"", status, headers)
    response.headers["location"] = quote(location, safe=":/?#[]@!$&'()*+,;=%~")
    return response
