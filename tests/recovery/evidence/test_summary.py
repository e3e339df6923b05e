"""The row of a system is counted from what the stores hold."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.recovery.catalog.model import Proof, ProofLevel
from include.recovery.errors import LifeboatError, PolicyError
from include.recovery.evidence import summary
from include.recovery.evidence.report import store_report
from include.recovery.evidence.summary import summarise
from include.recovery.pgbackrest.recoverable import Recoverable


@pytest.fixture
def prove(folder_workspace):
    def make(manifest, at, level=ProofLevel.IDENTICAL, *, ok=True, store="primary"):
        proof = Proof(level=level, ok=ok, at=at, by="lifeboat compare", store=store, detail="23 tables equal")
        folder_workspace.catalog(store).append_proof(manifest, proof)

    return make


def test_nothing_yet(folder_workspace, now):
    found = summarise(folder_workspace, "labdojo", now)
    assert found.problems == ()
    assert found.cells() == {
        "system": "labdojo",
        "recoverable point": "no recoverable point",
        "RPO": "15 min",
        "recovery last proven": "never",
        "measured restore": "never measured",
        "RTO": "1 h",
        "copies": "0 of 0",
    }
    assert (found.rpo_met, found.rto_met, found.ready) == (False, None, False)


def test_a_cluster_is_no_copy_before_its_full_was_read_back(folder_workspace, make_cluster_backup, prove, now):
    full = make_cluster_backup(now - timedelta(hours=3))
    make_cluster_backup(now - timedelta(minutes=5), parent=full.id)

    def seen():
        (source,) = summarise(folder_workspace, "labdojo", now).sources
        return [(copy.store, copy.complete) for copy in source.copies]

    assert seen() == [("primary", False)]
    prove(full, now, ProofLevel.STORED)
    assert seen() == [("primary", True)]
    make_cluster_backup(now - timedelta(minutes=4), parent="20261101T000000Z-0000")
    assert seen() == [("primary", False)]


def rolled(monkeypatch, found):
    def until(_workspace, _policy, _source, store, backups, _now):
        made = found[store]
        if isinstance(made, LifeboatError):
            raise made
        at, stopped_by = made
        return Recoverable(at, next(iter(backups)), stopped_by)

    monkeypatch.setattr(summary, "recoverable_until", until)


def test_archived_wal_makes_a_cluster_recoverable_to_the_minute(
    folder_workspace, make_cluster_backup, make_backup, now, monkeypatch
):
    make_cluster_backup(now - timedelta(hours=20))
    make_cluster_backup(now - timedelta(hours=30), store="offsite")
    make_backup(now - timedelta(hours=6))
    arrived = now - timedelta(seconds=40)
    rolled(monkeypatch, {"primary": (arrived, None), "offsite": (now - timedelta(minutes=3), None)})
    found = summarise(folder_workspace, "labdojo", now)
    (source,) = found.sources
    assert (source.recoverable_at, source.age_seconds, found.rpo_met) == (arrived, 40, True)
    assert source.recoverable_by.startswith("WAL in store primary, from backup ")
    assert found.cells()["recoverable point"] == "40 s old"


def test_wal_behind_a_hole_and_wal_that_nobody_can_see_count_for_nothing(
    folder_workspace, make_cluster_backup, make_backup, now, monkeypatch
):
    make_cluster_backup(now - timedelta(hours=20))
    make_cluster_backup(now - timedelta(hours=20), store="offsite")
    newest = make_backup(now - timedelta(hours=6))
    hole = (now - timedelta(hours=7), "000000010000000000000009")
    rolled(monkeypatch, {"primary": hole, "offsite": LifeboatError("store offsite is down")})
    found = summarise(folder_workspace, "labdojo", now)
    assert (found.age_seconds, found.rpo_met) == (6 * 3600, False)
    assert found.sources[0].recoverable_by == f"backup {newest.id}"
    hole_told, down = found.problems
    assert hole_told.startswith("labdojo/main-db: WAL segment 000000010000000000000009 in store primary is missing")
    assert down == "store offsite is down"


def test_a_damaged_base_is_not_rolled_forward(
    folder_workspace, make_cluster_backup, make_backup, prove, now, monkeypatch
):
    make_backup(now - timedelta(hours=6))
    base = make_cluster_backup(now - timedelta(hours=20))
    prove(base, now, ProofLevel.RESTORED, ok=False)
    rolled(monkeypatch, {"primary": (now, None)})
    found = summarise(folder_workspace, "labdojo", now)
    assert (found.age_seconds, found.problems) == (6 * 3600, ())


def test_age_proof_time_and_copies(folder_workspace, make_backup, prove, signer, drill, evidence, now):
    make_backup(now - timedelta(hours=8))
    newest = make_backup(now - timedelta(minutes=12), stores=("primary", "offsite"))
    report = drill(sources=(evidence(backup=newest.id),), started_at=now - timedelta(minutes=10))
    prove(newest, now - timedelta(minutes=9))
    store_report(folder_workspace.store("primary"), signer, report, now)
    found = summarise(folder_workspace, "labdojo", now)
    assert found.problems == ()
    assert found.cells() == {
        "system": "labdojo",
        "recoverable point": "12 min old",
        "RPO": "15 min",
        "recovery last proven": "2026-11-22 05:01:00 CET, weekly drill",
        "measured restore": "40 s",
        "RTO": "1 h",
        "copies": "2 of 2",
    }
    assert found.restore_basis == "the median restore of 1 drill, on scratch servers tuned for speed"
    assert found.ready
    later = summarise(folder_workspace, "labdojo", now + timedelta(minutes=4))
    assert (later.rpo_met, later.ready) == (False, False)


def test_proven_by_hand(folder_workspace, make_backup, prove, now):
    newest = make_backup(now - timedelta(minutes=12))
    prove(newest, now - timedelta(minutes=5))
    found = summarise(folder_workspace, "labdojo", now)
    assert (found.proven_at, found.proven_how) == (now - timedelta(minutes=5), "lifeboat compare")


@pytest.mark.demand("K4")
def test_a_damaged_backup_is_no_recoverable_point(folder_workspace, make_backup, prove, now):
    good = make_backup(now - timedelta(hours=8))
    bad = make_backup(now - timedelta(minutes=12))
    prove(bad, now, ProofLevel.STORED, ok=False)
    found = summarise(folder_workspace, "labdojo", now)
    assert found.sources[0].backup == good.id
    assert found.age_seconds == 8 * 3600


def test_a_copy_that_lost_a_part_does_not_count(folder_workspace, make_backup, now):
    newest = make_backup(now - timedelta(minutes=12), stores=("primary", "offsite"))
    volume = newest.parts[0].volumes[0].key
    folder_workspace.store("offsite").delete(volume)
    found = summarise(folder_workspace, "labdojo", now)
    assert (found.copies, found.copies_wanted) == (1, 2)
    assert found.problems == (f"store offsite: backup {newest.name} lacks {volume.removeprefix(newest.prefix)}",)


def test_an_unknown_system(folder_workspace, now):
    with pytest.raises(PolicyError, match="labdojo"):
        summarise(folder_workspace, "nobody", now)
