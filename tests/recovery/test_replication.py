"""A copy elsewhere counts only when it was read again there and found equal."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import Manifest, ProofLevel
from include.recovery.errors import LeaseLost, ManifestInvalid, PartDamaged, PartMissing, StoreUnavailable
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.parts.read import open_part
from include.recovery.replication import await_replication, replicate
from include.recovery.stores.folder import FolderStore

NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)


@pytest.fixture
def primary(tmp_path: Path) -> FolderStore:
    return FolderStore("primary", tmp_path / "primary")


@pytest.fixture
def offsite(tmp_path: Path) -> FolderStore:
    return FolderStore("offsite", tmp_path / "offsite")


@pytest.fixture
def keyring(escrow_key: Any) -> Keyring:
    return Keyring([EscrowWrapper(private_key_pem=escrow_key.private_pem)])


@pytest.fixture
def manifest(primary: FolderStore, keyring: Keyring) -> Manifest:
    catalog = Catalog(primary, now=lambda: NOW)
    with catalog.begin("labdojo", "main-db", "postgres", owner=Owner.of_this_process("r"), keyring=keyring) as backup:
        parts = tuple(backup.store_part(io.BytesIO(bytes([n]) * 1000), f"table-000{n}", "data") for n in (1, 2, 3))
        return backup.commit(
            started_by="ada",
            started_at=NOW,
            snapshot_at=NOW,
            server_version="15",
            tool_versions={},
            parts=parts,
            compression="zstd-3",
            fingerprint=None,
        )


def damage(store: FolderStore, key: str) -> None:
    content = bytearray(store.get(key)[0])
    content[-1] ^= 1
    store.put(key, bytes(content))


@pytest.mark.demand("R13")
def test_the_copy_can_do_without_the_original(
    manifest: Manifest, primary: FolderStore, offsite: FolderStore, keyring: Keyring
) -> None:
    proof = replicate(manifest, primary, offsite, by="run-1", now=lambda: NOW)
    assert (proof.level, proof.ok, proof.store) == (ProofLevel.REPLICATED, True, "offsite")
    assert "3 copied by this run" in proof.detail
    for info in list(primary.list("")):
        primary.delete(info.key)
    far = Catalog(offsite)
    backup = far.newest("labdojo", "main-db")
    assert backup.manifest == manifest
    assert backup.level is ProofLevel.REPLICATED
    key = far.key(manifest, keyring)
    with open_part(offsite, manifest.parts[1], key, manifest.context) as stream:
        assert stream.read() == b"\2" * 1000


def test_both_sides_know(manifest: Manifest, primary: FolderStore, offsite: FolderStore) -> None:
    proof = replicate(manifest, primary, offsite, by="run-1", now=lambda: NOW)
    for store in (primary, offsite):
        assert Catalog(store).proofs(manifest) == [proof]


def test_an_interrupted_replication_goes_on(
    manifest: Manifest, primary: FolderStore, offsite: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FolderStore.writer

    def failing(self: FolderStore, key: str) -> Any:
        if self is offsite and "table-0003" in key:
            raise StoreUnavailable("the link is down")
        return real(self, key)

    monkeypatch.setattr(FolderStore, "writer", failing)
    with pytest.raises(StoreUnavailable):
        replicate(manifest, primary, offsite, by="run-1", now=lambda: NOW)
    assert Catalog(offsite).backups() == [], "without its manifest it is no backup"
    monkeypatch.undo()
    proof = replicate(manifest, primary, offsite, by="run-2", now=lambda: NOW)
    assert "1 copied by this run" in proof.detail
    assert "0 copied by this run" in replicate(manifest, primary, offsite, by="run-3", now=lambda: NOW).detail


def test_a_copy_damaged_on_the_way_is_sent_again(
    manifest: Manifest, primary: FolderStore, offsite: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    replicate(manifest, primary, offsite, by="run-1", now=lambda: NOW)
    damage(offsite, manifest.parts[0].volumes[0].key)
    proof = replicate(manifest, primary, offsite, by="run-2", now=lambda: NOW)
    assert proof.ok
    assert "1 copied by this run" in proof.detail
    assert "copying it again" in caplog.text


def test_a_damaged_original_is_not_copied_and_is_the_one_to_blame(
    manifest: Manifest, primary: FolderStore, offsite: FolderStore
) -> None:
    damage(primary, manifest.parts[1].volumes[0].key)
    with pytest.raises(PartDamaged, match="in store primary does not have the SHA-512"):
        replicate(manifest, primary, offsite, by="run-1", now=lambda: NOW)
    (row,) = Catalog(primary).backups()
    assert row.damaged
    assert row.damage_in("offsite") is None
    assert Catalog(offsite).backups() == []


def test_a_missing_original(manifest: Manifest, primary: FolderStore, offsite: FolderStore) -> None:
    primary.delete(manifest.parts[1].volumes[0].key)
    with pytest.raises(PartMissing, match="in store primary: part table-0002"):
        replicate(manifest, primary, offsite, by="run-1", now=lambda: NOW)


def test_another_manifest_at_the_far_end_is_not_overwritten(
    manifest: Manifest, primary: FolderStore, offsite: FolderStore
) -> None:
    offsite.put(f"{manifest.prefix}manifest.json", b"{}")
    with pytest.raises(ManifestInvalid, match="exists in store offsite already and is not the same"):
        replicate(manifest, primary, offsite, by="run-1", now=lambda: NOW)


def test_stops_when_told(manifest: Manifest, primary: FolderStore, offsite: FolderStore) -> None:
    import threading

    stop = threading.Event()
    stop.set()
    with pytest.raises(LeaseLost, match="run it again to go on"):
        replicate(manifest, primary, offsite, by="run-1", stop=stop, now=lambda: NOW)


def mirror(primary: FolderStore, offsite: FolderStore, but: str = "") -> None:
    """What the stores' own replication does."""
    for info in list(primary.list("")):
        if not but or but not in info.key:
            offsite.put(info.key, primary.get(info.key)[0])


def wait(manifest: Manifest, primary: FolderStore, offsite: FolderStore) -> Any:
    timeout = timedelta(seconds=0)
    return await_replication(manifest, primary, offsite, by="run-1", timeout=timeout, now=lambda: NOW)


def test_the_stores_own_replication_is_verified(manifest: Manifest, primary: FolderStore, offsite: FolderStore) -> None:
    mirror(primary, offsite)
    assert wait(manifest, primary, offsite).ok
    (row,) = Catalog(primary).backups()
    assert row.level_in("offsite") is ProofLevel.REPLICATED


@pytest.mark.parametrize("missing", ["table-0002", "keys/", "manifest.json"])
def test_what_has_not_arrived_is_named(
    manifest: Manifest, primary: FolderStore, offsite: FolderStore, missing: str
) -> None:
    mirror(primary, offsite, but=missing)
    with pytest.raises(StoreUnavailable, match=rf"1 of 5 objects have not reached store offsite.*{missing}"):
        wait(manifest, primary, offsite)


def test_what_arrived_damaged_is_recorded(manifest: Manifest, primary: FolderStore, offsite: FolderStore) -> None:
    mirror(primary, offsite)
    damage(offsite, manifest.parts[0].volumes[0].key)
    with pytest.raises(PartDamaged):
        wait(manifest, primary, offsite)
    (row,) = Catalog(primary).backups()
    assert row.damage_in("offsite")
    assert not row.damaged


def test_a_manifest_edited_here_is_not_spread(manifest: Manifest, primary: FolderStore, offsite: FolderStore) -> None:
    key = f"{manifest.prefix}manifest.json"
    primary.put(key, primary.get(key)[0].replace(b'"started_by": "ada"', b'"started_by": "eve"'))
    with pytest.raises(ManifestInvalid, match="was changed after the backup was made"):
        replicate(manifest, primary, offsite, by="run-1", now=lambda: NOW)
