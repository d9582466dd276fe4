"""Path patterns: "/users/{id:int}/files/{name:path}"."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastloop.errors import ConfigError


@dataclass(frozen=True)
class Converter:
    """What a parameter matches, and what becomes of the text."""

    regex: str
    convert: Callable[[str], Any]


CONVERTERS = {
    "str": Converter("[^/]+", str),
    "int": Converter("[0-9]{1,18}", int),
    "float": Converter(r"[0-9]{1,18}(?:\.[0-9]{1,18})?", float),
    "path": Converter(".+", str),
    "uuid": Converter("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", UUID),
}

_PARAMETER = re.compile(r"\{([A-Za-z_]\w*)(?::([^{}]*))?\}")


@dataclass(frozen=True)
class Pattern:
    """A path with parameters, as a regular expression with one group for each."""

    path: str
    regex: str
    parameters: tuple[tuple[str, Callable[[str], Any]], ...]
    """Their names, and what makes a value of the text of each."""

    @classmethod
    def of(cls, path: str) -> Pattern:
        """Reads "/users/{id:int}". Raises ConfigError for what is no such path."""
        if not path.startswith("/"):
            raise ConfigError(f"the path {path!r} of a route does not begin with /")
        regex: list[str] = []
        parameters: dict[str, Callable[[str], Any]] = {}
        end = 0
        for match in _PARAMETER.finditer(path):
            name, kind = match[1], match[2] or "str"
            if kind not in CONVERTERS:
                raise ConfigError(
                    f"the route {path!r} has a parameter of kind {kind!r}: "
                    f"there are {', '.join(CONVERTERS)}"
                )
            if name in parameters or name == "request":
                raise ConfigError(f"the route {path!r} cannot have a parameter {name!r} here")
            regex += [_literal(path, end, match.start()), f"({CONVERTERS[kind].regex})"]
            parameters[name] = CONVERTERS[kind].convert
            end = match.end()
        regex.append(_literal(path, end, len(path)))
        return cls(path, "".join(regex), tuple(parameters.items()))

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the parameters."""
        return tuple(name for name, _ in self.parameters)

    def values(self, match: re.Match[str], first: int = 1) -> dict[str, Any]:
        """Keyword arguments from the groups of a match, from this one on."""
        found = {}
        for name, convert in self.parameters:
            found[name] = convert(match[first])
            first += 1
        return found


def _literal(path: str, start: int, end: int) -> str:
    """The part of a path between two parameters, for a regular expression."""
    text = path[start:end]
    if "{" in text or "}" in text:
        raise ConfigError(f"the route {path!r} has a lone brace: write {{name}} or {{name:int}}")
    return re.escape(text)
