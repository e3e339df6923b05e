"""MongoDB as a kind of source: its items are documents, and the definitions of collections and views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from bson.json_util import dumps, loads
from pymongo.errors import OperationFailure, PyMongoError

from include.recovery.content import scratch_server
from include.recovery.content.model import Item
from include.recovery.content.port import EVERYTHING, Captured, PutBack, Restored, Selection, Sink, Site, Stored
from include.recovery.errors import InsufficientRights, Refused
from include.recovery.evidence.model import Check, Outcome
from include.recovery.mongodb import load, scratch
from include.recovery.mongodb.capture import all_items, back_up
from include.recovery.mongodb.connect import Client, can_show_one_moment, client_of, translated
from include.recovery.mongodb.definitions import Definition, definitions
from include.recovery.mongodb.documents import item_of
from include.recovery.mongodb.put_back import put_back
from include.recovery.policy.source_kinds.mongodb import DocumentsQuestion, MongodbSource

MongodbSite = Site[MongodbSource]


class MongodbKind:
    """See ``content/port.py``."""

    name = "mongodb"
    unit = "document"

    def describe(self, source: MongodbSource) -> str:
        """What the source is, in words."""
        what = f"databases {', '.join(source.databases)}" if source.databases else "all databases"
        return f"MongoDB, {what} of {source.connection}"

    def precheck(self, site: MongodbSite) -> str:
        """Whether every collection can be read."""
        with _client(site) as client:
            found = definitions(client, site.source)
            hidden = []
            for each in found:
                try:
                    client[each.database][each.name].find_one({}, {"_id": 1})
                except OperationFailure as error:
                    hidden.append(f"{each.namespace} ({(error.details or {}).get('errmsg', error)})")
            if hidden:
                raise InsufficientRights(
                    f"{site.name}: the backup's login cannot read {'; '.join(hidden)}; grant readAnyDatabase, or "
                    "exclude them by name"
                )
            moment = (
                "as of one moment"
                if can_show_one_moment(client)
                else "read twice, as a server that is no replica set cannot show one moment"
            )
            collections = sum(1 for each in found if not each.is_view)
            return f"all {collections} collections can be read, {moment}"

    def capture(self, site: MongodbSite, sink: Sink) -> Captured:
        """Store documents and definitions."""
        with _client(site) as client:
            return back_up(site, client, sink)

    def live_items(self, site: MongodbSite) -> Iterator[Item]:
        """Documents and definitions as they are now."""
        with _client(site) as client:
            yield from all_items(client, definitions(client, site.source), site.stop)

    def restore(self, site: MongodbSite, stored: Stored, folder: Path, only: Selection = EVERYTHING) -> Restored:
        """Start a server in the folder and load the backup into it."""
        scratch_server.fresh(folder)
        wanted = load.concerned(load.stored_definitions(stored), only)
        server = scratch.start(folder, only.prefixes)
        with scratch.client_of(server) as client, translated(f"the copy in {folder}"):
            for definition in wanted:
                load.create(client, definition)

                def insert(documents: Iterator[bytes], definition: Definition = definition) -> None:
                    chosen = (
                        document for document in documents
                        if only == EVERYTHING or only.wants(item_of(document, definition.namespace).name)
                    )  # fmt: skip
                    load.insert(client, definition, chosen, site.stop)

                load.documents_of(stored, definition, insert)
                if not definition.is_view:
                    load.build_indexes(client, definition)
        notes = (
            (f"the copy runs on {server.tool}, not on mongod, so it proves the documents and not the server",)
            if scratch.is_stand_in(server)
            else ()
        )
        return Restored(0, f"MongoDB on port {server.address} of this machine, in {folder}", notes)

    def items(self, site: MongodbSite, folder: Path) -> Iterator[Item]:
        """What a copy holds, read from its server."""
        server = scratch_server.running(folder)
        only = Selection(server.prefixes)
        with scratch.client_of(server) as client, translated(f"the copy in {folder}"):
            found = definitions(client, site.source, everything=True)
            yield from (item for item in all_items(client, found, site.stop) if only.wants(item.name))

    def questions(self, site: MongodbSite, folder: Path) -> Sequence[Check]:
        """The policy's counts, put to a copy."""
        server = scratch_server.running(folder)
        with scratch.client_of(server) as client:
            return [_ask(client, question, site.source.name) for question in site.source.questions]

    def discard(self, folder: Path) -> None:
        """End the copy's server and remove the folder."""
        scratch_server.discard(folder)

    def put_back(self, site: MongodbSite, stored: Stored, only: Selection = EVERYTHING) -> PutBack:
        """Exchange what differs, and keep aside what was there."""
        connection = site.source.restore_connection
        if connection is None:
            raise Refused(
                f"{site.name}: nothing is put back, since the policy names no 'restore_connection'; name the "
                "connection of a login that may write"
            )
        with translated(site.name), client_of(site.connection(connection)) as client:
            return put_back(site, client, stored, only)


@contextmanager
def _client(site: MongodbSite) -> Iterator[Client]:
    with translated(site.name), client_of(site.connection(site.source.connection)) as client:
        yield client


def _ask(client: Client, question: DocumentsQuestion, source: str) -> Check:
    began = monotonic()
    collection = client[question.database][question.collection]
    try:
        count = collection.count_documents(loads(dumps(question.filter)))
        right, found = question.accepts(count), str(count)
    except PyMongoError as error:
        right, found = False, f"an error: {error}"
    return Check(
        name=question.name, outcome=Outcome.PASSED if right else Outcome.FAILED, source=source,
        expected=question.expected, found=found,
        output=f"{question.database}.{question.collection} {dumps(question.filter)}\n{found}",
        seconds=round(monotonic() - began, 3),
    )  # fmt: skip


KIND = MongodbKind()
