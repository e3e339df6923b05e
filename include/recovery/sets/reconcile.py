"""Objects that a database names against the objects that are there, side by side in order. Pure; flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from include.recovery.content.model import Item
from include.recovery.errors import LifeboatError
from include.recovery.evidence.words import plural

NAMED = 100
"""So many of each are named; the rest is counted."""


class Mismatch(NamedTuple):
    """A key that only one side has.

    :param what: ``missing``: the database names it, and no object is there; ``orphaned``: the other way round.
    """

    key: str
    what: Literal["missing", "orphaned"]


@dataclass
class Reconciled:
    """What was found.

    :param named: keys that the database names; ``held``: objects that are there.
    :param missing: and ``orphaned``: the first of them, in order; the numbers are in ``counts``.
    :param fetched: missing ones that a version still had, and that are back, with where from.
    """

    named: int = 0
    held: int = 0
    missing: list[str] = field(default_factory=list)
    orphaned: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"missing": 0, "orphaned": 0})
    fetched: dict[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every object that the database names is there now."""
        return self.counts["missing"] == len(self.fetched)

    @property
    def sentence(self) -> str:
        """For people."""
        told = [f"the database names {plural(self.named, 'object')}, {self.held:,} are there"]
        if self.counts["missing"]:
            told.append(f"{self.counts['missing']:,} missing ({_first(self.missing, self.counts['missing'])})")
        if self.fetched:
            told.append(f"{len(self.fetched):,} of them fetched from older versions")
        if self.counts["orphaned"]:
            told.append(f"{self.counts['orphaned']:,} orphaned ({_first(self.orphaned, self.counts['orphaned'])})")
        return "; ".join(told)


def mismatches(named: Iterable[str], held: Iterable[Item], found: Reconciled) -> Iterator[Mismatch]:
    """Every key that only one side has, in order.

    :param named: keys that the database names, in the order of their UTF-8 bytes; the same one may come repeatedly.
    :param held: the objects, in order.
    :param found: is filled in as they pass.
    :raises LifeboatError: when the database's keys do not come in order.
    """
    keys, objects = _in_order(named, found), iter(held)
    key, item = next(keys, None), _next(objects, found)
    while key is not None or item is not None:
        if item is None or (key is not None and key.encode() < item.order):
            assert key is not None
            yield _note(Mismatch(key, "missing"), found)
            key = next(keys, None)
        elif key is None or item.order < key.encode():
            yield _note(Mismatch(item.name, "orphaned"), found)
            item = _next(objects, found)
        else:
            key, item = next(keys, None), _next(objects, found)


def _in_order(named: Iterable[str], found: Reconciled) -> Iterator[str]:
    last: bytes | None = None
    for key in named:
        order = key.encode()
        if last is not None and order < last:
            raise LifeboatError(
                f"the keys that the database names must come in order: {key!r} came behind one that is greater; this "
                "is a mistake in Lifeboat, report it"
            )
        if order != last:
            found.named += 1
            yield key
        last = order


def _next(objects: Iterator[Item], found: Reconciled) -> Item | None:
    item = next(objects, None)
    found.held += item is not None
    return item


def _note(mismatch: Mismatch, found: Reconciled) -> Mismatch:
    found.counts[mismatch.what] += 1
    first = found.missing if mismatch.what == "missing" else found.orphaned
    if len(first) < NAMED:
        first.append(mismatch.key)
    return mismatch


def _first(keys: list[str], count: int) -> str:
    shown = ", ".join(key if key.isprintable() else repr(key) for key in keys[:3])
    return shown if count <= 3 else f"{shown} and {count - 3:,} more"
