"""A green drill and a green rehearsal, which each test changes in one respect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.recovery.catalog.model import ProofLevel
from include.recovery.evidence.model import (
    Approver,
    Check,
    DrillReport,
    IncidentReport,
    Measured,
    Outcome,
    Phase,
    SourceEvidence,
)
from include.recovery.fingerprint.model import Comparison
from include.recovery.stores.folder import FolderStore

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW




@pytest.fixture
def store(tmp_path):
    return FolderStore("primary", tmp_path / "store")


@pytest.fixture
def phase() -> Callable[..., Phase]:
    def make(name: str, begin: float, end: float, outcome: Outcome = Outcome.PASSED, **changes: Any) -> Phase:
        return Phase(
            name=name,
            outcome=outcome,
            started_at=NOW + timedelta(seconds=begin),
            finished_at=NOW + timedelta(seconds=end),
            **changes,
        )

    return make


@pytest.fixture
def evidence() -> Callable[..., SourceEvidence]:
    def make(**changes: Any) -> SourceEvidence:
        values: dict[str, Any] = {
            "source": "main-db",
            "kind": "postgres",
            "backup": "20261122T030000Z-1",
            "store": "primary",
            "snapshot_at": NOW - timedelta(minutes=10),
            "target": "database labdojo on /scratch/1",
            "level": ProofLevel.IDENTICAL,
            "comparison": Comparison(
                identical=True, compared_tables=23, compared_rows=123456, differences=(), not_compared=()
            ),
            "restore_seconds": 40.0,
            "compare_seconds": 8.0,
            "stored_bytes": 5_000_000,
            "rpo": Measured(seconds=600, objective_seconds=900),
        }
        return SourceEvidence(**(values | changes))

    return make


@pytest.fixture
def drill(phase, evidence) -> Callable[..., DrillReport]:
    def make(**changes: Any) -> DrillReport:
        values: dict[str, Any] = {
            "system": "labdojo",
            "title": "LabDojo Learning Platform",
            "time_zone": "Europe/Berlin",
            "drill": "weekly",
            "run": "scheduled__2026-11-22T04:00:00+00:00",
            "url": "http://127.0.0.1:8080/dags/drill/runs/1",
            "started_by": "schedule",
            "started_at": NOW,
            "finished_at": NOW + timedelta(seconds=60),
            "expected_phases": ("provision", "restore", "verify"),
            "phases": (phase("provision", 0, 5), phase("restore", 5, 45), phase("verify", 45, 60)),
            "sources": (evidence(),),
            "checks": (
                Check(
                    name="every progress row has a user",
                    source="main-db",
                    outcome=Outcome.PASSED,
                    expected="0",
                    found="0",
                    output=" count\n-------\n     0",
                    seconds=0.2,
                ),
            ),
            "rto": Measured(seconds=60, objective_seconds=3600),
            "versions": {"PostgreSQL": "15.18", "pg_restore": "15.18"},
        }
        return DrillReport(**(values | changes))

    return make


@pytest.fixture
def incident(drill) -> Callable[..., IncidentReport]:
    def make(**changes: Any) -> IncidentReport:
        values = drill().model_dump(exclude={"type", "drill"})
        values |= {
            "scenario": "database_corruption",
            "mode": "rehearsal",
            "requester": "grace",
            "plan": "ab" * 32,
            "plan_in_words": "### Recover <LabDojo>",
            "approvals": (
                Approver(person="ada", role="incident_commander", decision="approve", at=NOW, via="airflow"),
            ),
        }
        return IncidentReport(**(values | changes))

    return make
