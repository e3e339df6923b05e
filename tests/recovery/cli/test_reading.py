"""list, show, status and evidence, for people and for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from include.recovery.catalog.model import Proof, ProofLevel
from include.recovery.evidence.model import DrillReport, Measured, Outcome, Phase, SourceEvidence
from include.recovery.evidence.report import store_report


@pytest.fixture
def now():
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def prove(folder_workspace):
    def make(manifest, at, *, ok=True, level=ProofLevel.IDENTICAL):
        proof = Proof(
            level=level, ok=ok, at=at, by="a drill", store="primary", detail="seen", failures=() if ok else ("byte 7",)
        )
        folder_workspace.catalog().append_proof(manifest, proof)

    return make


def test_list_shows_every_backup_and_its_proof(lifeboat, make_backup, prove, now):
    old = make_backup(now - timedelta(hours=5), note="before upgrade", hold=True)
    bad = make_backup(now - timedelta(hours=2))
    new = make_backup(now - timedelta(minutes=5), tier=None)
    prove(old, now)
    prove(bad, now, ok=False, level=ProofLevel.STORED)
    result = lifeboat("list")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [backup.id in line for backup, line in zip((old, bad, new), lines[1:], strict=True)] == [True] * 3
    assert "identical" in lines[1]
    assert "held, before upgrade" in lines[1]
    assert "damaged" in lines[2]
    assert "by hand" in lines[3]
    assert "CE" in lines[1]


def test_list_as_json(lifeboat, make_backup, prove, now):
    made = make_backup(now - timedelta(hours=5))
    prove(made, now)
    found = json.loads(lifeboat("list", "labdojo", "--json").stdout)
    (row,) = found["backups"]
    assert (row["id"], row["level"], row["store"], row["damaged"]) == (made.id, "identical", "primary", False)
    assert found["unusable"] == {}


def test_an_empty_list_says_so(lifeboat):
    result = lifeboat("list", "labdojo", "--store", "offsite")
    assert result.exit_code == 0
    assert "store offsite has no backups of labdojo" in result.stderr


def test_a_backup_of_the_cluster_is_listed_and_shown_by_its_own_facts(lifeboat, make_backup, make_cluster_backup, now):
    dump = make_backup(now - timedelta(hours=5))
    full = make_cluster_backup(now - timedelta(hours=2), tier="weekly-full")
    increment = make_cluster_backup(now - timedelta(hours=1), parent=full.id)
    assert [word for word in lifeboat("list").stdout.split() if word == "cluster"] == ["cluster"] * 2
    assert dump.name in lifeboat("show", "labdojo").stdout
    shown = lifeboat("show", "labdojo", "newest", "--kind", "pgbackrest").stdout
    assert increment.name in shown
    assert "in repository 1 as" in shown
    assert "stands on" in shown
    assert full.name in lifeboat("show", "labdojo", full.id).stdout
    refused = lifeboat("restore", "labdojo", full.id)
    assert refused.exit_code != 0
    assert "has no backup" in refused.stderr


def test_show_tells_what_a_backup_holds(lifeboat, make_backup, prove, now):
    made = make_backup(now - timedelta(hours=5), left_out=({"what": "public.cache", "why": "rebuilt on start"},))
    prove(made, now)
    result = lifeboat("show", "labdojo")
    assert result.exit_code == 0, result.stderr
    for words in (made.name, "AES-256-GCM", "public.users", "a drill", "weekly-full"):
        assert words in result.stdout
    assert "left out: public.cache: rebuilt on start" in result.stderr
    found = json.loads(lifeboat("show", "labdojo", made.id, "--json").stdout)
    assert found["parts"][0]["tables"] == ["public.users"]
    assert found["proofs"][0]["by"] == "a drill"


@pytest.mark.demand("K4")
def test_show_passes_over_what_is_damaged(lifeboat, make_backup, prove, now):
    good = make_backup(now - timedelta(hours=5))
    prove(make_backup(now - timedelta(hours=1)), now, ok=False, level=ProofLevel.STORED)
    assert json.loads(lifeboat("show", "labdojo", "--json").stdout)["id"] == good.id


def test_status_is_one_row_for_each_system(lifeboat, make_backup, now):
    make_backup(now - timedelta(minutes=3), stores=("primary", "offsite"))
    result = lifeboat("status")
    assert result.exit_code == 0, result.stderr
    head, row = result.stdout.splitlines()
    assert " ".join(head.split()) == (
        "system recoverable point RPO recovery last proven measured restore RTO copies"
    )
    assert row.split()[0] == "labdojo"
    assert "never measured" in row
    assert row.rstrip().endswith("2 of 2")
    (found,) = json.loads(lifeboat("status", "labdojo", "--json").stdout)
    assert (found["rpo_met"], found["copies"], found["ready"]) == (True, 2, False)


def test_status_names_what_is_wrong_with_policies(lifeboat, tmp_path):
    (tmp_path / "policies" / "broken.yaml").write_text("system: broken\n")
    result = lifeboat("status")
    assert "broken.yaml" in result.stderr


def report_of(backup, at):
    source = SourceEvidence(
        source="main-db", kind="postgres", backup=backup.id, store="primary", snapshot_at=backup.snapshot_at,
        level=ProofLevel.IDENTICAL, restore_seconds=3, rpo=Measured(seconds=60, objective_seconds=900),
    )  # fmt: skip
    phase = Phase(name="restore", outcome=Outcome.PASSED, started_at=at, finished_at=at + timedelta(seconds=3))
    return DrillReport(
        system="labdojo", title="LabDojo", run="r", started_by="a test", started_at=at, drill="weekly",
        finished_at=at + timedelta(seconds=5), phases=(phase,), sources=(source,),
    )  # fmt: skip


def test_evidence_is_verified_with_the_policys_key_or_a_public_one(
    lifeboat, folder_workspace, make_backup, signer, tmp_path, now
):
    backup = make_backup(now - timedelta(hours=1))
    stored = store_report(folder_workspace.store("primary"), signer, report_of(backup, now), now)
    result = lifeboat("evidence", "labdojo")
    assert result.exit_code == 0, result.stderr
    assert "1 link of evidence in store primary, every one as it was written" in result.stderr
    (tmp_path / "public.pem").write_text(signer.public_pem)
    key = str(tmp_path / "public.pem")
    bare = ("--store-url", str(tmp_path / "primary"), "evidence", "labdojo", "--public-key", key)
    assert lifeboat(*bare, bare=True).exit_code == 0
    content, _ = folder_workspace.store("primary").get(stored.key)
    folder_workspace.store("primary").put(stored.key, content.replace(b'"passed"', b'"failed"'))
    result = lifeboat("evidence", "labdojo")
    assert result.exit_code == 3
    assert f"{stored.key}: changed since link 1 was written" in " ".join(result.stderr.split())


def test_no_secret_is_shown(lifeboat, make_backup, signer, escrow_key, now):
    make_backup(now - timedelta(hours=1))
    secrets = [line for pem in (signer.private_pem(), escrow_key.private_pem) for line in pem.splitlines()[1:-1]]
    for command in (("list", "--json"), ("show", "labdojo", "--json"), ("status", "--json"), ("evidence", "labdojo")):
        result = lifeboat(*command)
        assert not any(secret in result.stdout + result.stderr for secret in secrets)
