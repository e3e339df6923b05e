"""The verbs of a cluster, with pgBackRest replaced where it is called and the server where it is asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.recovery.catalog.in_use import readers
from include.recovery.catalog.model import Manifest
from include.recovery.catalog.removal import Outcome as Removal
from include.recovery.errors import (
    BackupCorrupt,
    BackupNotFound,
    InsufficientRights,
    LeaseHeld,
    ManifestInvalid,
    PolicyError,
    Refused,
    SourceError,
    StoreUnavailable,
)
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.pgbackrest import stanza as stanza_module
from include.recovery.pgbackrest.cluster import Cluster
from include.recovery.pgbackrest.configuration import archive_command
from include.recovery.pgbackrest.marker import marker_of, unmarked
from include.recovery.pgbackrest.tool import Outcome, PgBackRest
from include.recovery.policy.models import ProtectedSystem
from include.recovery.retention.model import ContinuousWal, WalPlan
from include.recovery.sources import CONTENT_KINDS, KINDS, RunInfo, kind_of, pgbackrest, postgres, verbs
from include.recovery.workspace import Workspace
from tests.recovery.pgbackrest.conftest import FULL, INCR, SYSTEM, backup_json, info_json, name

RUN = RunInfo(run_id="run-1", started_by="a test")
STANZA = "labdojo-main-db"


class FakePgBackRest:
    """What would run as a process: keeps its calls, answers from a list of backups, makes the next one."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.backups: list[dict[str, Any]] = []
        self.next: list[dict[str, Any]] = [backup_json(FULL, minute=1, wal=(name(2), name(2)))]
        self.verify_says = ""

    def outcome(self, tool: PgBackRest, argv: Sequence[str], doing: str, **more: Any) -> Outcome:
        self.calls.append(list(argv))
        words = " ".join(argv)
        assert tool.secrets
        assert not [secret for secret in tool.secrets if secret in words]
        command = next(word for word in argv[1:] if not word.startswith("-"))
        if command == "backup":
            made = self.next.pop(0)
            made["annotation"] = dict(
                word.removeprefix("--annotation=").split("=", 1) for word in argv if word.startswith("--annotation=")
            )
            self.backups.append(made)
            more["on_line"](f"P00 INFO: new backup label = {made['label']}")
        if command == "expire":
            label = next((word.removeprefix("--set=") for word in argv if word.startswith("--set=")), None)
            self.backups = [each for each in self.backups if each["label"] != label]
        text = info_json(*self.backups).replace("shop-main-db", STANZA) if command == "info" else ""
        if command == "verify":
            text = self.verify_says
        return Outcome(0, text.encode(), "")

    def commands(self) -> list[str]:
        return [next(word for word in argv[1:] if not word.startswith("-")) for argv in self.calls]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakePgBackRest:
    fake = FakePgBackRest()

    def outcome(tool: PgBackRest, argv: Sequence[str], doing: str, **more: Any) -> Outcome:
        return fake.outcome(tool, argv, doing, **more)

    monkeypatch.setattr(PgBackRest, "outcome", outcome)
    return fake


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, Any]:
    """What the server says; a test may change it."""
    return {"data_directory": str(tmp_path), "archive_mode": "on"}


@pytest.fixture
def workspace(
    folder_workspace: Workspace, escrow_key: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    facts: dict[str, Any],
) -> Workspace:
    monkeypatch.setenv("LIFEBOAT_PGBACKREST", str(tmp_path / "br"))
    ring = Keyring([EscrowWrapper(private_key_pem=escrow_key.private_pem)])
    monkeypatch.setattr(folder_workspace, "keyring", lambda: ring)
    monkeypatch.setattr(Workspace, "cluster", lambda *_, **__: None)
    cluster = Cluster(
        data_directory="", port=5432, socket_directory="/s", config_file="", version="15.14",
        system_identifier=SYSTEM, timeline=1, in_recovery=False, user="postgres", superuser=True,
        databases=("labdojo",), size=1, wal_segment_bytes=16 * 1024 * 1024, wal_level="replica", archive_mode="on",
        archive_command="", archive_library="", archive_timeout=None, full_page_writes=True, data_checksums=True,
        max_slot_wal_keep_size="-1",
    )

    def ask(_: object) -> Cluster:
        return replace(cluster, **facts)

    monkeypatch.setattr(stanza_module, "ask_cluster", ask)
    stanza = stanza_module.open_stanza(
        folder_workspace, folder_workspace.system("labdojo"), folder_workspace.system("labdojo").source("main-db"),
        create=True,
    )
    facts["archive_command"] = archive_command(stanza.configuration)
    return folder_workspace


@pytest.fixture
def system(workspace: Workspace) -> ProtectedSystem:
    return workspace.system("labdojo")


@pytest.fixture
def take(workspace: Workspace, system: ProtectedSystem) -> Callable[..., Manifest]:
    def take(tier: str = "weekly-full", store: str = "primary", run: RunInfo = RUN, **more: Any) -> Manifest:
        source = system.source("main-db")
        return pgbackrest.backup(workspace, system, source, system.tier(tier), run=run, store=store, **more)

    return take


def test_each_kind_has_its_verbs(system: ProtectedSystem) -> None:
    for kind in KINDS:
        assert kind == (verbs(kind).kind.name if kind in CONTENT_KINDS else verbs(kind).KIND)
        assert {"precheck", "backup", "verify", "restore", "expire", "describe"} <= set(dir(verbs(kind)))
    source = system.source("main-db")
    assert {kind_of(source, tier) for tier in system.tiers if tier.is_physical} == {"pgbackrest"}
    assert kind_of(source) == kind_of(source, system.tier("daily-dump")) == "postgres"
    assert "whole cluster" in pgbackrest.describe(source)


@pytest.mark.parametrize(
    ("tier", "store", "says"),
    [("daily-dump", "primary", "which pg_dump takes.*weekly-full, daily-incremental"),
     ("daily-incremental", "offsite", "goes to primary, not to store 'offsite'")],
)
def test_a_tier_that_is_not_the_clusters_is_refused(
    take: Callable[..., Manifest], fake: FakePgBackRest, tier: str, store: str, says: str
) -> None:
    with pytest.raises(Refused, match=says):
        take(tier, store)
    assert fake.calls == []


def test_a_backup_is_entered_with_its_tier_and_asked_of_the_right_repository(
    take: Callable[..., Manifest], fake: FakePgBackRest, workspace: Workspace
) -> None:
    made = take(note="before the upgrade", hold=True)
    assert (made.kind, made.tier, made.note, made.hold, made.parts) == (
        "pgbackrest", "weekly-full", "before the upgrade", True, ()
    )
    call = next(argv for argv in fake.calls if argv[-1] == "backup")
    assert {"--type=full", "--repo=1", "--annotation=lifeboat-run=run-1"} <= set(call)
    fake.next = [backup_json(INCR, minute=3, wal=(name(3), name(3)), prior=FULL, reference=[FULL])]
    stands = take("daily-incremental", run=RunInfo(run_id="run-2", started_by="a test"))
    assert stands.parent == made.id
    rows = workspace.catalog().backups("labdojo", kind="pgbackrest")
    assert [row.manifest.id for row in rows] == [made.id, stands.id]
    assert workspace.catalog("offsite").backups("labdojo") == []


def test_a_second_try_enters_what_the_first_has_finished(
    take: Callable[..., Manifest], fake: FakePgBackRest, workspace: Workspace
) -> None:
    left = backup_json(FULL, minute=1, wal=(name(2), name(2)))
    fake.backups = [left | {"annotation": {"lifeboat-run": "run-1", "lifeboat-tier": "weekly-full"}}]
    assert take().tier == "weekly-full"
    assert "backup" not in fake.commands()
    assert len(workspace.catalog().backups("labdojo")) == 1


def test_what_somebody_has_made_by_hand_is_entered_before_an_increment_stands_on_it(
    take: Callable[..., Manifest], fake: FakePgBackRest, workspace: Workspace
) -> None:
    fake.backups = [backup_json(FULL, minute=1, wal=(name(2), name(2))) | {"annotation": None}]
    fake.next = [backup_json(INCR, minute=3, wal=(name(3), name(3)), prior=FULL, reference=[FULL])]
    made = take("daily-incremental")
    first, second = workspace.catalog().backups("labdojo")
    assert (first.manifest.tier, first.manifest.started_by) == (None, "pgBackRest, by hand")
    assert (second.manifest.id, second.manifest.parent) == (made.id, first.manifest.id)


def test_damaged_pages_end_red_with_a_failed_proof(
    take: Callable[..., Manifest], fake: FakePgBackRest, workspace: Workspace
) -> None:
    fake.next[0]["error"] = True
    with pytest.raises(BackupCorrupt, match="the server's own pages are damaged"):
        take()
    (row,) = workspace.catalog().backups("labdojo")
    assert row.damaged


def test_two_runs_do_not_work_on_one_repository(
    take: Callable[..., Manifest], fake: FakePgBackRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*_: object, **__: object) -> None:
        take("daily-incremental", run=RunInfo(run_id="another", started_by="a test"))

    monkeypatch.setattr(pgbackrest, "take_in", meanwhile)
    with pytest.raises(LeaseHeld):
        take()
    assert "backup" not in fake.commands()


@pytest.mark.parametrize(
    ("wrong", "kind", "says"),
    [
        ({"archive_mode": "off"}, SourceError, "archive_mode is off.*lifeboat prepare labdojo --source main-db"),
        ({"archive_command": "cp %p /x"}, SourceError, "another archive_command"),
        ({"data_directory": "/nowhere"}, SourceError, "on the database's host"),
    ],
)
def test_a_server_whose_wal_goes_elsewhere_is_not_backed_up(
    take: Callable[..., Manifest], fake: FakePgBackRest, facts: dict[str, Any], wrong: dict[str, str],
    kind: type[Exception], says: str,
) -> None:
    facts |= wrong
    with pytest.raises(kind, match=says):
        take()
    assert fake.calls == []


def test_another_users_cluster_is_not_backed_up(
    take: Callable[..., Manifest], fake: FakePgBackRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(InsufficientRights, match="run Lifeboat's worker as the server's operating-system user"):
        take()
    assert fake.calls == []


def test_the_file_keeps_the_pass_of_a_store_that_is_down(
    take: Callable[..., Manifest], fake: FakePgBackRest, workspace: Workspace, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = tmp_path / "br" / STANZA / "pgbackrest.conf"
    before = file.read_text()
    real = stanza_module.cipher_pass

    def half(store: Any, *words: Any, **more: Any) -> str:
        if store.name == "offsite":
            raise StoreUnavailable("store offsite does not answer")
        return real(store, *words, **more)

    monkeypatch.setattr(stanza_module, "cipher_pass", half)
    take()
    assert file.read_text() == before
    file.unlink()
    with pytest.raises(StoreUnavailable):
        take()


def test_nothing_is_verified_where_there_is_nothing(
    take: Callable[..., Manifest], fake: FakePgBackRest, workspace: Workspace
) -> None:
    made = take()
    backup = workspace.catalog().backup("labdojo", "main-db", "pgbackrest", made.id)
    with pytest.raises(ManifestInvalid, match="names no parts"):
        postgres.verify(workspace, backup)
    assert workspace.catalog().backups("labdojo")[0].proofs == ()
    fake.backups = []
    with pytest.raises(BackupCorrupt, match=f"has no backup {FULL}"):
        pgbackrest.verify(workspace, backup)
    with pytest.raises(BackupCorrupt, match=f"has no backup {FULL}"):
        pgbackrest.look(workspace, backup)
    assert workspace.catalog().backups("labdojo")[0].damaged


def test_expiry_leaves_alone_what_others_stand_on(
    take: Callable[..., Manifest], fake: FakePgBackRest, workspace: Workspace
) -> None:
    take()
    fake.next = [backup_json(INCR, minute=3, wal=(name(3), name(3)), prior=FULL, reference=[FULL])]
    take("daily-incremental", run=RunInfo(run_id="run-2", started_by="a test"))
    full, increment = workspace.catalog().backups("labdojo")
    with pytest.raises(Refused, match=f"{INCR} in repository 1 stand on {FULL}"):
        pgbackrest.expire(workspace, full, why="a test")
    assert len(workspace.catalog().backups("labdojo")) == 2
    assert pgbackrest.expire(workspace, increment, why="a test").gone
    assert f"--set={INCR}" in fake.calls[-1]
    fake.backups = []
    assert pgbackrest.expire(workspace, full, why="it went from the repository before").gone
    assert fake.commands().count("expire") == 1
    assert workspace.catalog().backups("labdojo") == []


def test_wal_is_expired_from_the_windows_base_on_or_not_at_all(
    take: Callable[..., Manifest], fake: FakePgBackRest, workspace: Workspace, system: ProtectedSystem
) -> None:
    made = take()
    (row,) = workspace.catalog().backups("labdojo")
    key = f"pgbackrest/{made.id}"
    plan = WalPlan(
        everything=False, continuous=(ContinuousWal(SYSTEM, name(2), key, key, made.snapshot_at),), spans=()
    )

    def expire(plan: WalPlan) -> None:
        pgbackrest.expire_wal(workspace, system, "main-db", plan, {key: row}, store="primary")

    expire(WalPlan(everything=True))
    assert "expire" not in fake.commands()
    expire(plan)
    assert "--repo1-retention-archive=1" in fake.calls[-1]
    fake.backups = []
    with pytest.raises(BackupNotFound, match="no WAL is removed"):
        expire(plan)


def test_a_backup_is_marked_while_its_cluster_is_restored(
    take: Callable[..., Manifest], fake: FakePgBackRest, workspace: Workspace, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Retention, asked in the middle of the restore, leaves the backup alone; asked after it, it does not."""
    made = take()
    fake.next = [backup_json("20261121-100000F", minute=9, wal=(name(9), name(9)))]
    take(run=RunInfo(run_id="run-2", started_by="a test"))  # the last full one is never expired
    backup = workspace.catalog().backup("labdojo", "main-db", "pgbackrest", made.id)
    seen: list[Any] = []

    def meanwhile(*_: Any, **__: Any) -> None:
        found = readers(workspace.store("primary"), "labdojo", "main-db", "pgbackrest", datetime.now(UTC))
        seen.append({key: reader.by for key, reader in found.items()})
        seen.append(pgbackrest.expire(workspace, backup, why="its time has come").outcome)
        raise KeyboardInterrupt

    monkeypatch.setattr(pgbackrest, "reachable", lambda *_, **__: None)
    monkeypatch.setattr(pgbackrest, "restore_cluster", meanwhile)
    with pytest.raises(KeyboardInterrupt):
        pgbackrest.restore(workspace, backup, tmp_path / "s", run=RUN)
    assert seen == [{made.id: "a test"}, Removal.IN_USE]
    assert "expire" not in fake.commands()
    assert pgbackrest.expire(workspace, backup, why="its time has come").gone


def test_a_label_is_marked_by_the_row_that_retention_knows(
    take: Callable[..., Manifest], fake: FakePgBackRest, workspace: Workspace, system: ProtectedSystem
) -> None:
    made = take()
    stanza = stanza_module.open_reading(workspace, system, system.source("main-db"), "primary")
    marker = marker_of(workspace, stanza, "primary", "the monthly drill")

    def marked() -> list[str]:
        return list(readers(workspace.store("primary"), "labdojo", "main-db", "pgbackrest", datetime.now(UTC)))

    with marker(FULL):
        assert marked() == [made.id]
    assert marked() == []
    with marker("20261101-000000F"), unmarked(FULL):
        assert marked() == []


def test_a_store_that_no_physical_tier_names_has_no_repository(workspace: Workspace, system: ProtectedSystem) -> None:
    with pytest.raises(PolicyError, match="no physical tier takes 'main-db' to store 'attic'"):
        stanza_module.open_reading(workspace, system, system.source("main-db"), "attic")


def test_reading_needs_neither_the_server_nor_another_store(
    workspace: Workspace, system: ProtectedSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def gone(_: object) -> Cluster:
        raise SourceError("gone")

    monkeypatch.setattr(stanza_module, "ask_cluster", gone)
    before = (tmp_path / "br" / STANZA / "pgbackrest.conf").read_text()
    stanza = stanza_module.open_reading(workspace, system, system.source("main-db"), "offsite")
    assert [each.number for each in stanza.configuration.repositories] == [2]
    assert stanza.configuration.folders.config.parent == tmp_path / "br" / STANZA / "reading" / "offsite"
    assert (tmp_path / "br" / STANZA / "pgbackrest.conf").read_text() == before
