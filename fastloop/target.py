"""Handlers by name: ``module:attr``, ``path/file.py:attr``, and ``module:factory()``."""

import importlib
import importlib.util
import os
import re
import sys
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from fastloop.errors import ConfigError


def load(target: str, first: str = "") -> Any:
    """The object that a target names; with ``()`` at the end, what calling it returns.

    Modules are looked for in the directory ``first``, by default the current one. Raises
    ConfigError if there is no such thing; what the module itself raises comes through as it is.
    """
    match = re.fullmatch(r"(.+):([A-Za-z_][\w.]*)(\(\))?", target)
    if match is None:
        raise ConfigError(
            f"target {target!r}: write module:attr or path/file.py:attr, as in app:handle"
        )
    name = match[1]
    module = load_file(name) if name.endswith(".py") else load_module(name, directory(first))
    found: Any = module
    for attr in match[2].split("."):
        if not hasattr(found, attr):
            raise ConfigError(f"target {target!r}: {name} has no {attr!r}{nearby(found, attr)}")
        found = getattr(found, attr)
    if match[3] is None:
        return found
    if not callable(found):
        raise ConfigError(f"target {target!r}: {match[2]} is no function; leave the () away")
    return found()


def load_module(name: str, first: Path) -> ModuleType:
    """Imports a module, from this directory or wherever Python finds it."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(f"{name!r} is no name of a module; for a file, write {name}.py:attr")
    search(first)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # One that this module itself imports is a matter of its own: let its traceback be seen.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(
            f"no module named {error.name!r}: is it installed, or else in {first}?"
        ) from None


def load_file(name: str) -> ModuleType:
    """Runs a file as a module, with its directory on sys.path, as Python does with a script."""
    path = Path(name).resolve()
    if not path.is_file():
        raise ConfigError(f"no file {name} in {Path.cwd()}")
    search(path.parent)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{name} cannot be run as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def directory(name: str) -> Path:
    """The directory of this name. Raises ConfigError if there is none."""
    path = Path(name).resolve()
    if not path.is_dir():
        raise ConfigError(f"--app-dir {name}: there is no such directory")
    return path


def search(directory: Path) -> None:
    """Puts a directory first on sys.path, once."""
    entry = os.fspath(directory)
    if entry not in sys.path:
        sys.path.insert(0, entry)


def nearby(found: Any, attr: str) -> str:
    """A hint with names like the one that does not exist; empty if there are none."""
    near = get_close_matches(attr, [name for name in dir(found) if name[0] != "_"], 3)
    return f": did you mean {' or '.join(near)}?" if near else ""
