"""What is to change at the bucket so that it holds what it held: key by key, nothing more and nothing less.

A version never changes, so a key whose wanted version is the current one is as it should be. Where another version is
current, sizes tell most; only versions of one size have to be compared by their digests.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from include.recovery.content.compare import Change
from include.recovery.content.model import Item
from include.recovery.content.port import Selection
from include.recovery.objects import history
from include.recovery.objects.bucket import Bucket
from include.recovery.objects.history import Row
from include.recovery.objects.in_order import Later, in_order
from include.recovery.objects.listing import by_key, side_by_side
from include.recovery.objects.moments import SECOND, current
from include.recovery.objects.states import State, digest_of, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.recovery.content.port import Stored


class Wanted(NamedTuple):
    """What a key is to hold.

    :param item: its digest is empty where no backup knows it.
    :param copy: the version in the replica that holds the same; may be empty.
    """

    item: Item
    copy: str


class Task(NamedTuple):
    """A key that is to change.

    :param wanted: None when it is to be deleted.
    """

    change: Change
    wanted: Wanted | None


class Doubt(NamedTuple):
    """A key whose state at a moment cannot be told for sure."""

    key: str
    why: str


def stored_wanted(stored: Stored, only: Selection) -> Iterator[tuple[str, Wanted]]:
    """What a backup holds, with the names of the copies; read side by side from its inventory and its history."""
    where = stored.manifest.name
    with stored.open(history.PART) as stream:
        history.read_head(stream, where)
        rows = by_key(history.read_rows(stream, where), where)
        for key, (item, versions) in side_by_side(((item.name, item) for item in stored.items()), rows):
            if item is not None and only.wants(key):
                copy = next((row.copy for row in versions or () if row.id == item.at), "")
                yield key, Wanted(item, copy)


def wanted_at(state: State, moment: int, tell: Callable[[Doubt], None]) -> Wanted | None:
    """What a key held at a moment.

    :param tell: told where that is in doubt.
    """
    row, doubt = current(state.rows, moment)
    if doubt:
        tell(Doubt(state.key, doubt))
    return None if row is None else as_wanted(row)


def as_wanted(row: Row) -> Wanted:
    """A version, to be what its key holds."""
    return Wanted(_item(row), row.copy)


def pairs_at(
    bucket: Bucket, prefix: str, known: history.Known, moment: int, only: Selection, tell: Callable[[Doubt], None]
) -> Iterator[tuple[Wanted | None, Row | None]]:
    """For each key what it held at a moment, and what it holds now."""
    for each in states(bucket, prefix, known, only):
        yield wanted_at(each, moment, tell), each.live


def pairs_stored(
    bucket: Bucket, prefix: str, known: history.Known, stored: Stored, only: Selection
) -> Iterator[tuple[Wanted | None, Row | None]]:
    """For each key what a backup holds, and what it holds now."""
    now = ((each.key, each) for each in states(bucket, prefix, known, only))
    for _, (wanted, state) in side_by_side(stored_wanted(stored, only), now):
        yield wanted, state.live if state is not None else None


def tasks(
    pairs: Iterable[tuple[Wanted | None, Row | None]], bucket: Bucket, *, threads: int, stop: threading.Event
) -> Iterator[Task]:
    """The keys that are to change, in order."""

    def compared(wanted: Wanted, live: Row) -> Task | None:
        found = _item(live, digest_of(bucket, live))
        item = wanted.item
        if not item.digest:
            row = Row(item.name, item.at, 0, item.size, "")
            item = Item(item.name, digest_of(bucket, row), item.size, item.at)
        wanted = wanted._replace(item=item)
        return None if item.digest == found.digest else Task(Change(item, found), wanted)

    def jobs() -> Iterator[Task | Later[Task | None] | None]:
        for wanted, live in pairs:
            if wanted is None and live is None:
                continue
            if wanted is None or live is None:
                expected = None if wanted is None else wanted.item
                yield Task(Change(expected, None if live is None else _item(live)), wanted)
            elif wanted.item.at == live.id != "null":
                continue
            elif wanted.item.size != live.size:
                yield Task(Change(wanted.item, _item(live)), wanted)
            else:
                yield Later(functools.partial(compared, wanted, live))

    with closing(in_order(jobs(), threads=threads, stop=stop)) as found:
        yield from (task for task in found if task is not None)


def in_words(moment: int) -> str:
    """How a moment is meant."""
    return "stored before" if moment % SECOND == 0 else "stored up to"


def _item(row: Row, digest: str = "") -> Item:
    return Item(row.key, digest or row.digest, row.size, row.id)
