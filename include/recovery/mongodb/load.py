"""A backup loaded into a server: collections, their documents byte for byte, then their indexes, views last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from include.recovery.content.port import Selection, Stored
from include.recovery.errors import BackupCorrupt
from include.recovery.jobs import Stopped
from include.recovery.mongodb.connect import Client
from include.recovery.mongodb.definitions import PART, Definition, read_definitions
from include.recovery.mongodb.documents import Sum, item_of, raw, read_documents

BATCH_BYTES = 8 * 1024 * 1024
BATCH_DOCUMENTS = 1000


def stored_definitions(stored: Stored) -> list[Definition]:
    """What a backup holds."""
    with stored.open(PART) as stream:
        return list(read_definitions(stream, stored.manifest.name))


def concerned(found: Iterable[Definition], only: Selection) -> list[Definition]:
    """Those that a selection wants, or some document of: the views behind what they show."""
    wanted = [each for each in found if wants_something(each.namespace, only)]
    return sorted(wanted, key=lambda definition: definition.is_view)


def wants_something(namespace: str, only: Selection) -> bool:
    """Whether a selection may want the collection or any of its documents."""
    return only.wants(namespace) or wants_all(namespace, only) or any(
        prefix.startswith(f"{namespace}/") for prefix in only.prefixes
    )  # fmt: skip


def wants_all(namespace: str, only: Selection) -> bool:
    """Whether a selection wants every document of a collection."""
    return only.wants(f"{namespace}/")


def create(client: Client, definition: Definition, name: str | None = None) -> None:
    """Make an empty collection (or a view) with its options.

    :param name: instead of its own.
    """
    client[definition.database].command({"create": name or definition.name, **definition.options})


def insert(
    client: Client,
    definition: Definition,
    documents: Iterable[bytes],
    stop: threading.Event,
    *,
    name: str | None = None,
) -> Sum:
    """Put documents into a collection, as they are.

    :param name: of the collection, instead of its own.
    :return: over those that were put in.
    :raises Stopped: when told to.
    """
    collection, total = client[definition.database][name or definition.name], Sum()
    for batch in _batches(documents):
        if stop.is_set():
            raise Stopped
        # Rules of today must not refuse documents that were written before there were rules.
        collection.insert_many([raw(each) for each in batch], bypass_document_validation=True)
        for document in batch:
            total.add(item_of(document, definition.namespace))
    return total


def build_indexes(client: Client, definition: Definition, name: str | None = None) -> None:
    """Make its indexes, but for the one over ``_id``, which it has."""
    wanted = [dict(index) for index in definition.indexes if dict(index["key"]) != {"_id": 1}]
    if wanted:
        client[definition.database].command({"createIndexes": name or definition.name, "indexes": wanted})


def documents_of(stored: Stored, definition: Definition, use: Callable[[Iterator[bytes]], None]) -> None:
    """Give a collection's documents away, and see that all of them were there.

    :raises BackupCorrupt: when the part holds another number than the definition says.
    """
    if definition.part is None:
        return
    count = 0

    def counted(stream: BinaryIO) -> Iterator[bytes]:
        nonlocal count
        for document in read_documents(stream, f"{stored.manifest.name}, part {definition.part}"):
            count += 1
            yield document

    with stored.open(definition.part) as stream:
        use(counted(stream))
    if count != definition.documents:
        raise BackupCorrupt(
            f"backup {stored.manifest.name}: {definition.namespace} has {count} documents in part {definition.part}, "
            f"and {definition.documents} in its definition; use another backup"
        )


def _batches(documents: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for document in documents:
        if batch and (size + len(document) > BATCH_BYTES or len(batch) >= BATCH_DOCUMENTS):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += len(document)
    if batch:
        yield batch
