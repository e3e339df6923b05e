"""A plan, its target and its approvals, which each test changes in one respect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.recovery.catalog.model import ProofLevel
from include.recovery.evidence.records import canonical
from include.recovery.runbook.approval import PURPOSE, ApprovalRecord, Decision, SignedApproval, Signer
from include.recovery.runbook.plan import ApprovalRule, Expectation, Mode, PlannedSource, RecoveryPlan
from include.recovery.runbook.target import TargetFacts

NOW = datetime(2026, 11, 21, 2, 12, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer.generate()


@pytest.fixture
def facts() -> Callable[..., TargetFacts]:
    def make(**changes: Any) -> TargetFacts:
        values: dict[str, Any] = {
            "host": "db.example",
            "port": 5432,
            "system_identifier": "7300000000000000001",
            "database": "labdojo",
            "login_role": "labdojo_restore",
            "size": 224_000_000,
            "tables": 23,
            "writes": 1000,
            "taken_at": NOW,
        }
        return TargetFacts(**(values | changes))

    return make


@pytest.fixture
def plan(facts: Callable[..., TargetFacts]) -> Callable[..., RecoveryPlan]:
    def make(*, target: TargetFacts | None = None, tables: tuple[str, ...] = (), **changes: Any) -> RecoveryPlan:
        target = target or facts(scope=tables)
        source = PlannedSource(
            source="main-db",
            backup="20261121T020000Z-1",
            snapshot_at=NOW - timedelta(minutes=12),
            level=ProofLevel.IDENTICAL,
            proven_at=NOW - timedelta(minutes=5),
            tables=tables,
            target=target,
            safety_copy="labdojo_before_20261121t021200z",
            loss_seconds=720,
            rpo_seconds=900,
        )
        values: dict[str, Any] = {
            "system": "labdojo",
            "title": "LabDojo Learning Platform",
            "time_zone": "Europe/Berlin",
            "scenario": "database_corruption",
            "mode": Mode.INCIDENT,
            "run": "disaster_recovery__labdojo/manual__1",
            "made_at": NOW,
            "requester": "grace",
            "sources": (source,),
            "approval": ApprovalRule(role="incident_commander", people=1, approvers=("ada", "grace", "eve")),
            "expected": Expectation(seconds=200, basis="median of 5 runs of this scenario, all rehearsals"),
            "rto_seconds": 3600,
        }
        return RecoveryPlan(**(values | changes))

    return make


@pytest.fixture
def signed(signer: Signer) -> Callable[..., SignedApproval]:
    """A signed answer to a plan; every field may be changed before signing, or the key."""

    def make(plan: RecoveryPlan, person: str = "ada", /, by: Signer | None = None, **changes: Any) -> SignedApproval:
        values: dict[str, Any] = {
            "system": plan.system,
            "run": plan.run,
            "plan": plan.digest,
            "person": person,
            "role": plan.approval.role,
            "decision": Decision.APPROVE,
            "at": NOW,
            "expires": NOW + timedelta(minutes=30),
            "via": "airflow",
        }
        record = ApprovalRecord(**(values | changes))
        return SignedApproval(approval=record, signature=(by or signer).sign(PURPOSE, canonical(record)))

    return make
