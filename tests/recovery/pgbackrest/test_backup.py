"""A physical backup in the catalog."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import PhysicalBackup
from include.recovery.errors import BackupCorrupt, SourceError
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.pgbackrest.backup import TakenBackup, parent_id, physical_of, refuse_damaged, reporter
from include.recovery.stores.folder import FolderStore
from tests.recovery.pgbackrest.conftest import FULL, INCR, backup_json, info, name

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)


def taken(label: str, **more: Any) -> TakenBackup:
    prior = None if label == FULL else FULL
    reference = [FULL] if prior else None
    minute = 4 if prior else 2
    found = info(backup_json(label, minute=minute, wal=(name(2), name(2)), prior=prior, reference=reference, **more))
    backup = found.backups[0]
    return TakenBackup(
        physical_of(found, backup), prior, backup.started_at, backup.stopped_at, "15.14", "2.45", "zst-3", ("a note",)
    )


@pytest.fixture
def keyring(escrow_key: Any) -> Keyring:
    return Keyring([EscrowWrapper(private_key_pem=escrow_key.private_pem)])


def test_it_is_cataloged_with_its_parent_and_without_parts(tmp_path: Path, keyring: Keyring) -> None:
    catalog = Catalog(FolderStore("primary", tmp_path))

    def keep(backup: TakenBackup) -> str:
        owner = Owner.of_this_process(backup.physical.label)
        with catalog.begin("shop", "main-db", "pgbackrest", owner=owner, keyring=keyring) as in_progress:
            parent = parent_id(catalog.backups("shop", "main-db", "pgbackrest"), backup)
            return in_progress.commit(started_by="ada", started_at=NOW, parent=parent, **backup.fields).id

    with pytest.raises(SourceError, match=f"stands on {FULL}, which the catalog does not know"):
        keep(taken(INCR))
    full = keep(taken(FULL))
    incr = keep(taken(INCR))
    manifest = catalog.backup("shop", "main-db", "pgbackrest", incr).manifest
    assert (manifest.parent, manifest.parts, manifest.fingerprint) == (full, (), None)
    assert manifest.physical == taken(INCR).physical
    assert (manifest.stored_size, manifest.source_size, manifest.lsn) == (2855952, 23213850, "0/2000100")
    row = catalog.backups("shop", "main-db", "pgbackrest")[-1].manifest
    assert row.physical == manifest.physical
    assert row.stored_size == 2855952
    assert Catalog(catalog.store).rebuild_index().backups.keys() == {
        f"shop/main-db/pgbackrest/{each}/" for each in (full, incr)
    }
    catalog.key(manifest, keyring)


def test_damaged_pages_make_no_green() -> None:
    refuse_damaged(taken(FULL))
    with pytest.raises(BackupCorrupt, match="the server's own pages are damaged"):
        refuse_damaged(taken(FULL, error=True))


def test_a_record_comes_back_from_json() -> None:
    physical = taken(INCR).physical
    assert PhysicalBackup.model_validate_json(physical.model_dump_json()) == physical


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("P02 DETAIL: backup file /d/base/1/2605_fsm (bundle 2/0, 24KB, 0.10%) checksum 4e7e", 24 * 1024),
        ("P02 DETAIL: backup file /d/base/1/2605 (8.3MB, 12.10%) checksum 4e7e", int(8.3 * 1024**2)),
        ("P01 DETAIL: restore file /d/base/1/26 (05 (bundle 2/144, 1GB, 99%) checksum 40", 1024**3),
        ("P00   INFO: new backup label = x", None),
    ],
)
def test_progress_is_read_from_what_pgbackrest_tells(line: str, size: int | None) -> None:
    told: list[int] = []

    class Told:
        def add(self, part: str, stored: int, content: int) -> None:
            told.append(content)

    reporter(Told())(line)
    assert told == ([] if size is None else [size])
