"""Backups that a repository has and the catalog does not: taken in, so that retention and later backups know them.

That happens where a run dies between the end of pgBackRest and its own last words, or where somebody called pgBackRest
by hand. An increment that stands on such a backup could not be kept without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.layout import source_prefix
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import Backup, Manifest
from include.recovery.errors import SourceError
from include.recovery.keys.envelope import Keyring
from include.recovery.pgbackrest.backup import describe, parent_id
from include.recovery.pgbackrest.cipher import KIND
from include.recovery.pgbackrest.info import BackupInfo, StanzaInfo
from include.recovery.pgbackrest.stanza import Stanza

_log = logging.getLogger(__name__)

RUN, TIER = "lifeboat-run", "lifeboat-tier"
"""Names of the annotations by which a backup says who has taken it, and for what."""


@dataclass(frozen=True)
class Taker:
    """Who takes backups in.

    :param run_id: a backup that says it is of this run was finished by an earlier try.
    :param by: for the manifest.
    """

    run_id: str
    by: str
    owner: Owner
    keyring: Keyring


def signed(run_id: str, tier: str) -> Mapping[str, str]:
    """What a backup says of itself in the repository."""
    return {RUN: run_id, TIER: tier}


def rows_of(catalog: Catalog, stanza: Stanza) -> list[Backup]:
    """The physical backups of a source that a catalog lists."""
    return catalog.backups(stanza.system.system, stanza.source.name, KIND)


def take_in(
    catalog: Catalog,
    stanza: Stanza,
    store: str,
    taker: Taker,
    *,
    found: StanzaInfo | None = None,
    tell: Callable[[str], object] = _log.warning,
) -> Manifest | None:
    """Put every restorable backup of a repository that the catalog lacks into it, oldest first.

    Only for one who holds the lease of the repository: else a backup could be entered twice.

    :param found: what the repository has, where the holder of the lease has just looked.
    :return: the one that an earlier try of the same run has finished, if there is one.
    """
    number, tool = stanza.number(store), stanza.tool
    info = found or tool.info(repository=number)
    unknown = _unknown(catalog, stanza, info.in_repository(number))
    place = source_prefix(stanza.system.system, stanza.source.name, KIND)
    if not unknown or any(not mark.whole for mark in catalog.going(place).values()):
        # One that retention is just removing is in no list any more, and may still be in the repository.
        return None
    catalog.rebuild_index()  # a run may have died between a manifest and its row
    version = stanza.cluster.version if stanza.cluster else "unknown"
    own: Manifest | None = None
    for backup in _unknown(catalog, stanza, info.in_repository(number)):
        taken = describe(
            tool, backup.label, number, options=stanza.configuration.options, server_version=version,
            notes=("found in the repository and taken into the catalog",),
        )
        try:
            parent = parent_id(rows_of(catalog, stanza), taken)
        except SourceError as error:
            tell(f"not taken into the catalog: {error}")
            continue
        of_this_run = backup.annotations.get(RUN) == taker.run_id
        with catalog.begin(
            stanza.system.system, stanza.source.name, KIND, tier=backup.annotations.get(TIER), owner=taker.owner,
            keyring=taker.keyring,
        ) as in_progress:
            manifest = in_progress.commit(
                started_by=taker.by if of_this_run else backup.annotations.get(RUN, "pgBackRest, by hand"),
                started_at=taken.started_at,
                parent=parent,
                note="; ".join(taken.notes),
                **taken.fields,
            )
        tell(f"backup {backup.label} was in repository {number} and in no catalog; it is {manifest.name} now")
        own = manifest if of_this_run else own
    return own


def _unknown(catalog: Catalog, stanza: Stanza, found: tuple[BackupInfo, ...]) -> list[BackupInfo]:
    name = stanza.configuration.stanza
    known = {
        row.manifest.physical.label
        for row in rows_of(catalog, stanza)
        if row.manifest.physical is not None and row.manifest.physical.stanza == name
    }
    return [backup for backup in found if backup.label not in known]
