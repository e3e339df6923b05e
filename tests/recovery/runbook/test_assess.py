"""Which recovery points exist, and what each would lose."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.recovery.catalog.model import Backup, Manifest, Proof, ProofLevel
from include.recovery.errors import PolicyError, Refused, StoreUnavailable
from include.recovery.policy.files import load_folder, policies_folder
from include.recovery.runbook.assess import assess, probe
from include.recovery.runbook.planning import Choice, draft_plan


@pytest.fixture
def backup(now):
    def make(minutes: int, *proofs: Proof, source: str = "main-db") -> Backup:
        at = now - timedelta(minutes=minutes)
        manifest = Manifest(
            system="labdojo", source=source, kind="postgres", id=f"{at:%Y%m%dT%H%M%SZ}", started_by="test",
            started_at=at, snapshot_at=at, finished_at=at, server_version="15.8", tool_versions={}, parts=(),
            compression="zstd-3", fingerprint=None, fence=1,
        )  # fmt: skip
        return Backup(manifest=manifest, proofs=proofs)

    return make


@pytest.fixture
def proof(now):
    def make(level: ProofLevel, *, ok: bool = True, failures: tuple[str, ...] = ()) -> Proof:
        return Proof(level=level, ok=ok, at=now, by="drill", store="primary", detail="d", failures=failures)

    return make


@pytest.mark.demand("K4")
def test_a_damaged_backup_is_passed_over_with_its_reason(backup, proof, now):
    newest = backup(5, proof(ProofLevel.STORED, ok=False, failures=("part rest is missing",)))
    good = backup(65, proof(ProofLevel.IDENTICAL))
    old = backup(125)
    found = assess([old, newest, good], system="labdojo", source="main-db", now=now, rpo_seconds=900)
    assert found.newest is not None
    assert found.newest.backup == good.manifest.id
    assert found.newest.loss_seconds == 65 * 60
    assert found.passed_over(good.manifest.id) == (
        f"{newest.manifest.id}: damaged in store primary: part rest is missing (found by drill)",
    )
    words = found.in_words("Europe/Berlin")
    assert "loses 1 h 5 min (**over the objective**), identical" in words
    assert "**not usable**: damaged in store primary: part rest is missing" in words


def test_other_sources_and_the_future_are_not_recovery_points(backup, now):
    found = assess([backup(5, source="other"), backup(-9)], system="labdojo", source="main-db", now=now)
    assert found.newest is None
    assert [point.reason for point in found.points] == ["dated in the future; a clock is wrong"]
    empty = assess([], system="labdojo", source="main-db", now=now)
    assert "**no recovery point exists**" in empty.in_words()


def test_probe_finds_what_does_not_answer():
    def down() -> str:
        raise StoreUnavailable("store offsite: connection refused")

    found = probe({"store primary": lambda: "12 backups", "store offsite": down})
    assert [(r.what, r.ok) for r in found] == [("store primary", True), ("store offsite", False)]
    assert found[1].detail == "store offsite: connection refused"


@pytest.fixture(scope="module")
def labdojo():
    return load_folder(policies_folder()).system("labdojo")


def test_a_plan_takes_policy_point_and_facts_together(labdojo, backup, proof, facts, now):
    good = backup(12, proof(ProofLevel.IDENTICAL))
    found = assess([good], system="labdojo", source="main-db", now=now)
    choice = Choice.of(found, good, facts())
    plan = draft_plan(labdojo, "database_corruption", "incident", [choice], run="r", requester="grace", now=now)
    (source,) = plan.sources
    assert (source.backup, source.loss_seconds, source.level) == (good.manifest.id, 720, ProofLevel.IDENTICAL)
    assert source.safety_copy == "labdojo_before_20261121t021200z"
    assert plan.approval.role == labdojo.scenario("database_corruption").approval.role
    assert plan.rto_seconds == labdojo.rto("database_corruption").total_seconds()
    assert plan.expected.seconds is None
    tables = draft_plan(
        labdojo, "table_corruption", "rehearsal", [Choice.of(found, good, facts(), tables=("public.users",))],
        run="r", requester=None, now=now,
    )  # fmt: skip
    assert tables.sources[0].safety_copy == "lifeboat_before_20261121t021200z"


def test_a_damaged_choice_or_unknown_scenario_is_refused(labdojo, backup, proof, facts, now):
    bad = Choice("main-db", backup(5, proof(ProofLevel.STORED, ok=False)), facts())
    with pytest.raises(Refused, match="cannot be restored: damaged in store primary"):
        draft_plan(labdojo, "database_corruption", "incident", [bad], run="r", requester="grace", now=now)
    with pytest.raises(PolicyError, match="meteorite"):
        draft_plan(labdojo, "meteorite", "incident", [bad], run="r", requester="grace", now=now)
    with pytest.raises(Refused, match="no source was chosen"):
        draft_plan(labdojo, "database_corruption", "incident", [], run="r", requester="grace", now=now)
