"""The shipped tiers over months: what the documents demand is there on every day, and what they let go is gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter

from include.recovery.policy.files import PolicySet, load_folder
from include.recovery.policy.generate import SHIPPED
from include.recovery.policy.models import ProtectedSystem, Tier
from include.recovery.retention.clock import Clock
from include.recovery.retention.model import RetentionPlan, Row, WalSpan
from include.recovery.retention.planner import plan

NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)
DAY = timedelta(days=1)
SYSTEM = "7"


@pytest.fixture(scope="module")
def policies() -> PolicySet:
    return load_folder(SHIPPED)


def segment(at: datetime) -> str:
    """One segment a minute."""
    number = int((at - NOW).total_seconds() // 60) + (1 << 24)
    return f"00000001{number // 256:08X}{number % 256:08X}"


def times(tier: Tier, zone: str, days: int) -> list[datetime]:
    """When a tier runs, by its own schedule, in its own time zone. A wall-clock time that is twice is one run."""
    place = ZoneInfo(zone)
    runs = croniter(tier.cron, (NOW - days * DAY).astimezone(place))
    found: dict[datetime, datetime] = {}
    while (at := runs.get_next(datetime)).astimezone(UTC) <= NOW - timedelta(minutes=10):
        found.setdefault(at.replace(tzinfo=None) if tier.cron.split()[1] != "*" else at, at.astimezone(UTC))
    return list(found.values())


def history(system: ProtectedSystem, store: str, days: int) -> list[Row]:
    """Everything that the tiers put into a store, each increment on what it stands on."""
    runs = sorted(
        (at, tier.name, tier) for tier in system.tiers if store in tier.stores
        for at in times(tier, system.time_zone, days)
    )  # fmt: skip
    rows: list[Row] = []
    full = last = None
    for at, _, tier in runs:
        end, ident = at + timedelta(minutes=5), f"{at:%Y%m%dT%H%M%SZ}-{tier.name}"
        if not tier.is_physical:
            rows.append(Row(id=ident, kind="postgres", tier=tier.name, taken_at=at, finished_at=end))
            continue
        parent = None if tier.method == "full" else full if tier.method == "differential" else last
        if tier.method != "full" and parent is None:
            continue  # pgBackRest would make a full one; the history begins with the first real one
        span = WalSpan(segment(at), segment(end), SYSTEM)
        rows.append(
            Row(id=ident, kind="pgbackrest", tier=tier.name, taken_at=end, finished_at=end, parent=parent, wal=span)
        )
        last, full = ident, ident if tier.method == "full" else full
    return rows


def lived(policies: PolicySet, name: str, store: str, days: int) -> tuple[list[Row], RetentionPlan]:
    """A history in which retention has run every day, and its last plan."""
    system = policies.system(name)
    source = system.source("main-db")
    keeps = {tier.name: tier.keep for tier in system.tiers if store in tier.stores}
    rows = history(system, store, days)
    found = plan(
        rows, keeps, zone=system.time_zone, clock=Clock(NOW), window=source.wal.keep if source.wal else None
    )
    return rows, found


def ages(found: RetentionPlan, tier: str) -> list[timedelta]:
    return sorted(NOW - decision.row.taken_at for decision in found.kept if decision.row.tier == tier)


def younger(rows: list[Row], tier: str, than: timedelta) -> set[str]:
    return {row.id for row in rows if row.tier == tier and NOW - row.taken_at < than}


def kept(found: RetentionPlan, tier: str) -> set[str]:
    return {decision.row.id for decision in found.kept if decision.row.tier == tier}


@pytest.mark.demand("L3", "L5")
@pytest.mark.parametrize("store", ["primary", "offsite"])
def test_labdojo_has_four_weeks_of_fulls_and_differentials_in_both_places(policies: PolicySet, store: str) -> None:
    rows, found = lived(policies, "labdojo", store, 120)
    for tier, cron in (("weekly-full", "0 2 * * 0"), ("weekly-differential", "0 4 * * 3")):
        assert policies.system("labdojo").tier(tier).cron == cron
        assert younger(rows, tier, 28 * DAY) <= kept(found, tier)
        assert len(younger(rows, tier, 28 * DAY)) == 4
        assert ages(found, tier)[-1] < 6 * 7 * DAY, "and what is older is gone"


@pytest.mark.demand("L4")
def test_labdojo_has_two_weeks_of_increments_and_brings_them_offsite_each_week(policies: PolicySet) -> None:
    rows, found = lived(policies, "labdojo", "primary", 120)
    assert policies.system("labdojo").tier("daily-incremental").cron == "0 3 * * 1-6"
    wanted = younger(rows, "daily-incremental", 14 * DAY)
    assert len(wanted) == 12
    assert wanted <= kept(found, "daily-incremental")
    assert ages(found, "daily-incremental")[-1] < 21 * DAY, "older ones stay only where a younger one stands on them"
    rows, found = lived(policies, "labdojo", "offsite", 120)
    assert len(younger(rows, "weekly-offsite-sync", 14 * DAY) & kept(found, "weekly-offsite-sync")) == 2


@pytest.mark.demand("A3")
@pytest.mark.parametrize("store", ["primary", "offsite"])
def test_aiaas_has_a_full_of_every_day_and_an_increment_of_every_hour_for_a_month(
    policies: PolicySet, store: str
) -> None:
    rows, found = lived(policies, "aiaas", store, 45)
    for tier, count in (("daily", 30), ("hourly", 30 * 24)):
        wanted = younger(rows, tier, 30 * DAY)
        assert len(wanted) >= count - 1
        assert wanted <= kept(found, tier)
    assert len(kept(found, "daily")) < 35
    assert all(found.wal.needs(segment(NOW - hours * timedelta(hours=1)), SYSTEM) for hours in range(30 * 24))


@pytest.mark.demand("D1")
@pytest.mark.parametrize("store", ["primary", "offsite"])
def test_aido_todo_has_thirty_days_and_twelve_months_in_two_regions(policies: PolicySet, store: str) -> None:
    rows, found = lived(policies, "aido-todo", store, 430)
    dumps = [decision.row for decision in found.kept if decision.row.tier == "daily"]
    assert younger(rows, "daily", 30 * DAY) <= {row.id for row in dumps}
    place = ZoneInfo(policies.system("aido-todo").time_zone)
    months = {f"{row.taken_at.astimezone(place):%Y-%m}" for row in dumps}
    assert {f"2026-{month:02}" for month in range(1, 12)} | {"2025-11", "2025-12"} <= months
    assert len(dumps) <= 31 + 13
    assert found.wal.needs(segment(NOW - 30 * DAY), SYSTEM)
