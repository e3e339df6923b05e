"""Which backups lack a copy: logical ones, where the policy wants them; never what pgBackRest keeps itself."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import Manifest
from include.recovery.copies import missing_copies, stores_of
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.workspace import Workspace

NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)


@pytest.mark.parametrize("tier", ["daily-dump", "weekly-full", "of another policy", None])
def test_a_dump_belongs_in_every_store_of_its_tier_or_of_all_logical_ones(
    folder_workspace: Workspace, make_backup: Callable[..., Manifest], tier: str | None
) -> None:
    made = make_backup(NOW, tier=tier)
    system = folder_workspace.system("labdojo")

    (missing,) = missing_copies(system, folder_workspace.catalog)

    assert (missing.backup, missing.from_store, missing.to_store) == (made.id, "primary", "offsite")


def test_a_copy_that_is_there_is_not_missing(
    folder_workspace: Workspace, make_backup: Callable[..., Manifest]
) -> None:
    make_backup(NOW, stores=("primary", "offsite"))

    assert missing_copies(folder_workspace.system("labdojo"), folder_workspace.catalog) == []


def test_a_physical_backup_is_not_copied(folder_workspace: Workspace, escrow_key) -> None:
    catalog = Catalog(folder_workspace.store("primary"), now=lambda: NOW)
    keyring = Keyring([EscrowWrapper(escrow_key.public_pem)])
    owner = Owner.of_this_process("test")
    with catalog.begin(
        "labdojo", "main-db", "pgbackrest", tier="daily-incremental", owner=owner, keyring=keyring
    ) as backup:
        part = backup.store_part(io.BytesIO(b"rows"), "rest", "data", [])
        backup.commit(
            started_by="a test", started_at=NOW, snapshot_at=NOW, server_version="15.8", tool_versions={},
            compression="zstd-3", parts=(part,), fingerprint=None, database="labdojo", source_size=4,
        )  # fmt: skip
    system = folder_workspace.system("labdojo")

    assert len(folder_workspace.catalog().backups("labdojo")) == 1
    assert missing_copies(system, folder_workspace.catalog) == []


def test_the_order_of_the_tiers_does_not_matter(
    folder_workspace: Workspace, make_backup: Callable[..., Manifest]
) -> None:
    """The tier that fills the offsite repository must not make the offsite store the one that dumps come from."""
    make_backup(NOW, tier="daily-dump")
    system = folder_workspace.system("labdojo")
    sync = system.tier("weekly-offsite-sync")
    first = system.model_copy(update={"tiers": (sync, *(tier for tier in system.tiers if tier is not sync))})

    (missing,) = missing_copies(first, folder_workspace.catalog)

    assert missing.from_store == "primary"
    (backup,) = folder_workspace.catalog().backups("labdojo")
    assert stores_of(first, backup) == ("primary", "offsite")
