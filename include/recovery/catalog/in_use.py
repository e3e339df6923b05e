"""Who reads a backup right now, so that retention leaves it alone.

    <system>/<source>/<kind>/in-use/<id>/<token>     who, and until when it counts

A reader writes its marker and renews it while it reads; a dead reader's marker runs out by itself. A restore never
fails for want of a marker: a store that takes no writes still gives its backups back.

Reader and remover cannot miss each other: a reader writes its marker first and then looks for a removal, and a remover
announces the removal first (``removed.py``) and then looks for markers. Whatever the order, one of them sees the other
and gives way.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from pydantic import AwareDatetime, ValidationError

from include.recovery.catalog.layout import source_prefix
from include.recovery.catalog.lease import Clock, utc_now
from include.recovery.catalog.model import Facts, Record
from include.recovery.catalog.removed import announced
from include.recovery.errors import BackupNotFound, LifeboatError, ObjectLocked, ObjectMissing
from include.recovery.stores.port import ObjectStore

_log = logging.getLogger(__name__)

TTL = timedelta(hours=1)
"""How long a marker counts after it was last renewed."""

CHOSEN_TTL = timedelta(hours=12)
"""How long a backup that a drill or a plan has chosen is left alone, until its restore sets a marker of its own."""

_UNREADABLE_TTL = timedelta(days=1)


class Reader(Record):
    """A marker.

    :param by: the run or person.
    :param until: it counts no longer than this.
    """

    by: str
    since: AwareDatetime
    until: AwareDatetime


def mark(store: ObjectStore, backup: Facts, by: str, *, ttl: timedelta = CHOSEN_TTL, now: Clock = utc_now) -> None:
    """Leave a backup's marker for a while, such as between choosing and restoring it. Nobody takes it back.

    :raises BackupNotFound: when the backup is just being removed.
    """
    key = _new_key(backup)
    _put(store, key, Reader(by=by, since=now(), until=now() + ttl))
    try:
        _refuse_removed(store, backup, now())
    except BackupNotFound:
        forget(store, key)
        raise


@contextmanager
def in_use(
    store: ObjectStore, backup: Facts, by: str, *, ttl: timedelta = TTL, now: Clock = utc_now
) -> Iterator[None]:
    """Mark a backup as being read, as long as the block runs.

    :raises BackupNotFound: when the backup is just being removed.
    """
    key, since, ended = _new_key(backup), now(), threading.Event()

    def renew() -> None:
        while not ended.wait(ttl.total_seconds() / 4):
            _put(store, key, Reader(by=by, since=since, until=now() + ttl))

    _put(store, key, Reader(by=by, since=since, until=since + ttl))
    thread = threading.Thread(target=renew, name=f"in use {backup.name}", daemon=True)
    try:
        _refuse_removed(store, backup, since)
        thread.start()
        yield
    finally:
        ended.set()
        if thread.is_alive():
            thread.join()
        forget(store, key)


def readers(store: ObjectStore, system: str, source: str, kind: str, now: datetime) -> dict[str, Reader]:
    """Who reads which backup of a source, by its id; markers that have run out are left out."""
    found: dict[str, Reader] = {}
    place = f"{source_prefix(system, source, kind)}in-use/"
    for info in store.list(place):
        backup_id = info.key.removeprefix(place).partition("/")[0]
        try:
            reader = Reader.model_validate_json(store.get(info.key)[0])
        except ObjectMissing:
            continue
        except ValidationError:
            until = info.modified + _UNREADABLE_TTL
            reader = Reader(by=f"somebody whose marker {info.key} cannot be read", since=info.modified, until=until)
        if reader.until > now:
            found[backup_id] = reader
    return found


def clear(store: ObjectStore, system: str, source: str, kind: str, now: datetime) -> None:
    """Remove the markers of readers that died long ago."""
    for info in list(store.list(f"{source_prefix(system, source, kind)}in-use/")):
        if now - info.modified > CHOSEN_TTL + timedelta(days=1):
            forget(store, info.key)


def forget(store: ObjectStore, key: str) -> None:
    """Remove a small object from sight, and where object lock allows also what a versioned bucket keeps of it."""
    try:
        store.delete(key)
        # The marker that hides the rest goes last, or an older version would come to light again.
        for version in sorted(store.versions(key), key=lambda version: version.marker):
            if version.key == key:
                store.delete(version.key, version.id)
    except ObjectLocked:
        return
    except LifeboatError as error:
        _log.info("store %s: %s is left behind: %s", store.name, key, error)


def _refuse_removed(store: ObjectStore, backup: Facts, now: datetime) -> None:
    try:
        removal = announced(store, backup, now)
    except LifeboatError as error:
        _log.info("backup %s: whether it is being removed could not be asked: %s", backup.name, error)
        return
    if removal is not None:
        raise BackupNotFound(
            f"backup {backup.name} in store {store.name} is being removed by {removal.by} ({removal.why}); "
            "pick another recovery point"
        )


def _put(store: ObjectStore, key: str, reader: Reader) -> None:
    try:
        store.put(key, reader.model_dump_json().encode())
    except LifeboatError as error:
        _log.warning("%s is read without a marker that keeps retention away: %s", key.rpartition("/")[0], error)


def _new_key(backup: Facts) -> str:
    return f"{source_prefix(backup.system, backup.source, backup.kind)}in-use/{backup.id}/{secrets.token_hex(4)}"
