"""How bytes on a stream become messages: the framings, as values.

A framing is named by a string (``"line"``, ``"u32be"``), or is one of these objects where its limit
or its delimiter matters: ``framing=Line(delimiter=b"\\0", max=1024)``. Replies are framed likewise.
"""

from dataclasses import dataclass
from difflib import get_close_matches

from fastloop.errors import ConfigError
from fastloop.options import GIB, KIB, MIB

# Length prefixes, with the default maximum of a message in bytes.
LENGTHS = {
    "u8": 255,
    "u16be": 65535,
    "u16le": 65535,
    "u32be": 16 * MIB,
    "u32le": 16 * MIB,
    "varint": 16 * MIB,
}

NAMES = ("raw", "line", *LENGTHS, "resp", "http")


@dataclass(frozen=True)
class Framing:
    """What the core wants to know. Use one of the classes below, or `of()`.

    `max` is the largest message in bytes; `delimiter` is of lines alone. Raises ConfigError.
    """

    name: str
    max: int
    delimiter: bytes | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.max <= GIB:
            raise ConfigError(f"framing {self.name}: max={self.max} is not from 1 byte to 1 GiB")
        if self.delimiter is not None and not 1 <= len(self.delimiter) <= 8:
            raise ConfigError(
                f"framing line: delimiter={self.delimiter!r} is not 1 to 8 bytes long"
            )


class Raw(Framing):
    """Bytes as they come, in pieces of at most `max` (64 KiB): where they are cut means nothing."""

    def __init__(self, max: int = 64 * KIB) -> None:
        super().__init__("raw", max)


class Line(Framing):
    """Messages that end with `delimiter`, which the handler does not see; at most `max` (64 KiB).

    With no delimiter a line ends with LF, and a CR in front of it is dropped as well.
    """

    def __init__(self, delimiter: bytes | None = None, max: int = 64 * KIB) -> None:
        super().__init__("line", max, delimiter)


class Length(Framing):
    """Messages behind their length: a number of `kind`, big or little endian, or a varint.

    `max` is by default what the prefix can say, and 16 MiB for u32 and varint.
    """

    def __init__(self, kind: str = "u32be", max: int | None = None) -> None:
        if kind not in LENGTHS:
            raise ConfigError(f"length prefix {kind!r} is unknown: use one of {', '.join(LENGTHS)}")
        super().__init__(kind, LENGTHS[kind] if max is None else max)


class Resp(Framing):
    """Redis' protocol: a message is a command, a tuple of bytes; `max` (16 MiB) is for it all."""

    def __init__(self, max: int = 16 * MIB) -> None:
        super().__init__("resp", max)


class Http(Framing):
    """HTTP/1.1: a message is a Request. Its limits are options of their own, such as max_body."""

    def __init__(self) -> None:
        super().__init__("http", GIB)


def of(
    spec: str | Framing | None, *, delimiter: bytes | str | None = None, max: int | None = None
) -> Framing:
    """The framing that `spec` names, or is.

    `delimiter` (of lines; a string may hold escapes such as ``"\\r\\n"`` spelt out) and `max`
    (bytes) are for names; an object has its own. Raises ConfigError.
    """
    if isinstance(spec, Framing):
        return spec
    if spec is None:
        raise ConfigError(f"a framing is missing: tell where messages end by {', '.join(NAMES)}")
    if delimiter is not None and spec != "line":
        raise ConfigError(f"a delimiter belongs to framing line, not to {spec}")
    most = {} if max is None else {"max": max}
    if spec == "line":
        return Line(unescape(delimiter), **most)
    if spec == "raw":
        return Raw(**most)
    if spec == "resp":
        return Resp(**most)
    if spec == "http":
        return Http()
    if spec in LENGTHS:
        return Length(spec, max)
    near = get_close_matches(str(spec), NAMES, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(NAMES)}"
    raise ConfigError(f"framing {spec!r} is unknown: {hint}")


def unescape(delimiter: bytes | str | None) -> bytes | None:
    """Bytes of a delimiter as one types it in a shell, where ``\\n`` is a backslash and an n."""
    if not isinstance(delimiter, str):
        return delimiter
    try:
        text = delimiter.encode("latin-1", "backslashreplace").decode("unicode_escape")
        return text.encode("latin-1")
    except UnicodeError as error:
        raise ConfigError(
            f"delimiter {delimiter!r} has a bad escape: use \\n \\r \\t \\0 or \\xNN"
        ) from error
