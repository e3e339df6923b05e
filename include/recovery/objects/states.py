"""Each key with its versions as the bucket lists them now, and what the newest backup knows of them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.recovery.content.model import Item
from include.recovery.content.port import EVERYTHING, Selection
from include.recovery.objects import history
from include.recovery.objects.bucket import Bucket
from include.recovery.objects.digest import measured
from include.recovery.objects.history import Known, Row
from include.recovery.objects.in_order import Later, in_order
from include.recovery.objects.listing import Version, by_key, side_by_side
from include.recovery.objects.moments import merged
from include.recovery.objects.places import places

if TYPE_CHECKING:
    from include.recovery.content.port import Site
    from include.recovery.policy.source_kinds.objects import ObjectsSource


@dataclass(frozen=True, slots=True)
class State:
    """A key.

    :param rows: all that is known of its versions, newest first, also of those that the bucket has lost.
    :param live: what plain reads see; None when there is nothing, or a delete marker on top.
    """

    key: str
    rows: Sequence[Row]
    live: Row | None


def states(bucket: Bucket, prefix: str, known: Known, only: Selection = EVERYTHING) -> Iterator[State]:
    """All keys, in order.

    :param known: to be used for nothing else.
    """
    listing = (each for below in prefixes(prefix, only) for each in bucket.history(below))
    for key, (versions, rows) in side_by_side(by_key(listing, f"bucket {bucket.bucket}"), known.by_key()):
        if only.wants(key):
            yield state(key, versions or (), rows or ())


def state(key: str, versions: Sequence[Version], rows: Sequence[Row]) -> State:
    """Of one key."""
    every = merged(versions, rows)
    live = None
    if versions and not versions[0].marker:
        top = versions[0]
        live = next(row for row in every if row.is_same(top))
    return State(key, every, live)


def prefixes(prefix: str, only: Selection) -> list[str]:
    """The fewest listings that have all that is wanted, in order; no two have a key in common."""
    found: list[str] = []
    for wanted in sorted({prefix if prefix.startswith(each) else each for each in only.prefixes or (prefix,)}):
        if wanted.startswith(prefix) and not (found and wanted.startswith(found[-1])):
            found.append(wanted)
    return found


def digest_of(bucket: Bucket, row: Row) -> str:
    """Of a version: as a backup knows it, else read anew."""
    if row.digest:
        return row.digest
    attributes, stream = bucket.fetch(row.key, row.id)
    with closing(stream):
        return measured(stream, attributes)


def items_of(bucket: Bucket, rows: Iterable[Row], site: Site[ObjectsSource]) -> Iterator[Item]:
    """Versions as items; those that no backup knows are read."""

    def read(row: Row) -> Item:
        return Item(row.key, digest_of(bucket, row), row.size, row.id)

    jobs: Iterator[Item | Later[Item]] = (
        Item(row.key, row.digest, row.size, row.id) if row.digest else Later(functools.partial(read, row))
        for row in rows
    )
    with closing(in_order(jobs, threads=site.source.threads, stop=site.stop)) as items:
        yield from items


def live_items(site: Site[ObjectsSource]) -> Iterator[Item]:
    """What plain reads of the bucket see now."""
    here, _ = places(site)
    with history.known(site) as known:
        live = (each.live for each in states(here, site.source.prefix, known) if each.live is not None)
        yield from items_of(here, live, site)
