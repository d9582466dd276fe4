"""Score rows of numbers with a small model, all rows that came in one turn at once.

    fastloop serve fastloop.examples.score:handle --bind tcp://127.0.0.1:7003 --framing line
    echo "5.1 3.5 1.4 0.2" | nc -q 1 127.0.0.1 7003

A line holds four numbers, separated by spaces or commas; the answer is the probability that a fixed
logistic model gives, with six decimals. A batch handler gets a list of messages, so that many
clients share one matrix product; numpy does it where it is installed. A bad line costs only its
own answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import fastloop

try:
    import numpy
except ImportError:  # the model is small enough for plain Python
    numpy = None  # type: ignore[assignment]

WEIGHTS = (0.42, -1.31, 2.25, 1.08)
BIAS = -6.0
FAR = 700.0  # exp() of more overflows; the answer is 0 or 1 long before

Row = tuple[float, ...]


def parse(line: bytes) -> Row | str:
    """Return the numbers of one line, or what is wrong with it."""
    try:
        row = tuple(map(float, line.replace(b",", b" ").split()))
    except ValueError:
        return "error: numbers only, separated by spaces or commas"
    if len(row) != len(WEIGHTS):
        return f"error: {len(WEIGHTS)} numbers wanted, {len(row)} given"
    if not all(map(math.isfinite, row)):
        return "error: finite numbers only"
    return row


def predict_plain(rows: Sequence[Row]) -> list[float]:
    """Return the probability for each row, in plain Python."""
    sums = (BIAS + sum(w * x for w, x in zip(WEIGHTS, row, strict=True)) for row in rows)
    return [1.0 / (1.0 + math.exp(-max(-FAR, min(FAR, s)))) for s in sums]


def predict_matrix(rows: Sequence[Row]) -> list[float]:
    """Return the probability for each row, by one matrix product."""
    with numpy.errstate(over="ignore"):  # sums beyond the largest float are infinite, and clipped
        sums = numpy.array(rows) @ numpy.array(WEIGHTS) + BIAS
    scores: list[float] = (1.0 / (1.0 + numpy.exp(-numpy.clip(sums, -FAR, FAR)))).tolist()
    return scores


predict = predict_plain if numpy is None else predict_matrix


@fastloop.batch
def handle(messages: list[bytes]) -> list[bytes]:
    """Return one answer for each line, in their order."""
    parsed = [parse(line) for line in messages]
    rows = [row for row in parsed if not isinstance(row, str)]
    scores = iter(predict(rows) if rows else ())
    return [row.encode() if isinstance(row, str) else b"%.6f" % next(scores) for row in parsed]
