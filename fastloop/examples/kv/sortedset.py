"""A sorted set: members with a score each, kept in the order of (score, member).

Workload: up to some 100 000 members. The order is a plain sorted list: an insertion moves pointers,
which at these sizes costs less than the steps through any tree of Python objects.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator


class SortedSet:
    """``scores`` maps members to scores; ``order`` is the sorted list of (score, member)."""

    __slots__ = ("order", "scores")

    def __init__(self) -> None:
        self.scores: dict[bytes, float] = {}
        self.order: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        return iter(self.order)

    def put(self, member: bytes, score: float) -> None:
        """Add a member, or give it another score."""
        old = self.scores.get(member)
        if old == score:
            return
        if old is not None:
            self.remove(member)
        self.scores[member] = score
        insort(self.order, (score, member))

    def remove(self, member: bytes) -> bool:
        """Take a member out; returns whether it was there."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        del self.order[bisect_left(self.order, (score, member))]
        return True

    def pop_first(self, count: int) -> list[tuple[float, bytes]]:
        """Take out and return so many members with the lowest scores, or all there are."""
        first = self.order[:count]
        del self.order[:count]
        for _, member in first:
            del self.scores[member]
        return first
