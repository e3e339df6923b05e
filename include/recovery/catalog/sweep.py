"""Removes what killed runs left behind: parts and keys without a manifest, and uploads that nobody finished."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from include.recovery.catalog.index import Debris
from include.recovery.catalog.layout import MANIFEST, backup_prefix_of
from include.recovery.catalog.lease import live_claims
from include.recovery.catalog.scan import Found, scan
from include.recovery.errors import ObjectLocked
from include.recovery.stores.port import ObjectStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Swept:
    """What a sweep did.

    :param removed: prefixes of the backups-that-never-were that are gone now.
    :param waiting: those that object lock keeps, by prefix.
    """

    removed: list[str] = field(default_factory=list)
    waiting: dict[str, Debris] = field(default_factory=dict)


def sweep(
    store: ObjectStore, grace: timedelta, now: datetime, *, prefix: str = "", deleter: ObjectStore | None = None
) -> Swept:
    """Remove debris.

    Debris is a backup's prefix without any version of a manifest, hidden or not, to which nothing was added for the
    grace period, and which no live lease names. Finished backups lose only uploads that were never finished.

    :param prefix: sweep only below it, such as one system's backups.
    :param deleter: the same store with credentials that may delete versions; None: these may.
    """
    swept = Swept()
    live: dict[str, set[str]] = {}

    def is_live(backup: str) -> bool:
        place = "/".join(backup.split("/")[:3]) + "/"
        if place not in live:
            live[place] = {claim.writing for claim in live_claims(store, f"{place}leases/", now)}
        return backup in live[place]

    for found in scan(store, prefix):
        if found.manifest is None and now - found.newest > grace and not is_live(found.prefix):
            _remove(store, deleter or store, found, now, swept)
    for upload in list(store.unfinished(prefix)):
        backup = backup_prefix_of(upload.key) or upload.key
        if now - upload.started > grace and not is_live(backup):
            store.abandon(upload)
            if backup not in swept.removed:
                swept.removed.append(backup)
    return swept


def _remove(store: ObjectStore, deleter: ObjectStore, found: Found, now: datetime, swept: Swept) -> None:
    # The listing may be old by now, and a manifest is the one thing that must never be swept away.
    if any(not version.marker for version in store.versions(found.prefix + MANIFEST)):
        return
    locked = []
    for version in found.versions:
        try:
            deleter.delete(version.key, version.id)
        except ObjectLocked:
            locked.append(version)
    if not locked:
        swept.removed.append(found.prefix)
        return
    until = max(filter(None, (store.locked_until(version.key, version.id) for version in locked)), default=None)
    swept.waiting[found.prefix] = Debris(found_at=now, locked_until=until, size=sum(v.size for v in locked))
    _log.warning("store %s: debris %s is locked until %s", store.name, found.prefix, until or "an unknown date")
