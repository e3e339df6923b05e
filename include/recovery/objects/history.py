"""The part of a backup that lists every version of the moment, a line each; and what an earlier one knew.

The first line names the bucket and the moment. The others are JSON lists, sorted by key, the newest first within a key:
key, version, modified (milliseconds since 1970), size, ETag, delete marker or not, digest, name of its copy in the
replica; then moments of backups in milliseconds: the first that had it, the last that did not have it though its time
says so, and the first that did not have it any more.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from include.recovery.catalog.in_use import in_use
from include.recovery.content.parts import StoredParts
from include.recovery.errors import BackupCorrupt, BackupNotFound, LifeboatError
from include.recovery.objects.listing import Version, by_key

if TYPE_CHECKING:
    from include.recovery.content.port import Site
    from include.recovery.policy.source_kinds.objects import ObjectsSource

_log = logging.getLogger(__name__)

PART = "history"


class Row(NamedTuple):
    """A version, and what is known of it.

    :param digest: empty for a delete marker.
    :param copy: the version in the replica that holds the same; empty when there is none.
    :param seen: moment of the first backup that had it.
    :param absent: moment of the newest backup that did not have it, though its time is before that: a multipart
        upload that was completed later; else 0.
    :param gone: moment of the first backup that found it deleted for good, only its copy being left; else 0.
    """

    key: str
    id: str
    modified: int
    size: int
    etag: str
    marker: bool = False
    digest: str = ""
    copy: str = ""
    seen: int = 0
    absent: int = 0
    gone: int = 0

    @classmethod
    def of(cls, version: Version, **known: Any) -> Row:
        """A version as it is listed."""
        return cls(*version, **known)

    def is_same(self, version: Version) -> bool:
        """Whether that is this version. Ids alone do not say: ``null`` may be written again."""
        return self[:6] == version


class Head(NamedTuple):
    """What a history is of.

    :param moment: milliseconds since 1970; everything of it was stored before.
    """

    bucket: str
    prefix: str
    moment: int


def line(row: Row | Head) -> bytes:
    """For the part."""
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def read_head(stream: BinaryIO, where: str) -> Head:
    """The first line.

    :raises BackupCorrupt: when it is none.
    """
    try:
        return Head(*json.loads(stream.readline()))
    except (ValueError, TypeError) as error:
        raise BackupCorrupt(f"{where}: its history does not begin as one") from error


def read_rows(stream: BinaryIO, where: str) -> Iterator[Row]:
    """The other lines, one by one.

    :raises BackupCorrupt: when a line is none of a history.
    """
    for text in stream:
        try:
            yield Row(*json.loads(text))
        except (ValueError, TypeError) as error:
            raise BackupCorrupt(f"{where}: a line of its history cannot be read: {text[:80]!r}") from error


class Known:
    """What the newest backup knows of the versions; without a usable one, nothing.

    What cannot be read to its end is worth what could be read: nothing is believed that was not authenticated, and the
    rest is read anew from the bucket.

    :ivar head: None when nothing is known.
    :ivar broken: the reading ended early.
    """

    def __init__(self, head: Head | None = None, rows: Iterable[Row] = (), where: str = "nothing") -> None:
        self.head, self._rows, self._where = head, rows, where
        self.broken = False

    def by_key(self) -> Iterator[tuple[str, list[Row]]]:
        """Its rows; to be read once."""
        return by_key(self._until_broken(), self._where)

    def _until_broken(self) -> Iterator[Row]:
        try:
            yield from self._rows
        except LifeboatError as damage:
            self.broken = True
            _log.warning("%s; versions that it does not tell are read anew", damage)


@contextmanager
def known(site: Site[ObjectsSource]) -> Iterator[Known]:
    """What the newest usable backup of a source knows; nothing, when even the catalog is lost."""
    with ExitStack() as open_while_read:
        try:
            catalog = site.workspace.catalog()
            backups = catalog.backups(site.system.system, site.source.name, site.source.kind)
            newest = next((backup for backup in reversed(backups) if not backup.damaged), None)
            if newest is None:
                raise BackupNotFound(f"{site.name} has no backup yet")
            backup = catalog.complete(newest)
            where = backup.manifest.name
            key = catalog.key(backup.manifest, site.workspace.keyring())
            open_while_read.enter_context(in_use(catalog.store, backup.manifest, "what is known of versions"))
            stream = open_while_read.enter_context(StoredParts(backup, catalog.store, key).open(PART))
            found = Known(read_head(stream, where), read_rows(stream, where), where)
        except LifeboatError as error:
            _log.log(logging.INFO if isinstance(error, BackupNotFound) else logging.WARNING, "%s; all is read", error)
            found = Known()
        yield found
