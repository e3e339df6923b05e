"""The catalog entry of a snapshot: what it says, and whether there is one already."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version
from typing import Any

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.model import Backup, Facts, ManagedCopy, ManagedSnapshot
from include.recovery.errors import ManifestInvalid, SourceError
from include.recovery.policy.models import PRIMARY
from include.recovery.policy.source_kinds.rds import RdsSource
from include.recovery.rds.names import begun_at
from include.recovery.rds.snapshots import Snapshot
from include.recovery.rds.take import Pair

KIND = "rds"
_GIB = 1024**3


def fields_of(source: RdsSource, pair: Pair) -> dict[str, Any]:
    """What an entry says of a snapshot, as ``BackupInProgress.commit`` takes it.

    :raises SourceError: when the copy is not what was made, or is not encrypted where it must be.
    """
    home, second = pair.home, pair.second
    if wrong := _differences(source, pair):
        raise SourceError(
            f"{second.where} is no copy of {home.where}: {'; '.join(wrong)}; remove it, and run the backup again"
        )
    return {
        # Asked for then, it holds all that was committed before; the service completes it later.
        "snapshot_at": begun_at(home.tags) or _made(home),
        "server_version": home.version,
        "tool_versions": {"boto3": version("boto3")},
        "compression": "by the service",
        "source_size": home.allocated_gib * _GIB,
        "parts": (),
        "managed": ManagedSnapshot(
            instance=home.instance, engine=home.engine, allocated_gib=home.allocated_gib, size=home.size,
            copies=(_copy(home, PRIMARY), _copy(second, source.second.store)),
        ),
    }  # fmt: skip


def managed(facts: Facts) -> ManagedSnapshot:
    """What an entry says of its snapshot.

    :raises ManifestInvalid: when it is no entry of a snapshot.
    """
    if facts.managed is None:
        raise ManifestInvalid(f"backup {facts.name} says nothing of a snapshot, so it is none of RDS")
    return facts.managed


def entries(catalog: Catalog, system: str, source: str) -> list[Backup]:
    """The snapshots of a source that a catalog lists."""
    return catalog.backups(system, source, KIND)


def entry_of(catalog: Catalog, system: str, source: str, identifier: str, *, again: bool) -> Backup | None:
    """The entry of a snapshot; None when there is none.

    :param again: an earlier try may have died between the manifest and its row in the index: look for that too.
    """

    def known() -> Backup | None:
        for row in entries(catalog, system, source):
            if any(copy.identifier == identifier for copy in managed(row.manifest).copies):
                return row
        return None

    row = known()
    if row is None and again:
        catalog.rebuild_index()
        row = known()
    return row


def _differences(source: RdsSource, pair: Pair) -> list[str]:
    home, second = pair.home, pair.second
    facts = (
        ("engine", home.engine, second.engine),
        ("version", home.version, second.version),
        ("storage in GiB", home.allocated_gib, second.allocated_gib),
    )
    wrong = [f"{what} is {found} instead of {expected}" for what, expected, found in facts if expected != found]
    if (home.encrypted or source.second.kms_key is not None) and not second.encrypted:
        wrong.append("it is not encrypted")
    return wrong


def _copy(snapshot: Snapshot, store: str) -> ManagedCopy:
    return ManagedCopy(
        region=snapshot.region, store=store, identifier=snapshot.identifier, arn=snapshot.arn,
        created_at=_made(snapshot), encrypted=snapshot.encrypted, kms_key=snapshot.kms_key,
    )  # fmt: skip


def _made(snapshot: Snapshot) -> datetime:
    if snapshot.created_at is None:
        raise SourceError(f"{snapshot.where} is available and has no time; look at it in the console, and run again")
    return snapshot.created_at
