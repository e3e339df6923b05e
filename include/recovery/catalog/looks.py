"""When a source was last seen to hold just what its newest backup holds, so that none had to be taken.

One object for each tier, replaced by each look: ``<system>/<source>/looks/<tier>.json``. Since then nothing would be
lost: the look counts for the age of the newest recoverable point as a backup of that moment would.
"""

from __future__ import annotations

from pydantic import AwareDatetime, ValidationError

from include.recovery.catalog.latest import put_latest
from include.recovery.catalog.layout import source_prefix
from include.recovery.catalog.model import Record
from include.recovery.errors import ObjectMissing
from include.recovery.stores.port import ObjectStore


class SourceLook(Record):
    """One look.

    :param at: when it began: what was written later may not have been seen.
    :param backup: id of the backup that holds the same; ``kind`` is its kind.
    """

    schema_version: int = 1
    system: str
    source: str
    tier: str
    kind: str
    backup: str
    at: AwareDatetime
    by: str


def keep_look(store: ObjectStore, look: SourceLook, deleter: ObjectStore | None = None) -> None:
    """Put a look in the place of the one before it.

    :param deleter: the store with credentials that may delete versions; None: these.
    :raises StoreUnavailable: when the store does not answer.
    """
    put_latest(store, _key(look.system, look.source, look.tier), look.model_dump_json(indent=1).encode(), deleter)


def newest_look(store: ObjectStore, system: str, source: str, tier: str) -> SourceLook | None:
    """The last look of a tier; None when nobody looked, or what was written cannot be read.

    :raises StoreUnavailable: when the store does not answer.
    """
    try:
        return SourceLook.model_validate_json(store.get(_key(system, source, tier))[0])
    except (ObjectMissing, ValidationError):
        return None


def _key(system: str, source: str, tier: str) -> str:
    return f"{source_prefix(system, source, 'looks')}{tier}.json"
