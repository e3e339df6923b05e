"""A backup: each collection's documents go into a part of their own, and what passes is what is fingerprinted.

Where the server can show one moment (a replica set, a sharded cluster), all documents are read as of it. Elsewhere
everything is read a second time behind it: what is the same in both readings was so in between, so the backup is of
that moment; what is not is named.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from include.recovery.content.model import Item
from include.recovery.content.port import Captured, Sink, Site
from include.recovery.content.sorting import Sorter
from include.recovery.errors import SourceError
from include.recovery.jobs import Stopped
from include.recovery.mongodb.connect import Client, can_show_one_moment, server_version
from include.recovery.mongodb.definitions import PART, Definition, definitions, users_left_out
from include.recovery.mongodb.documents import Sum, item_of, split
from include.recovery.policy.source_kinds.mongodb import MongodbSource

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession

BATCH = 2000
"""Documents that the server is asked for at once; it sends fewer when they are large."""


@dataclass(frozen=True)
class Reading:
    """One way through a server's documents.

    :param session: of one moment; None reads everything as it is when its turn comes.
    """

    client: Client
    session: ClientSession | None
    stop: threading.Event

    def shows_moment(self, definition: Definition) -> bool:
        """Capped collections have no past on many servers."""
        return self.session is not None and not definition.options.get("capped")

    def batches(self, definition: Definition) -> Iterator[bytes]:
        """The documents of a collection, raw, many at a time.

        :raises Stopped: when told to.
        """
        collection = self.client[definition.database][definition.name]
        session = self.session if self.shows_moment(definition) else None
        with collection.find_raw_batches({}, batch_size=BATCH, session=session) as cursor:
            for batch in cast("Iterator[bytes]", cursor):  # its type says documents, and it gives what they are in
                if self.stop.is_set():
                    raise Stopped
                yield batch

    def items(self, definition: Definition) -> Iterator[Item]:
        """Its documents as items, in the server's order."""
        for batch in self.batches(definition):
            for document in split(batch, definition.namespace):
                yield item_of(document, definition.namespace)


@contextmanager
def reading(client: Client, stop: threading.Event) -> Iterator[Reading]:
    """All documents, as of one moment where the server can show it."""
    if not can_show_one_moment(client):
        yield Reading(client, None, stop)
        return
    with client.start_session(snapshot=True) as session:
        yield Reading(client, session, stop)


def all_items(client: Client, found: list[Definition], stop: threading.Event) -> Iterator[Item]:
    """Definitions and documents, in order."""
    with Sorter() as sorter, reading(client, stop) as now:
        for definition in found:
            sorter.add(definition.item)
            if not definition.is_view:
                for item in now.items(definition):
                    sorter.add(item)
        yield from sorter.sorted()


def back_up(site: Site[MongodbSource], client: Client, sink: Sink) -> Captured:
    """Store every document and definition.

    :raises SourceError: when something changed meanwhile that spoils the backup.
    """
    source, began = site.source, site.now()
    found = definitions(client, source, sink.leave_out)
    users_left_out(client, source, sink.leave_out)
    with Sorter() as sorter, reading(client, site.stop) as now:
        kept, sums = [], {}
        for number, definition in enumerate(found, 1):
            sorter.add(definition.item)
            if definition.is_view:
                kept.append(definition)
                continue
            part = f"c{number:05}"
            total = sums[definition.namespace] = _store(now, definition, sink, part, sorter.add)
            kept.append(replace(
                definition, part=part if total.count else None, documents=total.count, size=total.size
            ))  # fmt: skip
        read_at = site.now()
        _unchanged_definitions(found, definitions(client, source))
        moving = _read_again(now, found, sums)
        if moving:
            _changed_meanwhile(site, sink, moving)
        with sink.writing(PART) as stream:
            for definition in kept:
                stream.write(definition.line())
        for item in sorter.sorted():
            sink.item(item)
        position = now.session.operation_time if now.session is not None else None
    return Captured(
        snapshot_at=began if now.session is not None or moving else read_at,
        server_version=server_version(client), tools={"pymongo": _driver()},
        size=sum(definition.size for definition in kept),
        lsn=f"{position.time}.{position.inc}" if position is not None else None,
    )  # fmt: skip


def _store(now: Reading, definition: Definition, sink: Sink, part: str, enter: Callable[[Item], None]) -> Sum:
    """Write a collection's part, unless it has no documents."""
    total = Sum()
    batches = now.batches(definition)
    first = next(batches, b"")
    if not first:
        return total
    with sink.writing(part) as stream:
        for batch in _chained(first, batches):
            for document in split(batch, definition.namespace):
                item = item_of(document, definition.namespace)
                total.add(item)
                enter(item)
            stream.write(batch)
    return total


def _chained(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _unchanged_definitions(before: list[Definition], after: list[Definition]) -> None:
    old, new = ({each.namespace: each.item for each in side} for side in (before, after))
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    if changed:
        raise SourceError(
            f"these were made, dropped or defined anew while the backup was taken: {', '.join(changed)}; take it again "
            "when nobody deploys"
        )


def _read_again(now: Reading, found: list[Definition], sums: dict[str, Sum]) -> list[str]:
    """What is not the same in a second reading, of all that has no moment of its own."""
    moving = []
    for definition in found:
        if not definition.is_view and not now.shows_moment(definition):
            again = Sum()
            for item in now.items(definition):
                again.add(item)
            if again != sums[definition.namespace]:
                moving.append(definition.namespace)
    return moving


def _changed_meanwhile(site: Site[MongodbSource], sink: Sink, moving: list[str]) -> None:
    names = ", ".join(moving)
    if not site.source.accept_changes:
        raise SourceError(
            f"{site.name}: documents of {names} changed while they were read, and this server cannot show one moment; "
            "make it a replica set (of one member is enough), stop the writers, or set 'accept_changes' in the policy"
        )
    sink.leave_out(
        f"one moment of {names}",
        "they changed while they were read, and the server is no replica set: each document is as of when it was read",
    )


def _driver() -> str:
    import pymongo

    return pymongo.version
