"""A file as a reply: ``return fastloop.file("report.pdf")``."""

from __future__ import annotations

import os
from urllib.parse import quote

from fastloop.http.response import Fields, ResponseHeaders


class File:
    """A file that the core reads and sends, with ranges and conditional requests (RFC 9110)."""

    __slots__ = ("headers", "path")

    def __init__(self, path: str | os.PathLike[str], headers: ResponseHeaders) -> None:
        self.path = os.fsencode(path)
        self.headers = headers

    def __repr__(self) -> str:
        return f"<File {os.fsdecode(self.path)}>"


def file(
    path: str | os.PathLike[str],
    *,
    content_type: str | None = None,
    download: bool | str = False,
    cache_control: str | None = None,
    headers: Fields | None = None,
) -> File:
    """Return it to answer with a file, as static files are: ETag, ranges, 304, nothing blocks.

    A file that does not exist is answered by 404. The path is taken as it is, so never put one
    together from what a client sent: for that there is ``static``. ``content_type`` is by default
    what the name says; ``download`` makes browsers save it, under this name if it is a str;
    ``cache_control`` and ``headers`` are added. Raises ValueError for headers as ``Response``.
    """
    found = ResponseHeaders(headers or ())
    if content_type is not None:
        found["content-type"] = content_type
    if cache_control is not None:
        found["cache-control"] = cache_control
    if download:
        name = download if isinstance(download, str) else os.path.basename(os.fspath(path))
        found["content-disposition"] = disposition(name)
    return File(path, found)


def disposition(name: str) -> str:
    """Content-Disposition with a name of any characters (RFC 6266, section 4)."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name)
    if plain == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
