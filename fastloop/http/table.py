"""The routes of a router, ready to be looked up: in a dict if they can be, else by one match."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastloop.errors import ConfigError
from fastloop.http.errors import HTTPError
from fastloop.http.pattern import Pattern
from fastloop.http.response import Response

if TYPE_CHECKING:
    from fastloop import websocket


@dataclass(frozen=True)
class Endpoint:
    """A handler and how it is called."""

    call: Callable[..., Any]
    name: str = ""
    is_async: bool = False
    stream: bool = False
    socket: websocket.Endpoint | None = None
    """Where the connection goes, if `call` agrees to a WebSocket."""


@dataclass(frozen=True)
class Entry:
    """One method of one path."""

    pattern: Pattern
    method: str
    endpoint: Endpoint

    def below(self, prefix: str) -> Entry:
        """The same behind a prefix."""
        return replace(self, pattern=Pattern.of(prefix + self.pattern.path))


Found = tuple[Endpoint, Mapping[str, Any]]

_NONE: Mapping[str, Any] = {}


class Resource:
    """A path and its handlers by method."""

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self.endpoints: dict[str, Endpoint] = {}
        self.regex = re.compile(pattern.regex, re.DOTALL)

    def add(self, entry: Entry) -> None:
        """Raises ConfigError if the method has a handler already."""
        if entry.method in self.endpoints:
            raise ConfigError(
                f"{entry.method} {entry.pattern.path} has two handlers: "
                f"{self.endpoints[entry.method].name} and {entry.endpoint.name}"
            )
        self.endpoints[entry.method] = entry.endpoint

    def complete(self) -> None:
        """HEAD is GET without the body, which the core leaves out."""
        if "GET" in self.endpoints:
            self.endpoints.setdefault("HEAD", self.endpoints["GET"])


class Table:
    """Looks up endpoints."""

    def __init__(
        self,
        entries: Iterable[Entry],
        errors: Mapping[int | type[Exception], Callable[[Any, Exception], Any]],
    ) -> None:
        resources: dict[tuple[str, tuple[str, ...]], Resource] = {}
        for entry in entries:
            key = (entry.pattern.regex, entry.pattern.names)
            resources.setdefault(key, Resource(entry.pattern)).add(entry)
        for resource in resources.values():
            resource.complete()
        self.resources = list(resources.values())
        self.errors = dict(errors)
        self.exact = {
            method + resource.pattern.path: endpoint
            for resource in self.resources
            if not resource.pattern.parameters
            for method, endpoint in resource.endpoints.items()
        }
        """By method and path in one string: a method has no slash, and a path begins with one."""
        self._dynamic = [resource for resource in self.resources if resource.pattern.parameters]
        self._match, self._ends = _combined(self._dynamic)

    @property
    def endpoints(self) -> list[Endpoint]:
        """All of them."""
        return [each for resource in self.resources for each in resource.endpoints.values()]

    def find(self, method: str, path: str) -> Found:
        """The endpoint and its parameters. Raises HTTPError 404 or 405."""
        endpoint = self.exact.get(method + path)
        if endpoint is not None:
            return endpoint, _NONE
        return self.search(method, path)

    def search(self, method: str, path: str) -> Found:
        """The same for what is not in ``exact``."""
        match = self._match(path)
        if match is not None:
            # The empty group at the end of an alternative is the last that took part.
            end = match.lastindex or 0
            resource = self._ends[end]
            endpoint = resource.endpoints.get(method)
            if endpoint is not None:
                pattern = resource.pattern
                return endpoint, pattern.values(match, end - len(pattern.parameters))
        return self._other(method, path)

    def _other(self, method: str, path: str) -> Found:
        """For a method that the first matching path does not have: maybe another has."""
        allowed: set[str] = set()
        for resource in self.resources:
            match = resource.regex.fullmatch(path)
            if match is not None:
                if method in resource.endpoints:
                    return resource.endpoints[method], resource.pattern.values(match)
                allowed |= resource.endpoints.keys()
        if path == "*":
            allowed = {name for resource in self.resources for name in resource.endpoints}
        if not allowed and path != "*":
            raise HTTPError(404)
        allow = ", ".join(sorted(allowed | {"OPTIONS"}))
        if method == "OPTIONS":
            return Endpoint(lambda _: Response(None, 204, {"allow": allow})), _NONE
        raise HTTPError(405, headers={"allow": allow})


def _combined(
    resources: list[Resource],
) -> tuple[Callable[[str], re.Match[str] | None], dict[int, Resource]]:
    """One expression for all of them, and whose the group is that ends each alternative."""
    alternatives: list[str] = []
    ends: dict[int, Resource] = {}
    groups = 0
    for resource in resources:
        groups += len(resource.pattern.parameters) + 1
        ends[groups] = resource
        alternatives.append(f"{resource.pattern.regex}()")
    regex = re.compile("|".join(alternatives) if resources else "(?!)", re.DOTALL)
    return regex.fullmatch, ends
