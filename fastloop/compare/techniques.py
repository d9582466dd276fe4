"""Which ways of doing concurrent I/O there are on this machine, found by asking the library."""

from __future__ import annotations

from dataclasses import dataclass

from fastloop import check
from fastloop.config import EVENT_LOOP, PROCESS_PER_CONNECTION, THREAD_PER_CONNECTION
from fastloop.errors import ConfigError

BLOCKING_MODELS = (THREAD_PER_CONNECTION, PROCESS_PER_CONNECTION)
"""They wait in read() and write(), so a backend means nothing to them."""


@dataclass(frozen=True)
class Technique:
    """One of them: a backend of the event loop, or a model that needs none."""

    name: str
    backend: str
    model: str
    why_not: str | None = None
    """Why it does not work here; None if it does."""

    @property
    def title(self) -> str:
        """What it is called in tables and plots."""
        return (
            f"event loop: {self.name}" if self.model == EVENT_LOOP else self.name.replace("-", " ")
        )

    @property
    def options(self) -> list[str]:
        """The flags of `fastloop serve` that choose it."""
        if self.model == EVENT_LOOP:
            return ["--backend", self.backend]
        return ["--model", self.model]


def techniques() -> list[Technique]:
    """All that this library knows: backends, the best first, and then the other models."""
    loops = [Technique(name, name, EVENT_LOOP, why) for name, why in check.backends().items()]
    return loops + [Technique(name, "auto", name) for name in BLOCKING_MODELS]


def chosen(names: str | None) -> list[Technique]:
    """Those that were asked for by name, separated by commas; without, all that work here.

    Raises ConfigError for a name that there is not, and for one that does not work here.
    """
    known = {each.name: each for each in techniques()}
    if names is None:
        return [each for each in known.values() if each.why_not is None]
    found = []
    for name in filter(None, (part.strip() for part in names.split(","))):
        if name not in known:
            raise ConfigError(f"technique {name!r} is unknown: there are {', '.join(known)}")
        if known[name].why_not is not None:
            raise ConfigError(f"technique {name} does not work here: {known[name].why_not}")
        found.append(known[name])
    if not found:
        raise ConfigError(f"no technique is named: there are {', '.join(known)}")
    return list(dict.fromkeys(found))
