"""The door to the compiled core: the only module that imports `fastloop._core`.

At import it makes sure that core and interpreter agree on the form in which batches cross.
"""

import errno
import marshal
from pathlib import Path
from typing import Any

from fastloop.errors import ConnectionClosed, CoreError, ReplyError

try:
    from fastloop._core import ffi, lib
except ModuleNotFoundError as error:
    if error.name != "fastloop._core":
        raise
    raise ImportError(
        f"the compiled part of fastloop is not in {Path(__file__).parent}: from a checkout, run"
        " `pip install .` and start Python in another directory, or run `pip install -e .`"
    ) from error

__all__ = ["check", "ffi", "lib", "strerror"]

# One of each form that a batch is made of, at the edges where an encoding could change.
SAMPLES: list[object] = [
    [None, True, False, 1.5, -0.0],
    [0, -1, 2**15, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63)],
    [b"", b"\x00\xff", bytes(300), "", "text", "\u00e9\u20ac\U0001f40d", "x" * 300],
    [(), (1, (2, [3])), [[], [()]], {"key": [1, {b"k": None}]}, {7}, frozenset({8})],
    [(0, 1, [2**63 - 1, 2**40], [b"a", [b"SET", b"k", b"v"]]), (StopIteration, 32, 1, b"reply")],
]


def strerror(code: int) -> str:
    """What an error code of the core (-errno or FL_E*) says, in words."""
    return str(ffi.string(lib.fl_strerror(code)), "utf-8", "replace")


def check(rc: int, what: str) -> int:
    """Returns `rc` unless it is an error; `what` was being done, as in "listening".

    Raises OSError (of the subclass that fits) for an errno, BlockingIOError where a queue is full,
    MemoryError, ConnectionClosed, ReplyError or CoreError.
    """
    if rc >= 0:
        return rc
    message = f"{what}: {strerror(rc)}"
    if rc == -errno.ENOMEM:
        raise MemoryError(message)
    if rc == -errno.ENOTCONN:
        raise ConnectionClosed(message)
    if rc == lib.FL_EVALUE:
        raise ReplyError(message)
    if rc == lib.FL_EFULL:
        raise BlockingIOError(errno.EAGAIN, message)
    if rc <= lib.FL_EPROTO:
        raise CoreError(message, rc)
    raise OSError(-rc, message)


def echo(value: Any) -> object:
    """Sends a value through the codec of the core, as a reply and back as a message."""
    sent = marshal.dumps(value, 2)
    room = ffi.new("char[]", 2 * len(sent) + 64)
    length = check(lib.fl_codec_echo(sent, len(sent), room, len(room)), "encoding")
    result: object = marshal.loads(ffi.buffer(room, length))
    return result


# A str and a bytes value that are flagged, and references to them.
SHARED = b"[\4\0\0\0" + b"\xfa\3one" + b"\xf3\3\0\0\0two" + b"r\1\0\0\0" + b"r\0\0\0\0"


def check_codec() -> None:
    """Raises ImportError unless every sample comes back from the core as it went."""
    for sample in SAMPLES:
        try:
            returned = echo(sample)
        except Exception as error:
            returned = error
        if repr(returned) != repr(sample):
            raise ImportError(
                "fastloop's core and this interpreter disagree on the marshal format:"
                f" {sample!r:.200} came back as {returned!r:.200}; please report it, with the"
                " output of `python -VV`"
            )
    if marshal.loads(SHARED) != ["one", b"two", b"two", "one"]:
        raise ImportError("this interpreter's marshal does not know references (version 3)")


check_codec()
