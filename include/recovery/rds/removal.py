"""A snapshot taken out of the service, only when it is surely ours and the one that the catalog means."""

from __future__ import annotations

from include.recovery.catalog.model import Facts, ManagedCopy
from include.recovery.errors import Refused
from include.recovery.rds.names import is_ours
from include.recovery.rds.region import Region


def remove_snapshot(facts: Facts, copy: ManagedCopy, region: Region) -> None:
    """Remove one copy. Nothing there is fine: an earlier run has removed it.

    :raises Refused: when what has its identifier is another snapshot, or does not carry Lifeboat's tags.
    """
    found = region.snapshot(copy.identifier)
    if found is None:
        return
    if not is_ours(found.tags, facts.system, facts.source):
        raise Refused(
            f"{found.where} does not carry the tags of {facts.system}/{facts.source}, so it is not removed; give them "
            "back to it if it is the one of the catalog, or remove it yourself"
        )
    if found.arn != copy.arn or found.created_at != copy.created_at:
        raise Refused(
            f"{found.where} is not the snapshot that backup {facts.name} means: it was made {found.created_at}, and "
            f"that one {copy.created_at}; nothing is removed, find out who made it"
        )
    region.delete_snapshot(copy.identifier)
