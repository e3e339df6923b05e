"""The worst loss of a source, by hand and for schedules that nobody thought of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.policy.models import ProtectedSystem
from include.recovery.policy.rpo import WorstLoss, worst_loss

EXAMPLE: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "policies" / "example.yaml").read_text(encoding="utf-8")
)


METHODS = ("logical", "full", "differential", "incremental")


def loss(crons: list[str], wal: dict[str, str] | None = None, methods: Sequence[str] = (), **source: Any) -> WorstLoss:
    """The loss of schedules: full backups, unless other methods are given for some of them."""
    methods = [*methods, *["full"] * (len(crons) - len(methods))]
    tiers = [
        {**EXAMPLE["tiers"][0], "name": f"tier-{number}", "cron": cron, "method": method}
        for number, (cron, method) in enumerate(zip(crons, methods, strict=True))
    ]
    sources = [{**EXAMPLE["sources"][0], "wal": wal, **source}]
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


def test_incrementals_count_with_the_full_that_they_build_on() -> None:
    found = loss(["0 1 * * *", "30 * * * *"], methods=["full", "incremental"])

    assert found.between == timedelta(hours=1)


def test_incrementals_without_a_full_do_not_count() -> None:
    found = loss(["0 1 * * *", "30 * * * *"], methods=["logical", "incremental"])

    assert found.between == timedelta(hours=24)
    assert found.arithmetic == "tier-0 (0 1 * * *) leaves up to 24h between two backups in Europe/Berlin"


@pytest.mark.parametrize(
    ("methods", "physical", "cron"),
    [
        (["logical"], {"connection": "example_cluster"}, "0 2 * * *"),
        (["incremental"], {"connection": "example_cluster"}, "0 2 * * *"),
        (["full"], None, "0 2 * * *"),
        (["full"], {"connection": "example_cluster"}, "0 0 30 2 *"),
    ],
)
def test_wal_without_a_base_to_roll_forward_does_not_count(
    methods: list[str], physical: dict[str, str] | None, cron: str
) -> None:
    wal = {"archive_timeout": "60s", "push_allowance": "60s"}

    found = loss([cron], wal, methods, physical=physical)

    assert found.between != timedelta(minutes=2)
    assert found.arithmetic.startswith("WAL does not count, since no full physical backup is there to roll forward; ")


@given(
    tiers=st.lists(st.tuples(st.integers(1, 12), st.sampled_from(METHODS)), min_size=1, max_size=4),
    wal_minutes=st.none() | st.integers(1, 120),
    cluster=st.booleans(),
)
def test_only_what_can_be_restored_counts(
    tiers: list[tuple[int, str]], wal_minutes: int | None, cluster: bool
) -> None:
    """Each tier runs at minutes 0, n, 2n ... of every hour for some n; the oracle counts those minutes by hand."""
    crons = [f"*/{every} * * * *" for every, _ in tiers]
    methods = [method for _, method in tiers]
    wal = None if wal_minutes is None else {"archive_timeout": f"{wal_minutes}m", "push_allowance": "0s"}
    based = cluster and "full" in methods
    minutes = {
        minute for every, method in tiers if based or method == "logical" for minute in range(0, 60, every)
    }
    marks = sorted(minutes)
    gaps = [after - before for before, after in pairwise([*marks, 60])] if marks else []
    paths = gaps and [max(gaps)]
    if based and wal_minutes is not None:
        paths = [*paths, wal_minutes]

    found = loss(crons, wal, methods, physical={"connection": "example_cluster"} if cluster else None)

    assert found.between == (timedelta(minutes=min(paths)) if paths else None)
