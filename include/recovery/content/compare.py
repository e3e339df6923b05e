"""Two inventories side by side: what is missing, what is unexpected, what differs. Flat memory, whatever their size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from include.recovery.content.model import Item
from include.recovery.fingerprint.model import Comparison, Difference, NotCompared

NAMED = 100
"""So many differences are named; the rest is counted."""

How = Literal["missing", "unexpected", "content"]


class Change(NamedTuple):
    """An item that is not the same on both sides.

    :param expected: None when it is only in the copy.
    :param found: None when the copy lacks it.
    """

    expected: Item | None
    found: Item | None

    @property
    def how(self) -> How:
        """What is wrong with the copy."""
        if self.found is None:
            return "missing"
        return "unexpected" if self.expected is None else "content"

    @property
    def name(self) -> str:
        """Of the item."""
        item = self.expected or self.found
        assert item is not None
        return item.name

    @property
    def message(self) -> str:
        """A clause for people."""
        if self.found is None:
            return f"{shown(self.name)} is missing"
        if self.expected is None:
            return f"{shown(self.name)} is there, and was not backed up"
        if self.expected.size != self.found.size:
            return f"{shown(self.name)} has {self.found.size} bytes, and had {self.expected.size}"
        if not self.expected.size:
            return f"{shown(self.name)} is not what was backed up"
        return f"{shown(self.name)} is not what was backed up, and has the same {self.found.size} bytes"


def changes(expected: Iterable[Item], found: Iterable[Item]) -> Iterator[Change]:
    """Every item that differs, in order; both sides come in order."""
    left, right = iter(expected), iter(found)
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.order < other.order):
            yield Change(one, None)
            one = next(left, None)
        elif one is None or other.order < one.order:
            yield Change(None, other)
            other = next(right, None)
        else:
            if (one.digest, one.size) != (other.digest, other.size):
                yield Change(one, other)
            one, other = next(left, None), next(right, None)


def compare(
    expected: Iterable[Item], found: Iterable[Item], *, unit: str = "item", not_compared: Iterable[NotCompared] = ()
) -> Comparison:
    """The verdict over a copy.

    :param unit: what an item is, in one word.
    """
    counted = _Counted(expected)
    kinds: Counter[How] = Counter()
    named: list[Difference] = []
    for change in changes(counted, found):
        kinds[change.how] += 1
        if len(named) < NAMED:
            named.append(Difference(object=shown(change.name), kind=change.how, message=change.message))
    for how, count in kinds.items():
        more = count - sum(1 for difference in named if difference.kind == how)
        if more:
            named.append(Difference(object="(others)", kind=how, message=f"{more} more: {how}"))
    return Comparison(
        identical=not named, compared_tables=0, compared_rows=counted.count, differences=tuple(named),
        not_compared=tuple(not_compared), unit=unit,
    )  # fmt: skip


def shown(name: str) -> str:
    """A name as it can be printed: quoted where it has line breaks or bytes that are no text."""
    return name if name.isprintable() else repr(name)


class _Counted:
    def __init__(self, items: Iterable[Item]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[Item]:
        for item in self._items:
            self.count += 1
            yield item
