"""A request as handlers see it: what the core read, and everything else made only on demand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload
from urllib.parse import parse_qsl

from fastloop.connection import Connection
from fastloop.errors import FastloopError
from fastloop.http import head
from fastloop.http.errors import HTTPError
from fastloop.http.forms import Form, FormReader
from fastloop.http.multidict import Headers, MultiDict
from fastloop.http.serial import loads

if TYPE_CHECKING:
    from fastloop.http.body import Body
    from fastloop.runtime import Runtime

T = TypeVar("T")


class lazy(Generic[T]):  # noqa: N801 (a decorator)
    """A property that is computed once: from then on the instance's own dict answers."""

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function = function
        self._name = function.__name__
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> lazy[T]: ...
    @overload
    def __get__(self, owner: object, kind: type) -> T: ...
    def __get__(self, owner: object, kind: type) -> lazy[T] | T:
        if owner is None:
            return self
        value = owner.__dict__[self._name] = self._function(owner)
        return value


def _item(index: int, text: str) -> Any:
    return property(itemgetter(index), doc=text)


class Request(tuple[Any, ...]):
    """One request. It is the tuple that came from the core, so that making one is one copy.

    Whatever is not in that tuple, headers included, is read on the first access.
    """

    _runtime: ClassVar[Runtime]  # each runtime has a class of its own

    method: str = _item(0, "The method as sent, such as GET: methods are case-sensitive.")
    path: str = _item(
        1,
        "The path, percent-decoded once. Bytes that are no UTF-8 are lone surrogates: "
        '``path.encode("utf-8", "surrogateescape")`` is exact.',
    )
    query_string: str = _item(2, 'The query as sent, without the "?".')
    head: bytes = _item(3, "Request line and header fields as sent, each line with its CRLF.")
    id: int = _item(5, "The number of its connection.")

    scheme = "http"

    @property
    def body(self) -> bytes:
        """The whole body; b"" if there is none.

        Raises FastloopError in a ``stream=True`` handler that did not ``read()`` it.
        """
        body: bytes | None = self[4]
        if body is None:
            raise FastloopError("the body is not read yet: use read() or stream()")
        return body

    @lazy
    def headers(self) -> Headers:
        """The header fields, by names in any case."""
        return head.fields(self[3])

    @lazy
    def query(self) -> MultiDict[str]:
        """The parameters of the query: ``request.query["a"]``, ``get``, ``getall``, ``items``."""
        return MultiDict(parse_qsl(self[2], keep_blank_values=True))

    @lazy
    def cookies(self) -> dict[str, str]:
        """The cookies by name."""
        return head.cookies(self.headers.getall("cookie"))

    @lazy
    def _target(self) -> tuple[str, str]:
        return head.split_target(head.target(self[3]))

    @property
    def raw_path(self) -> str:
        """The path as sent, with its percent signs."""
        return self._target[1]

    @property
    def host(self) -> str:
        """Where the client meant to come: "example.com:8000"; "" if an HTTP/1.0 client told not."""
        return self._target[0] or self.headers.get("host", "")

    @property
    def url(self) -> str:
        """The whole address, as the client sent it."""
        query = f"?{self[2]}" if self[2] else ""
        return f"{self.scheme}://{self.host}{self.raw_path}{query}"

    @property
    def http_version(self) -> str:
        """ "1.1" or "1.0"."""
        return head.request_line(self[3])[-3:]

    @property
    def content_type(self) -> str:
        """The media type of the body in lower case, without parameters; "" if none is told."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def connection(self) -> Connection:
        """The connection it came on."""
        return Connection(self._runtime, self[5])

    @property
    def peer(self) -> str:
        """The peer's address: "127.0.0.1:50000", "[::1]:50000", or a Unix path (often "")."""
        return self.connection.peer

    @property
    def text(self) -> str:
        """The body as text, in UTF-8. Raises HTTPError 400 if it is not."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise HTTPError(400, f"the body is not UTF-8: {error.reason}") from error

    def json(self) -> Any:
        """The body as JSON (RFC 8259). Raises HTTPError 400 if it is not."""
        try:
            return loads(self.body)
        except ValueError as error:
            raise HTTPError(400, f"the body is not JSON: {error}") from error

    def form(self) -> Form:
        """The fields of a form, urlencoded or multipart; files in it are ``UploadFile``.

        Raises HTTPError 400 for a malformed form, 413 for one with too many fields and 415 for a
        body that is none; ConfigError if it is multipart and python-multipart is not installed.
        """
        reader = FormReader(self.headers.get("content-type", ""))
        reader.feed(self.body)
        return reader.finish()

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url}>"


class StreamRequest(Request):
    """What async ``stream=True`` handlers get: the body comes as it is read."""

    _source: Body  # set by who makes it

    @property
    def body(self) -> bytes:
        """The whole body, once ``read()`` has it."""
        return self._source.whole

    async def stream(self) -> AsyncIterator[bytes]:
        """The body in pieces of at most 64 KiB, read from the peer no faster than you take them.

        Raises ConnectionClosed if the peer leaves before the end, and HTTPError for a body that is
        malformed, too large or too slow.
        """
        while piece := await self._source.next():
            yield piece

    async def read(self) -> bytes:
        """The whole body, also as ``body``, ``text``, ``json()`` and ``form()`` from then on."""
        pieces = [piece async for piece in self.stream()]
        return self._source.keep(b"".join(pieces))

    async def read_form(self) -> Form:
        """The fields of a form, its files written to disk as they come; else as ``form()``."""
        reader = FormReader(self.headers.get("content-type", ""))
        async for piece in self.stream():
            reader.feed(piece)
        return reader.finish()


class BlockingRequest(Request):
    """What sync ``stream=True`` handlers get, in a worker thread: the same, by waiting."""

    _source: Body

    @property
    def body(self) -> bytes:
        """The whole body, once ``read()`` has it."""
        return self._source.whole

    def stream(self) -> Iterator[bytes]:
        """The body in pieces of at most 64 KiB; raises as ``StreamRequest.stream`` does."""
        while piece := self._source.wait():
            yield piece

    def read(self) -> bytes:
        """The whole body, also as ``body``, ``text``, ``json()`` and ``form()`` from then on."""
        return self._source.keep(b"".join(self.stream()))

    def read_form(self) -> Form:
        """The fields of a form, its files written to disk as they come; else as ``form()``."""
        reader = FormReader(self.headers.get("content-type", ""))
        for piece in self.stream():
            reader.feed(piece)
        return reader.finish()
