"""Patterns as Redis matches them (KEYS, SCAN, CONFIG GET), made into regular expressions.

``*`` any bytes, ``?`` one, ``[a-c]`` one of these, ``[^a-c]`` none of these, and a backslash takes
the next byte as it is. An unfinished bracket ends with the pattern.
"""

import re
from functools import lru_cache


@lru_cache
def compiled(pattern: bytes) -> re.Pattern[bytes]:
    """Return the regular expression whose ``fullmatch`` is Redis' match."""
    parts: list[bytes] = []
    at = 0
    while at < len(pattern):
        byte = pattern[at : at + 1]
        at += 1
        if byte == b"*":
            if parts[-1:] != [b".*"]:
                parts.append(b".*")
        elif byte == b"?":
            parts.append(b".")
        elif byte == b"[":
            part, at = bracket(pattern, at)
            parts.append(part)
        else:
            if byte == b"\\" and at < len(pattern):
                byte = pattern[at : at + 1]
                at += 1
            parts.append(re.escape(byte))
    return re.compile(b"".join(parts), re.DOTALL)


def bracket(pattern: bytes, at: int) -> tuple[bytes, int]:
    """Return the expression for a bracket that opened before `at`, and where it ends."""
    inverted = pattern[at : at + 1] == b"^"
    at += inverted
    chosen: set[int] = set()
    while at < len(pattern) and pattern[at] != ord("]"):
        if pattern[at] == ord("\\") and at + 1 < len(pattern):
            chosen.add(pattern[at + 1])
            at += 2
        elif at + 2 < len(pattern) and pattern[at + 1] == ord("-"):
            low, high = sorted((pattern[at], pattern[at + 2]))
            chosen.update(range(low, high + 1))
            at += 3
        else:
            chosen.add(pattern[at])
            at += 1
    if inverted:
        chosen = set(range(256)) - chosen
    members = b"".join(b"\\x%02x" % byte for byte in sorted(chosen))
    return (b"[" + members + b"]" if members else b"(?!)"), at + 1
