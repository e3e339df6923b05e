"""Collections and views of a server: what each is, what of them is kept, and what is left out by name."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from bson.json_util import CANONICAL_JSON_OPTIONS, dumps, loads
from pymongo.errors import OperationFailure

from include.recovery.content.model import Item
from include.recovery.errors import BackupCorrupt, SourceError
from include.recovery.mongodb.connect import Client
from include.recovery.mongodb.documents import digest
from include.recovery.policy.source_kinds.mongodb import MongodbSource

SERVER_OWN = ("admin", "config", "local")
PART = "definitions"
ASIDE = re.compile(r"__(before|restored)_\d{8}t\d{6}z$")
"""How collections end that putting back has kept aside, or was making."""
_SYSTEM = {
    "system.views": "the views themselves are kept",
    "system.profile": "it is the profiler's log",
    "system.js": "server-side JavaScript is deprecated; keep it with the application's code",
}
LeaveOut = Callable[[str, str], None]


@dataclass(frozen=True)
class Definition:
    """A collection or a view.

    :param options: as ``create`` takes them.
    :param indexes: as ``createIndexes`` takes them.
    :param part: where its documents are; None when it has none.
    :param documents: their number.
    :param size: their bytes.
    """

    database: str
    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    indexes: Sequence[Mapping[str, Any]] = ()
    part: str | None = None
    documents: int = 0
    size: int = 0

    @property
    def namespace(self) -> str:
        """``database.collection``; a slash in it (rare, and allowed) is escaped, as one separates documents."""
        return f"{self.database}.{self.name}".replace("%", "%25").replace("/", "%2F")

    @property
    def is_view(self) -> bool:
        """Whether it has no documents of its own."""
        return self.kind == "view"

    @property
    def item(self) -> Item:
        """It is compared as an item of its own: kind, options, indexes."""
        content = _canonical({
            "type": self.kind,
            "options": dict(sorted(self.options.items())),
            # Which key of a definition comes first says nothing; which field of an index comes first, much.
            "indexes": [dict(sorted(index.items())) for index in sorted(self.indexes, key=lambda index: index["name"])],
        })  # fmt: skip
        return Item(self.namespace, digest(content), len(content))

    def line(self) -> bytes:
        """Of the part ``definitions``."""
        return _canonical({
            "database": self.database, "collection": self.name, "type": self.kind, "options": dict(self.options),
            "indexes": list(self.indexes), "part": self.part, "documents": str(self.documents), "size": str(self.size),
        }) + b"\n"  # fmt: skip


def read_definitions(stream: BinaryIO, where: str) -> Iterator[Definition]:
    """The definitions of a backup.

    :raises BackupCorrupt: when a line is none.
    """
    for line in stream.read().splitlines():
        try:
            row = loads(line, json_options=CANONICAL_JSON_OPTIONS)
            yield Definition(
                row["database"], row["collection"], row["type"], row["options"], tuple(row["indexes"]), row["part"],
                int(row["documents"]), int(row["size"]),
            )  # fmt: skip
        except (ValueError, TypeError, KeyError) as error:
            raise BackupCorrupt(f"{where}: a line of its definitions cannot be read: {line[:80]!r}") from error


def definitions(
    client: Client, source: MongodbSource, leave_out: LeaveOut | None = None, *, everything: bool = False
) -> list[Definition]:
    """What a server has of a source, in the order of the names.

    :param leave_out: told everything else.
    :param everything: also what the policy excludes, for a scratch server, where only restored things are.
    :raises SourceError: for what cannot be kept, each by name.
    """
    found: list[Definition] = []
    refused: list[str] = []
    leave_out = leave_out or _nothing
    for database in _databases(client, source, leave_out, everything=everything):
        for entry in client[database].list_collections():
            definition = Definition(database, entry["name"], entry.get("type", "collection"), entry.get("options", {}))
            why = None if everything else _left_out(definition, source)
            if why is not None:
                leave_out(definition.namespace, why)
            elif reason := _refused(definition):
                refused.append(f"{definition.namespace} ({reason})")
            else:
                found.append(definition)
    if refused:
        raise SourceError(
            f"these cannot be backed up and restored equal: {'; '.join(sorted(refused))}; name them in 'exclude' of "
            f"source {source.name!r}, with the reason why they may be missing"
        )
    found = [each if each.is_view else replace(each, indexes=_indexes(client, each)) for each in found]
    return sorted(found, key=lambda definition: definition.namespace.encode())


def users_left_out(client: Client, source: MongodbSource, leave_out: LeaveOut) -> None:
    """Name the users and roles, which no backup holds."""
    why = "logins belong to the server; make them again with its own tools, with new passwords"
    for database in ("admin", *_databases(client, source, _nothing, everything=False)):
        try:
            users = [user["user"] for user in client[database].command("usersInfo", 1)["users"]]
            roles = [role["role"] for role in client[database].command("rolesInfo", 1)["roles"]]
        except (OperationFailure, KeyError, TypeError):
            # Whoever may not list them, or a server that has none: their absence from the backup is told all the same.
            leave_out(f"users and roles of {database}", f"{why} (they could not be listed)")
            continue
        for what, names in (("users", users), ("roles", roles)):
            if names:
                leave_out(f"{what} of {database}: {', '.join(sorted(names))}", why)


def _databases(client: Client, source: MongodbSource, leave_out: LeaveOut, *, everything: bool) -> list[str]:
    there = [each["name"] for each in client.list_databases()]
    if everything:
        return [name for name in there if name not in SERVER_OWN]
    if source.databases:
        missing = sorted(set(source.databases) - set(there))
        if missing:
            raise SourceError(
                f"source {source.name!r} names databases that the server does not have: {', '.join(missing)}; it has "
                f"{', '.join(sorted(there)) or 'none'}"
            )
    chosen = []
    for name in sorted(there):
        if name in SERVER_OWN:
            leave_out(f"database {name}", "it is the server's own")
        elif source.databases and name not in source.databases:
            leave_out(f"database {name}", "the policy does not name it as part of this source")
        else:
            chosen.append(name)
    return chosen


def _nothing(what: str, why: str) -> None:
    """Nobody wants to know what is left out."""


def _left_out(definition: Definition, source: MongodbSource) -> str | None:
    if ASIDE.search(definition.name):
        return "it was kept aside when a backup was put back; remove it when nobody needs it any more"
    if definition.name in _SYSTEM:
        return _SYSTEM[definition.name]
    excluded = (each.why for each in source.exclude if fnmatch.fnmatchcase(definition.namespace, each.collection))
    return next(excluded, None)


def _refused(definition: Definition) -> str | None:
    if definition.kind == "timeseries" or definition.name.startswith("system.buckets."):
        return "a time series"
    if "encryptedFields" in definition.options:
        return "queryable encryption"
    if definition.name.startswith("system."):
        return "a system collection that is not known here"
    return None


def _indexes(client: Client, definition: Definition) -> tuple[Mapping[str, Any], ...]:
    found = client[definition.database][definition.name].list_indexes()
    return tuple({key: value for key, value in index.items() if key != "ns"} for index in found)


def _canonical(value: Any) -> bytes:
    return json.dumps(json.loads(dumps(value, json_options=CANONICAL_JSON_OPTIONS)), separators=(",", ":")).encode()
