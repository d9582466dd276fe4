"""What `fastloop check` tells: this machine, this build, and what works here."""

import errno
import importlib.metadata
import platform
import resource
import sysconfig
from importlib.util import find_spec
from typing import Any

import cffi

from fastloop._ffi import ffi, lib
from fastloop.notices import refusal

DISTRIBUTION = "fastloop-server"
NO_COMPRESSION = (
    "no, for WebSocket: built without zlib's headers (zlib1g-dev, zlib-devel); install them, then"
    " fastloop again"
)
OTHER_PLATFORM = "not of this platform"


def report() -> dict[str, Any]:
    """Everything, as plain values fit for JSON. `auto` is None if no backend works."""
    found = backends()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {
        "fastloop": importlib.metadata.version(DISTRIBUTION),
        "wheel": wheel_tag(),
        "platform": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "cffi": cffi.__version__,
        "uvloop": find_spec("uvloop") is not None,
        "compression": bool(lib.fl_compresses()),
        "files": {"soft": unlimited(soft), "hard": unlimited(hard)},
        "backends": found,
        "auto": next((name for name, why in found.items() if why is None), None),
    }


def backends() -> dict[str, str | None]:
    """The backends that the core knows, best first: None for one that works, or why it does not."""
    found: dict[str, str | None] = {}
    while (name := lib.fl_backend_name(len(found))) != ffi.NULL:
        rc = lib.fl_backend_probe(ffi.string(name))
        why = OTHER_PLATFORM if rc == -errno.ENOENT else refusal(rc)
        found[ffi.string(name).decode()] = None if rc == 0 else why
    return found


def falls_back(backend: str, why: str) -> bool:
    """Whether a server takes another backend where this one does not work: a kernel that refuses
    io_uring is no mistake of the user's. What is not of this platform is.
    """
    return backend == "io_uring" and why != OTHER_PLATFORM


def wheel_tag() -> str:
    """The tag of the wheel that is installed, such as "cp311-abi3-linux_x86_64"."""
    text = importlib.metadata.distribution(DISTRIBUTION).read_text("WHEEL") or ""
    tags = [line.removeprefix("Tag: ") for line in text.splitlines() if line.startswith("Tag: ")]
    return ", ".join(tags) or "none"


def unlimited(limit: int) -> int | None:
    """A resource limit; None for no limit."""
    return None if limit == resource.RLIM_INFINITY else limit


def render(found: dict[str, Any]) -> str:
    """The report for people."""
    files = found["files"]
    rows = [
        ("fastloop", f"{found['fastloop']} (wheel {found['wheel']})"),
        ("platform", found["platform"]),
        ("python", found["python"] + (", free-threaded" if found["free_threaded"] else "")),
        ("cffi", found["cffi"]),
        ("uvloop", "installed" if found["uvloop"] else "not installed (optional)"),
        ("compression", "by zlib" if found["compression"] else NO_COMPRESSION),
        ("open files", f"{files['soft'] or 'no limit'} (up to {files['hard'] or 'no limit'})"),
    ]
    for name, why in found["backends"].items():
        chosen = "   <- auto" if name == found["auto"] else ""
        rows.append((f"backend {name}", f"works{chosen}" if why is None else f"no: {why}"))
    if files["soft"] is not None and files["soft"] < 4096:
        rows.append(("hint", "raise the limit of open files for many connections: ulimit -n 65536"))
    return "\n".join(f"{label:<16} {value}" for label, value in rows)
