"""The worst loss of a source, by hand and for schedules that nobody thought of."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.policy.models import ProtectedSystem
from include.recovery.policy.rpo import WorstLoss, worst_loss

EXAMPLE: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "policies" / "example.yaml").read_text(encoding="utf-8")
)


def loss(crons: list[str], wal: dict[str, str] | None) -> WorstLoss:
    tiers = [{**EXAMPLE["tiers"][0], "name": f"tier-{number}", "cron": cron} for number, cron in enumerate(crons)]
    sources = [{**EXAMPLE["sources"][0], "wal": wal}]
    system = ProtectedSystem.model_validate({**EXAMPLE, "tiers": tiers, "sources": sources})
    return worst_loss(system, system.source("main-db"))


def test_tiers_count_together() -> None:
    found = loss(["0 1 * * *", "30 * * * *"], None)

    assert found.between == timedelta(hours=1)
    assert found.until_done == timedelta(hours=1, minutes=30)
    assert found.arithmetic == (
        "tier-0 (0 1 * * *) and tier-1 (30 * * * *) leave up to 1h between two backups in Europe/Berlin"
    )


def test_a_daily_backup_is_24_hours_also_when_the_clocks_change() -> None:
    assert loss(["30 2 * * *"], None).between == timedelta(hours=24)


def test_wal_counts_when_it_is_faster() -> None:
    found = loss(["0 2 * * 0"], {"archive_timeout": "60s", "push_allowance": "90s"})

    assert found.between == timedelta(seconds=150)
    assert found.arithmetic.startswith(
        "WAL closes a segment every 1m and has 1m30s to store it, 2m30s together; tier-0"
    )


def test_wal_that_is_slower_than_the_tiers_does_not_count() -> None:
    found = loss(["*/5 * * * *"], {"archive_timeout": "10m", "push_allowance": "0s"})

    assert found.between == timedelta(minutes=5)


def test_a_schedule_that_never_comes_bounds_nothing() -> None:
    found = loss(["0 0 30 2 *"], None)

    assert found.between is None
    assert not found.meets(timedelta(days=3650))


@given(minutes=st.integers(1, 59), wal_minutes=st.integers(1, 120), rpo=st.integers(1, 3000))
def test_an_objective_is_met_exactly_when_the_faster_path_meets_it(minutes: int, wal_minutes: int, rpo: int) -> None:
    found = loss([f"{minutes} * * * *"], {"archive_timeout": f"{wal_minutes}m", "push_allowance": "0s"})

    assert found.meets(timedelta(minutes=rpo)) == (min(60, wal_minutes) <= rpo)
