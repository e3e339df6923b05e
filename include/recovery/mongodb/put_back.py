"""Putting back on the live server: made beside, read back, then exchanged; no collection is ever dropped.

A collection that is wanted as a whole is loaded under another name in its own database (a rename within a database is
instant, one across databases is a copy), read back, and takes the place of the live one, which is renamed aside first.
Single documents are replaced in place, after a copy of what they were went into a collection aside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC
from itertools import islice

from pymongo import ReplaceOne
from pymongo.errors import OperationFailure

from include.recovery.content.compare import changes
from include.recovery.content.port import PutBack, Selection, Site, Stored
from include.recovery.errors import NotIdentical, SourceError
from include.recovery.mongodb.capture import Reading, all_items
from include.recovery.mongodb.connect import Client
from include.recovery.mongodb.definitions import Definition, definitions
from include.recovery.mongodb.documents import Sum, identifier, item_of, raw, split
from include.recovery.mongodb.load import (
    BATCH_DOCUMENTS,
    build_indexes,
    concerned,
    create,
    documents_of,
    insert,
    stored_definitions,
    wants_all,
    wants_something,
)
from include.recovery.policy.source_kinds.mongodb import MongodbSource

_NO_SUCH, _EXISTS = 26, 48
_TRIES = 5


def put_back(site: Site[MongodbSource], client: Client, stored: Stored, only: Selection) -> PutBack:
    """Make the server hold what the backup holds.

    :raises NotIdentical: when a collection that was loaded is not what the backup holds; it was not exchanged then.
    """
    live = {each.namespace: each for each in definitions(client, site.source)}
    differing = Counter(
        change.name.partition("/")[0]
        for change in changes(
            (item for item in stored.items() if only.wants(item.name)),
            (item for item in all_items(client, list(live.values()), site.stop) if only.wants(item.name)),
        )
    )
    work = _Work(site, client, stored, only, site.now().astimezone(UTC).strftime("%Y%m%dt%H%M%Sz"))
    held = stored_definitions(stored)
    for definition in concerned(held, only):
        if differing[definition.namespace]:
            work.definition(definition, live.get(definition.namespace))
    for namespace in sorted(live.keys() - {each.namespace for each in held}):
        if differing[namespace] and wants_something(namespace, only):
            work.surplus(live[namespace])
    aside = ", ".join(work.aside) or "nothing was in the way"
    return PutBack(sum(differing.values()), aside, tuple(work.notes))


@dataclass
class _Work:
    site: Site[MongodbSource]
    client: Client
    stored: Stored
    only: Selection
    stamp: str
    aside: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def definition(self, wanted: Definition, live: Definition | None) -> None:
        """Make one collection or view what the backup holds."""
        if wanted.is_view:
            self._view(wanted, live)
        elif wants_all(wanted.namespace, self.only) and not (live is not None and live.is_view):
            self._exchange(wanted)
        elif live is None or live.is_view:
            raise SourceError(
                f"{self.site.name}: single documents of {wanted.namespace} cannot be put back, as there is no such "
                "collection any more; put the whole collection back"
            )
        else:
            self._single(wanted, live)

    def surplus(self, live: Definition) -> None:
        """Take aside what the backup does not hold."""
        if live.is_view:
            self.notes.append(f"view {live.namespace} is not in the backup and was left: it holds nothing itself")
        elif wants_all(live.namespace, self.only):
            self._rename(live.database, live.name, self._kept(live.name))
        else:
            self._single(replace(live, part=None, documents=0), live)

    def _exchange(self, wanted: Definition) -> None:
        beside = f"{wanted.name}__restored_{self.stamp}"
        create(self.client, wanted, beside)
        loaded = Sum()

        def load(documents: Iterator[bytes]) -> None:
            nonlocal loaded
            loaded = insert(self.client, wanted, documents, self.site.stop, name=beside)

        documents_of(self.stored, wanted, load)
        build_indexes(self.client, wanted, beside)
        found = Sum()
        for item in Reading(self.client, None, self.site.stop).items(replace(wanted, name=beside)):
            found.add(item)
        if found != loaded:
            raise NotIdentical(
                f"{self.site.name}: {wanted.database}.{beside} has {found.count} documents that are not those of the "
                f"backup ({loaded.count}); {wanted.namespace} was left as it is"
            )
        for attempt in range(_TRIES):
            kept = self._kept(wanted.name, attempt)
            moved = self._rename(wanted.database, wanted.name, kept)
            try:
                self._renamed(wanted.database, beside, wanted.name)
            except OperationFailure as error:
                # An application has made it anew in between, by writing: that goes aside too.
                if error.code == _EXISTS and attempt < _TRIES - 1:
                    continue
                if moved:
                    with suppress(OperationFailure):
                        self._renamed(wanted.database, kept, wanted.name)
                raise
            return

    def _single(self, wanted: Definition, live: Definition) -> None:
        collection = self.client[live.database][live.name]
        kept = self._kept(live.name)
        now = Reading(self.client, None, self.site.stop)
        there = (
            document
            for batch in now.batches(live)
            for document in split(batch, live.namespace)
            if self.only.wants(item_of(document, live.namespace).name)
        )
        insert(self.client, live, there, self.site.stop, name=kept)
        back: set[str] = set()

        def load(documents: Iterator[bytes]) -> None:
            chosen = (each for each in documents if self.only.wants(item_of(each, wanted.namespace).name))
            while batch := list(islice(chosen, BATCH_DOCUMENTS)):
                back.update(item_of(each, wanted.namespace).name for each in batch)
                collection.bulk_write(
                    [ReplaceOne({"_id": identifier(each, wanted.namespace)}, raw(each), upsert=True) for each in batch],
                    bypass_document_validation=True,
                )

        documents_of(self.stored, wanted, load)
        aside = replace(live, name=kept)
        for batch in now.batches(aside):
            for document in split(batch, live.namespace):
                if item_of(document, live.namespace).name not in back:
                    collection.delete_one({"_id": identifier(document, live.namespace)})
        self.aside.append(f"{live.database}.{kept}")

    def _view(self, wanted: Definition, live: Definition | None) -> None:
        if live is not None and not live.is_view:
            self._rename(live.database, live.name, self._kept(live.name))
            live = None
        if live is None:
            create(self.client, wanted)
            return
        kept = self._kept(live.name)
        create(self.client, live, kept)
        self.aside.append(f"{live.database}.{kept}")
        shows = {key: value for key, value in wanted.options.items() if key in ("viewOn", "pipeline")}
        self.client[wanted.database].command({"collMod": wanted.name, **shows})

    def _kept(self, name: str, attempt: int = 0) -> str:
        """The name to keep something under."""
        again = f"_{attempt}" if attempt else ""
        return f"{name}{again}__before_{self.stamp}"

    def _rename(self, database: str, old: str, new: str) -> bool:
        """Move a collection aside; False when there is none."""
        try:
            self._renamed(database, old, new)
        except OperationFailure as error:
            if error.code == _NO_SUCH:
                return False
            raise
        self.aside.append(f"{database}.{new}")
        return True

    def _renamed(self, database: str, old: str, new: str) -> None:
        self.client[database][old].rename(new)
