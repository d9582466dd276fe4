"""What the core answers by itself: directories of files, and constants."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastloop.errors import ConfigError
from fastloop.http.pattern import Pattern
from fastloop.http.response import BYTES, TEXT, checked


@dataclass(frozen=True)
class Static:
    """A directory whose files are served below a prefix ("" is the root).

    ``index`` is the file that stands for a directory; "" for none. ``listing`` makes a page for a
    directory without one. ``cache_control`` is that field of every answer; a file whose name
    matches ``immutable`` (by * and ?, as "*-????????.*") never changes, and is cached for a year.
    ``hidden`` serves names that begin with a dot. ``precompressed`` sends page.html.br, .zst or .gz
    for page.html to those who accept it. Symbolic links that lead out of the directory are never
    followed. Paths that a router has routes for are theirs. Raises ConfigError.
    """

    prefix: str
    directory: str | os.PathLike[str]
    index: str = "index.html"
    listing: bool = False
    cache_control: str = ""
    immutable: str = ""
    hidden: bool = False
    precompressed: bool = True

    def __post_init__(self) -> None:
        if not Path(self.directory).is_dir():
            raise ConfigError(f"cannot serve files: {os.fspath(self.directory)} is no directory")
        try:
            checked("cache-control", self.cache_control)
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def below(self, prefix: str) -> Static:
        """The same behind a prefix."""
        return replace(self, prefix=prefix + self.prefix)

    @classmethod
    def of(cls, option: Mapping[str, Any] | None) -> list[Static]:
        """What the option ``static={"/assets": "dir"}`` says. Raises ConfigError."""
        found = []
        for prefix, directory in (option or {}).items():
            if not prefix.startswith("/"):
                raise ConfigError(f"static={prefix!r}: a prefix begins with /")
            found.append(cls(prefix.rstrip("/"), directory))
        return found


@dataclass(frozen=True)
class Hole:
    """A path among those of files that a handler answers; with `below`, all that begin so."""

    path: str
    below: bool


def holes(statics: Iterable[Static], patterns: Iterable[Pattern]) -> list[Hole]:
    """What routes take from served directories. Raises ConfigError where they take all of one."""
    prefixes = {f"{static.prefix}/" for static in statics}
    found: dict[Hole, None] = {}
    for pattern in patterns:
        literal, brace, _ = pattern.path.partition("{")
        if brace and literal in prefixes:
            raise ConfigError(
                f"the route {pattern.path} and the files below {literal} are for the same paths:"
                f" serve the files below another prefix, as {literal}static"
            )
        if any(f"{literal}/".startswith(prefix) for prefix in prefixes):
            hole = Hole(quote(literal, safe="/!$&'()*+,;=:@~"), bool(brace))
            found[hole] = None
    return list(found)


@dataclass(frozen=True)
class Constant:
    """A path and its answer."""

    path: str
    body: str | bytes
    content_type: str | None = None

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ConfigError(f"the path {self.path!r} of a constant does not begin with /")
        if not isinstance(self.body, str | bytes):
            raise ConfigError(f"the constant {self.path} is no str or bytes")
        try:
            checked("content-type", self.type)
        except ValueError as error:
            raise ConfigError(str(error)) from None

    @property
    def type(self) -> str:
        """The media type."""
        return self.content_type or (TEXT if isinstance(self.body, str) else BYTES)

    def below(self, prefix: str) -> Constant:
        """The same behind a prefix."""
        return replace(self, path=prefix + self.path)
