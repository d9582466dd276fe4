"""Say every line back: the smallest server there is.

fastloop serve fastloop.examples.echo:handle --bind tcp://127.0.0.1:7001 --framing line
nc 127.0.0.1 7001
"""


def handle(line: bytes) -> bytes:
    """Return the line; the framing ends it as it ended the one that came."""
    return line
