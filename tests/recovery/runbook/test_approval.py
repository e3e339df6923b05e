"""Approvals are signed, stored once, and read back as they were."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from include.recovery.errors import ApprovalMissing, LifeboatError
from include.recovery.evidence.signing import Verifier
from include.recovery.runbook.approval import (
    Decision,
    SignedApproval,
    Signer,
    approve,
    automatic,
    read_approvals,
    write_approval,
)
from include.recovery.runbook.plan import Mode
from include.recovery.stores.folder import FolderStore


@pytest.fixture
def store(tmp_path):
    return FolderStore("primary", tmp_path / "store")


def test_written_under_the_run_and_never_overwritten(plan, signer, store, now):
    first = write_approval(store, signer, approve(plan(), "ada", now))
    second = write_approval(store, signer, approve(plan(), "eve", now, decision=Decision.REJECT, comment="wait"))
    assert first.startswith("labdojo/approvals/disaster_recovery__labdojo_manual__1-")
    assert (first[-9:], second[-9:]) == ("0001.json", "0002.json")
    read = read_approvals(store, "labdojo", plan().run)
    assert [(a.approval.person, a.approval.decision) for a in read] == [("ada", "approve"), ("eve", "reject")]
    assert all(a.genuine(signer.verifier) for a in read)
    assert read[0].approval.expires == now + timedelta(minutes=30)


def test_runs_with_similar_names_do_not_share_approvals(plan, signer, store, now):
    write_approval(store, signer, approve(plan(run="manual__2026-11-21T02:12:00+00:00"), "ada", now))
    assert read_approvals(store, "labdojo", "manual__2026-11-21T02_12_00_00_00") == ()
    assert len(read_approvals(store, "labdojo", "manual__2026-11-21T02:12:00+00:00")) == 1


def test_an_edited_approval_is_not_genuine(plan, signer, store, now):
    key = write_approval(store, signer, approve(plan(), "ada", now))
    content = json.loads(store.get(key)[0])
    content["approval"]["person"] = "eve"
    store.put(key, json.dumps(content).encode())
    assert [a.genuine(signer.verifier) for a in read_approvals(store, "labdojo", plan().run)] == [False]


def test_a_signature_for_another_purpose_does_not_hold(plan, signer, now):
    from include.recovery.evidence.records import canonical

    record = approve(plan(), "ada", now)
    assert not SignedApproval(approval=record, signature=signer.sign("evidence", canonical(record))).genuine(
        signer.verifier
    )


def test_something_else_in_its_place_is_said(plan, store):
    store.put("labdojo/approvals/run/0001.json", b'{"approval": {}}')
    with pytest.raises(LifeboatError, match=r"0001\.json is not an approval"):
        read_approvals(store, "labdojo", "run")


@pytest.mark.parametrize(
    ("person", "sentence"),
    [
        ("grace", "grace asked for this recovery of labdojo and may not approve it"),
        ("mallory", "mallory does not hold the role incident_commander of labdojo; it is held by ada, eve"),
    ],
)
def test_who_may_not_answer(plan, now, person, sentence):
    with pytest.raises(ApprovalMissing, match=sentence):
        approve(plan(), person, now)


def test_only_rehearsals_approve_themselves(plan, now):
    assert automatic(plan(mode=Mode.REHEARSAL), now).via == "rehearsal"
    with pytest.raises(ApprovalMissing):
        automatic(plan(), now)


def test_signer_reads_pem_in_the_forms_that_connections_hold(signer):
    pem = signer.private_pem()
    for text in (pem, pem.replace("\n", "\\n"), f"\n{pem}\n"):
        assert Signer.from_pem(text).public_pem == signer.public_pem
    assert "PRIVATE" not in repr(Signer.from_pem(pem))
    assert Verifier.from_pems([signer.public_pem]).holds("x", b"y", signer.sign("x", b"y"))


@pytest.mark.parametrize(
    "pem", ["", "secret-words", "-----BEGIN PRIVATE KEY-----\nsecret-words\n-----END PRIVATE KEY-----"]
)
def test_a_bad_key_is_not_quoted(pem):
    with pytest.raises(LifeboatError) as error:
        Signer.from_pem(pem)
    assert "openssl genpkey -algorithm ed25519" in str(error.value)
    assert "secret-words" not in str(error.value)
