"""At both changes of the clock, each tier runs exactly once on each of its days; an hourly one once in each hour,
and one that runs several times an hour never stops doing so."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

from include.recovery.policy.cron import widest_gap
from include.recovery.policy.files import load_folder
from include.recovery.policy.models import Tier

POLICIES = load_folder(Path(__file__).parents[2] / "include" / "policies")
TIERS = [(system, tier) for system in POLICIES.systems.values() for tier in system.tiers]


def changes(zone: str) -> list[datetime]:
    """The two days of 2026 on which the clock changes; any two, where it never does."""
    place, day = ZoneInfo(zone), timedelta(days=1)
    days = [datetime(2026, 1, 1, 12, tzinfo=UTC) + number * day for number in range(364)]
    found = [at for at in days if at.astimezone(place).utcoffset() != (at + day).astimezone(place).utcoffset()]
    return found or days[100:102]


def runs(tier: Tier, zone: str, first: datetime, days: int) -> list[datetime]:
    """When Airflow starts the tier's DAG, in local time."""
    timetable = CronTriggerTimetable(tier.cron, timezone=zone)
    at, found = pendulum.instance(first), []
    while True:
        info = timetable.next_dagrun_info(
            last_automated_data_interval=DataInterval.exact(at), restriction=TimeRestriction(None, None, catchup=True)
        )
        assert info is not None
        at = info.run_after
        if at >= first + timedelta(days=days):
            return found
        found.append(at.astimezone(ZoneInfo(zone)))


@pytest.mark.parametrize(("system", "tier"), TIERS, ids=lambda each: getattr(each, "system", getattr(each, "name", "")))
def test_exactly_one_run_when_the_clock_changes(system, tier) -> None:
    for change in changes(system.time_zone):
        before = change - timedelta(days=15)
        found = runs(tier, system.time_zone, before, 30)
        if tier.cron.split()[1] == "*":
            moments = [at.astimezone(UTC) for at in found]
            gaps = {(b - a).total_seconds() for a, b in pairwise(moments)}
            often = widest_gap([tier.cron])
            assert often is not None
            assert gaps == {often.total_seconds()}
            continue
        each = Counter(at.date() for at in found)
        assert set(each.values()) <= {1}, "twice on one day"
        elsewhere = runs(tier, "UTC", before, 30)
        assert abs(len(found) - len(elsewhere)) <= 1
        assert len({at.weekday() for at in found}) == len({at.weekday() for at in elsewhere}), "left out on one day"
