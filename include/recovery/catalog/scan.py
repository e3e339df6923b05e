"""Walks a store backup by backup, in flat memory, seeing through delete markers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from include.recovery.catalog.layout import MANIFEST, backup_prefix_of
from include.recovery.stores.port import ObjectStore, ObjectVersion


@dataclass(frozen=True)
class Found:
    """Everything stored under one backup's prefix, with all versions and markers.

    :param manifest: the newest real version of the manifest, hidden or not; None means debris.
    """

    prefix: str
    versions: tuple[ObjectVersion, ...]
    manifest: ObjectVersion | None

    @property
    def newest(self) -> datetime:
        """When the last of it was written."""
        return max(version.modified for version in self.versions)

    @property
    def size(self) -> int:
        """Bytes of all versions."""
        return sum(version.size for version in self.versions)

    def keys_below(self, folder: str) -> list[str]:
        """Keys of the real objects in a folder such as ``proofs/``, in order."""
        start = self.prefix + folder
        return sorted({v.key for v in self.versions if v.key.startswith(start) and not v.marker})


def scan(store: ObjectStore, prefix: str = "") -> Iterator[Found]:
    """All backups and debris below a prefix."""
    for backup, versions in groupby(store.versions(prefix), key=lambda version: backup_prefix_of(version.key)):
        if backup is None:
            continue
        found = tuple(versions)
        manifests = (v for v in found if v.key == backup + MANIFEST and not v.marker)
        yield Found(backup, found, next(manifests, None))
