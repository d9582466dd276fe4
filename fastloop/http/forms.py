"""Forms: urlencoded ones, and multipart ones by way of python-multipart, read piece by piece."""

from __future__ import annotations

import re
from tempfile import SpooledTemporaryFile
from typing import Any
from urllib.parse import parse_qsl

from fastloop.errors import ConfigError
from fastloop.http.errors import HTTPError
from fastloop.http.multidict import Headers, MultiDict

MAX_PARTS = 1000
"""Fields and files of one form; more are refused with 413."""

MAX_FIELD = 1024 * 1024
"""Bytes of one field of a multipart form that is no file; more are refused with 413."""

SPOOL = 1024 * 1024
"""Bytes of an uploaded file that stay in memory; a larger one goes to disk, unnamed."""

_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s";]{1,70}))', re.IGNORECASE)


class UploadFile:
    """A file of a form. ``file`` is an open binary file at its beginning; it closes itself."""

    def __init__(self, filename: str, headers: Headers) -> None:
        self.filename = filename
        self.headers = headers
        self.content_type = headers.get("content-type", "application/octet-stream")
        self.size = 0
        self.file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(SPOOL)  # noqa: SIM115

    def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes, by default all that are left."""
        return self.file.read(size)

    def __repr__(self) -> str:
        return f"<UploadFile {self.filename!r}, {self.size} bytes of {self.content_type}>"


class Form(MultiDict["str | UploadFile"]):
    """The fields of a form: text, and files as ``UploadFile``."""

    __slots__ = ()


class FormReader:
    """Reads a form of this content type from the pieces that it is fed."""

    def __init__(self, content_type: str) -> None:
        """Raises HTTPError 415 for a type that is no form, ConfigError without a parser for it."""
        kind = content_type.partition(";")[0].strip().lower()
        if kind == _URLENCODED:
            self._reader: Urlencoded | Multipart = Urlencoded()
        elif kind == _MULTIPART:
            self._reader = Multipart(content_type)
        else:
            raise HTTPError(415, f"a form is {_URLENCODED} or {_MULTIPART}")

    def feed(self, piece: bytes) -> None:
        """Takes the next bytes. Raises HTTPError 400 or 413."""
        self._reader.feed(piece)

    def finish(self) -> Form:
        """The form, after the last piece. Raises HTTPError 400 or 413."""
        return Form(self._reader.finish())


class Urlencoded:
    """``a=1&b=2``, with percent signs and plus signs."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def finish(self) -> list[tuple[str, str]]:
        text = b"".join(self._pieces).decode("utf-8", "replace")
        if text.count("&") >= MAX_PARTS:
            raise HTTPError(413, f"more than {MAX_PARTS} fields")
        return parse_qsl(text, keep_blank_values=True)


class Multipart:
    """``multipart/form-data`` (RFC 7578)."""

    def __init__(self, content_type: str) -> None:
        try:
            from python_multipart import multipart
            from python_multipart.exceptions import FormParserError
        except ImportError as error:
            raise ConfigError(
                "multipart forms need python-multipart: pip install 'fastloop-server[forms]'"
            ) from error
        boundary = _BOUNDARY.search(content_type)
        if boundary is None:
            raise HTTPError(400, "the content type of the form has no boundary")
        self._options = multipart.parse_options_header
        self._error = FormParserError
        self._parser = multipart.MultipartParser(
            (boundary[1] or boundary[2]).encode("latin-1"),
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._complete,
            },
        )
        self._pairs: list[tuple[str, str | UploadFile]] = []
        self._whole = False
        self._begin()

    def feed(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except self._error as error:
            raise HTTPError(400, f"a malformed form: {error}") from error

    def finish(self) -> list[tuple[str, str | UploadFile]]:
        if not self._whole:
            raise HTTPError(400, "the form ends before its last boundary")
        return self._pairs

    # -- what the parser meets --

    def _begin(self) -> None:
        self._fields: list[tuple[str, str]] = []
        self._name = self._value = b""
        self._text = bytearray()
        self._field = ""
        self._file: UploadFile | None = None

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        # Browsers write names of fields and files in UTF-8.
        self._fields.append((self._name.decode("latin-1"), self._value.decode("utf-8", "replace")))
        self._name = self._value = b""

    def _headers_end(self) -> None:
        if len(self._pairs) == MAX_PARTS:
            raise HTTPError(413, f"more than {MAX_PARTS} fields")
        headers = Headers(self._fields)
        kind, options = self._disposition(headers.get("content-disposition", ""))
        if kind != b"form-data" or "name" not in options:
            raise HTTPError(400, "a part of the form has no name")
        self._field = options["name"]
        if "filename" in options:
            self._file = UploadFile(options["filename"], headers)

    def _disposition(self, value: str) -> tuple[bytes, dict[str, str]]:
        """Kind and parameters of a Content-Disposition. The parser thinks in latin-1."""
        kind, options = self._options(value.encode().decode("latin-1"))
        return kind, {name.decode("latin-1"): text.decode() for name, text in options.items()}

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.file.write(data[start:end])
            self._file.size += end - start
            return
        self._text += data[start:end]
        if len(self._text) > MAX_FIELD:
            raise HTTPError(413, f"the field {self._field!r} has more than {MAX_FIELD} bytes")

    def _end(self) -> None:
        value: Any = self._file
        if value is None:
            value = self._text.decode("utf-8", "replace")
        else:
            value.file.seek(0)
        self._pairs.append((self._field, value))

    def _complete(self) -> None:
        self._whole = True
