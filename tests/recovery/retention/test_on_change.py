"""Backups that are taken when something has changed: by number, not by age, so old versions outlive quiet years."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.policy.models import Keep
from include.recovery.retention.clock import Clock
from include.recovery.retention.model import Row
from include.recovery.retention.planner import plan

NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)
TIER = "on-renewal"
KEEP = {TIER: Keep(newest=3)}


def rows(*days_ago: float) -> list[Row]:
    return [
        Row(id=f"{NOW - timedelta(days=days):%Y%m%dT%H%M%S%f}", kind="files", tier=TIER,
            taken_at=NOW - timedelta(days=days), finished_at=NOW - timedelta(days=days) + timedelta(minutes=1))
        for days in days_ago
    ]  # fmt: skip


def kept(found: list[Row], now: datetime = NOW) -> set[str]:
    decided = plan(found, KEEP, zone="UTC", clock=Clock(now))
    assert decided.refusal is None
    return {decision.row.id for decision in decided.decisions if decision.keep}


@pytest.mark.demand("R5")
def test_of_certificates_the_newest_and_the_two_versions_before_it_stay_however_old() -> None:
    renewals = rows(1, 61, 121, 181, 241, 301)
    assert kept(renewals) == {row.id for row in renewals[:3]}
    quiet = rows(400, 800, 1200, 1600)
    assert kept(quiet) == {row.id for row in quiet[:3]}


@pytest.mark.demand("R5")
def test_fewer_than_three_versions_all_stay() -> None:
    assert len(kept(rows(1000))) == 1
    assert len(kept(rows(1, 1000))) == 2


@given(st.sets(st.integers(1, 3000), min_size=1, max_size=12))
def test_whenever_they_were_renewed_the_newest_three_stay(days: set[int]) -> None:
    found = rows(*sorted(days))
    assert {row.id for row in found[:3]} <= kept(found)
    assert len(kept(found)) == min(3, len(found))
