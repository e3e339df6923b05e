"""Approvals, markers and evidence in a versioned bucket under object lock: covering or hiding them changes nothing."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from include.recovery.evidence.chain import verify
from include.recovery.evidence.model import DrillReport, Outcome, Phase
from include.recovery.evidence.report import store_report
from include.recovery.evidence.signing import Signer
from include.recovery.runbook.approval import Decision, approve, read_approvals, write_approval
from include.recovery.runbook.folder import RunFolder
from include.recovery.runbook.plan import ApprovalRule, Mode, PlannedSource, RecoveryPlan
from include.recovery.runbook.target import TargetFacts

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 21, 2, 12, tzinfo=UTC)


@pytest.fixture(params=["primary", "offsite"])
def store(request, object_stores):
    return getattr(object_stores, request.param)


@pytest.fixture(scope="module")
def signer():
    return Signer.generate()


@pytest.fixture
def plan():
    target = TargetFacts(host="db", port=5432, system_identifier="1", database="live", taken_at=NOW)
    source = PlannedSource(
        source="main-db", backup="b", snapshot_at=NOW, target=target, safety_copy="live_before", loss_seconds=0
    )
    return RecoveryPlan(
        system=f"records-{uuid.uuid4().hex[:8]}",
        title="A test",
        scenario="database_corruption",
        mode=Mode.INCIDENT,
        run="disaster_recovery__x/manual__2026-11-21T02:12:00+00:00",
        made_at=NOW,
        requester="grace",
        sources=(source,),
        approval=ApprovalRule(role="incident_commander", approvers=("ada", "eve")),
    )


def test_a_rejection_cannot_be_covered_or_hidden(store, signer, plan):
    key = write_approval(store, signer, approve(plan, "ada", NOW, decision=Decision.REJECT))
    store.put(key, b"{}")
    store.delete(key)
    (answer,) = read_approvals(store, plan.system, plan.run)
    assert (answer.approval.decision, answer.genuine(signer.verifier)) == (Decision.REJECT, True)
    assert write_approval(store, signer, approve(plan, "eve", NOW)).endswith("0002.json")


def test_a_hidden_step_marker_still_counts(store, plan):
    folder = RunFolder(store, plan.system, plan.run)
    folder.once("swap", lambda resumed: {"safety_copy": "x"}, lambda: NOW)
    store.delete(f"{folder.prefix}steps/swap.json")
    mark = folder.once("swap", lambda resumed: pytest.fail("done twice"), lambda: NOW)
    assert mark.detail == {"safety_copy": "x"}
    assert folder.save_plan(plan) == folder.plan() == plan


def test_reports_that_end_together_make_one_chain(store, signer, plan):
    def report(number: int) -> DrillReport:
        phase = Phase(name="restore", outcome=Outcome.PASSED, started_at=NOW, finished_at=NOW + timedelta(seconds=3))
        return DrillReport(
            system=plan.system, title="A test", run=f"run-{number}", started_by="a test", started_at=NOW,
            finished_at=NOW + timedelta(seconds=5), drill="weekly", phases=(phase,),
        )  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        stored = list(pool.map(lambda number: store_report(store, signer, report(number), NOW), range(4)))
    found = verify(store, signer.verifier, plan.system)
    assert (found.links, found.problems) == (4, ())
    store.delete(stored[0].key)
    assert verify(store, signer.verifier, plan.system).problems != ()
