"""A drill is overdue when no recovery from its own store was proven since it was due, whatever its runs say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.recovery.catalog.model import Proof, ProofLevel
from include.recovery.concerns import Concern, Severity
from include.recovery.watchdog.drills import GRACE, drills
from include.recovery.watchdog.look import Look, Subject
from include.recovery.watchdog.watch import _to_know

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
DUE = datetime(2026, 11, 15, 4, tzinfo=UTC)
"""Sunday, 05:00 in Berlin: labdojo's weekly drill, from the primary store."""
MONTHLY = datetime(2026, 11, 1, 5, tzinfo=UTC)
"""06:00 in Berlin: its monthly drill of the cluster, from the offsite store."""


@pytest.fixture
def found(folder_workspace: Any) -> Callable[..., dict[str, Concern]]:
    def look(now: datetime, since: datetime = LONG_AGO) -> dict[str, Concern]:
        system = folder_workspace.system("labdojo")
        known = dict.fromkeys(_to_know(system), since)
        subject = Subject(Look.around(folder_workspace, now), system, system.sources[0], known)
        return {concern.cause: concern for concern in drills(subject)}

    return look


def prove(
    workspace: Any, manifest: Any, at: datetime, store: str = "primary", told_in: str | None = None, **values: Any
) -> None:
    given = {"level": ProofLevel.IDENTICAL, "ok": True, "by": "a drill", "detail": "", "at": at, "store": store}
    workspace.catalog(told_in or store).append_proof(manifest, Proof(**(given | values)))


@pytest.mark.demand("L26")
def test_a_drill_that_did_not_run_is_overdue_after_half_a_day(
    folder_workspace: Any, make_backup: Callable[..., Any], found: Any
) -> None:
    backup = make_backup(DUE - timedelta(days=8))
    prove(folder_workspace, backup, DUE - timedelta(days=7) + timedelta(minutes=20))
    assert "drill weekly" not in found(DUE + GRACE - timedelta(seconds=1))
    overdue = found(DUE + GRACE)["drill weekly"]
    assert overdue.severity is Severity.WARNING
    assert overdue.sentence == (
        "labdojo/main-db: the weekly drill that was due 2026-11-15 05:00:00 CET has not proven a recovery from store "
        "primary, which last was 2026-11-08 05:20:00 CET; see why drill__labdojo__weekly did not run or is red, and "
        "trigger it"
    )
    assert found(DUE + timedelta(days=7) + GRACE)["drill weekly"].severity is Severity.CRITICAL
    assert "drill weekly" not in found(DUE + GRACE, since=DUE + timedelta(hours=1)), "nobody knew of it"
    prove(folder_workspace, backup, DUE + timedelta(hours=13))
    assert "drill weekly" not in found(DUE + timedelta(hours=14))


def test_what_proves_no_recovery_does_not_count(
    folder_workspace: Any, make_backup: Callable[..., Any], found: Any
) -> None:
    backup = make_backup(DUE - timedelta(days=1), stores=("primary", "offsite"))
    prove(folder_workspace, backup, DUE + timedelta(hours=1), ok=False)
    prove(folder_workspace, backup, DUE + timedelta(hours=2), level=ProofLevel.STORED)
    prove(folder_workspace, backup, DUE + timedelta(hours=3), store="offsite")
    prove(folder_workspace, backup, DUE + timedelta(hours=3), store="offsite", told_in="primary")
    assert "which never was" in found(DUE + GRACE)["drill weekly"].sentence


def test_a_drill_of_the_cluster_is_not_done_by_one_of_the_dumps(
    folder_workspace: Any, make_backup: Callable[..., Any], make_cluster_backup: Callable[..., Any], found: Any
) -> None:
    now = MONTHLY + GRACE
    dump = make_backup(MONTHLY - timedelta(days=1), stores=("primary", "offsite"))
    prove(folder_workspace, dump, MONTHLY + timedelta(hours=1), store="offsite")
    assert "drill monthly" in found(now)
    cluster = make_cluster_backup(MONTHLY - timedelta(days=1), store="offsite")
    assert "drill monthly" in found(now)
    prove(folder_workspace, cluster, MONTHLY + timedelta(hours=1), store="offsite", level=ProofLevel.RESTORED)
    assert "drill monthly" not in found(now)
