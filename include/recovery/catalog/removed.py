"""The records of removed backups: what was removed from a store, when, by whom and why. They stay for good.

    <system>/<source>/<kind>/removed/<id>/<time>.json

A record is written before anything is deleted, so it also announces the removal; one that is withdrawn is gone again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, ValidationError

from include.recovery.catalog.layout import source_prefix
from include.recovery.catalog.model import Facts, Record, Summary
from include.recovery.errors import ObjectMissing
from include.recovery.stores.port import ObjectStore

_log = logging.getLogger(__name__)

_ANNOUNCED = timedelta(days=1)


class Removal(Record):
    """The record of a backup that was removed.

    :param why: the reason, in words.
    """

    schema_version: Literal[1] = 1
    backup: Summary
    store: str
    at: AwareDatetime
    by: str
    why: str


def announced(store: ObjectStore, backup: Facts, now: datetime) -> Removal | None:
    """The record of a removal that is going on, or has just been done; a withdrawn one does not count."""
    return next((removal for removal in _records(store, backup) if now - removal.at <= _ANNOUNCED), None)


def was_removed(store: ObjectStore, backup: Facts) -> bool:
    """Whether retention has removed a backup from a store, at whatever time."""
    return any(True for _ in _records(store, backup))


def _records(store: ObjectStore, backup: Facts) -> Iterator[Removal]:
    """The records of a backup, newest first. Those of another store, which stores that replicate by themselves bring
    over, say nothing about this one."""
    for info in sorted(store.list(removal_folder(backup)), key=lambda info: info.key, reverse=True):
        removal = _read(store, info.key)
        if removal is not None and removal.store == store.name:
            yield removal


def removal_folder(backup: Facts) -> str:
    """Where the records of a backup's removal are."""
    return f"{source_prefix(backup.system, backup.source, backup.kind)}removed/{backup.id}/"


def removal_folder_of(prefix: str) -> str:
    """The same by the backup's prefix."""
    place, _, backup_id = prefix.rstrip("/").rpartition("/")
    return f"{place}/removed/{backup_id}/"


def _read(store: ObjectStore, key: str) -> Removal | None:
    try:
        return Removal.model_validate_json(store.get(key)[0])
    except ObjectMissing:
        return None
    except ValidationError:
        _log.warning("store %s: %s is no record of a removal", store.name, key)
        return None
