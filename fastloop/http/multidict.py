"""Values by name where a name may come again: queries, forms and header fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar, overload

V = TypeVar("V")
D = TypeVar("D")


class MultiDict(Generic[V]):
    """Pairs in the order they came, read-only.

    ``d["name"]`` and ``get`` return the first value of a name, ``getall`` all of them; ``items``
    has every pair. Iterating, ``in`` and ``len`` are about the different names.
    """

    __slots__ = ("_index", "_pairs")

    def __init__(self, pairs: Iterable[tuple[str, V]] = ()) -> None:
        self._pairs = list(pairs)
        self._index: dict[str, list[V]] = {}
        for name, value in self._pairs:
            self._index.setdefault(self._key(name), []).append(value)

    @staticmethod
    def _key(name: str) -> str:
        """The form in which names are compared."""
        return name

    @staticmethod
    def _one(values: list[V]) -> V:
        """What one value of a name is when there are several."""
        return values[0]

    def __getitem__(self, name: str) -> V:
        try:
            return self._one(self._index[self._key(name)])
        except KeyError:
            raise KeyError(name) from None

    @overload
    def get(self, name: str) -> V | None: ...
    @overload
    def get(self, name: str, default: V | D) -> V | D: ...
    def get(self, name: str, default: Any = None) -> Any:
        """The value of a name, or the default."""
        values = self._index.get(self._key(name))
        return default if values is None else self._one(values)

    def getall(self, name: str) -> list[V]:
        """Every value of a name, in order; an empty list if there is none."""
        return list(self._index.get(self._key(name), ()))

    def keys(self) -> list[str]:
        """The different names, each once, in the order of their first value."""
        return list(self._index)

    def values(self) -> list[V]:
        """Every value, as in ``items``."""
        return [value for _, value in self._pairs]

    def items(self) -> list[tuple[str, V]]:
        """Every pair: a name that came twice is there twice."""
        return list(self._pairs)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._key(name) in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._pairs == self._pairs

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._pairs!r}>"


class Headers(MultiDict[str]):
    """The fields of a request by name, in any case; names are kept in lower case.

    Several fields of one name are one value, joined by ", " (RFC 9110, section 5.3).
    """

    __slots__ = ()

    @staticmethod
    def _key(name: str) -> str:
        return name.lower()

    @staticmethod
    def _one(values: list[str]) -> str:
        return values[0] if len(values) == 1 else ", ".join(values)
