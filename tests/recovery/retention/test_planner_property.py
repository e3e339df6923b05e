"""No history, policy and clock in which retention takes what must stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.recovery.catalog.model import ProofLevel
from include.recovery.policy.models import Keep
from include.recovery.retention.chains import Chains
from include.recovery.retention.model import Clock, RetentionPlan, Row, WalSpan
from include.recovery.retention.planner import plan

ZONES = ("Europe/Berlin", "America/New_York", "UTC", "Pacific/Apia", "Australia/Lord_Howe")
TIERS = ("hourly", "daily", "weekly", "monthly", "once-there-was")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LEVELS = st.sampled_from(ProofLevel)

keeps = st.builds(
    Keep,
    newest=st.integers(1, 4),
    every=st.none() | st.integers(1, 40 * 24).map(lambda hours: timedelta(hours=hours)),
    days=st.integers(0, 5),
    weeks=st.integers(0, 5),
    months=st.integers(0, 3),
    years=st.integers(0, 2),
)
policies = st.fixed_dictionaries(dict.fromkeys(TIERS[:-1], keeps))


@st.composite
def histories(draw: st.DrawFn, *, physical: bool = True, sparse: bool = False) -> list[Row]:
    """Backups over up to two years, logical and physical, with chains that may be broken, longer than they should be,
    or bent into a circle."""
    hours = sorted(draw(st.lists(st.integers(0, 400 if not sparse else 17_000), max_size=24)))
    rows: list[Row] = []
    for number, hour in enumerate(hours):
        taken = BEGIN + timedelta(hours=hour, minutes=draw(st.sampled_from([0, 0, 30])))
        facts: dict[str, Any] = {}
        if physical and draw(st.booleans()):
            span = WalSpan(f"0000000{draw(st.integers(1, 2))}{number * 3:016X}", f"00000002{number * 3 + 2:016X}",
                           draw(st.sampled_from(["7", "7", "8"])))  # fmt: skip
            facts = {"kind": "pgbackrest", "wal": span, "parent": draw(
                st.none() | st.sampled_from([f"id-{n}" for n in range(len(hours) + 1)])
            )}  # fmt: skip
        level = draw(LEVELS)
        rows.append(
            Row(
                id=f"id-{number}",
                kind=facts.pop("kind", "postgres"),
                tier=draw(st.sampled_from([*TIERS, None])),
                taken_at=taken,
                finished_at=taken + timedelta(minutes=draw(st.integers(0, 90))),
                level=level,
                best=max(level, draw(LEVELS), key=lambda each: each.rank),
                hold=draw(st.sampled_from([False] * 7 + [True])),
                damaged=draw(st.sampled_from([False] * 4 + [True])),
                in_use=draw(st.sampled_from([None] * 7 + ["a drill"])),
                **facts,
            )
        )
    return draw(st.permutations(rows))


clocks = st.builds(
    lambda hours, store, last: Clock(
        BEGIN + timedelta(hours=hours),
        None if store is None else BEGIN + timedelta(hours=hours, minutes=store),
        None if last is None else BEGIN + timedelta(hours=hours - last),
    ),
    st.integers(-10, 30_000),
    st.none() | st.integers(-30, 30),
    st.none() | st.integers(-5, 300),
)
windows = st.none() | st.integers(1, 400).map(lambda hours: timedelta(hours=hours))
zones = st.sampled_from(ZONES)


def survivors(found: RetentionPlan) -> list[Row]:
    return [decision.row for decision in found.kept]


def check(rows: list[Row], found: RetentionPlan, now: datetime, window: timedelta | None) -> None:
    """Everything that must hold of any plan."""
    kept = {row.key: row for row in survivors(found)}
    gone = [decision.row for decision in found.expired]
    assert sorted([*kept, *(row.key for row in gone)]) == sorted(row.key for row in rows)
    assert all(decision.reasons for decision in found.decisions)
    for row in gone:
        assert not row.hold
        assert row.in_use is None
        assert row.tier in {*TIERS[:-1], None}
    if rows and max(max(row.taken_at, row.finished_at) for row in rows) > now:
        assert found.refusal is not None
    if found.refusal is not None:
        assert gone == []
    chains = Chains(rows)
    usable = [row for row in rows if chains.unusable(row) is None]
    check_chains(rows, kept, gone, chains)
    check_proven(usable, set(kept))
    physical = [row for row in usable if row.wal is not None]
    if window is None or not physical:
        assert found.wal.everything
    else:
        check_window(physical, kept, found, found.as_of - window)
    for row in kept.values():
        if row.wal is not None:
            for segment in (row.wal.start, row.wal.stop, f"00000003{row.wal.start[8:]}"):
                assert found.wal.needs(segment, row.wal.system)


def check_chains(rows: list[Row], kept: dict[str, Row], gone: list[Row], chains: Chains) -> None:
    """Parents of what stays stay, and dependants go first."""
    there = {row.key for row in rows}
    for row in kept.values():
        assert row.parent_key is None or row.parent_key not in there or row.parent_key in kept
    seen: set[str] = set()
    for row in gone:
        seen.add(row.key)
        on_top = [other for other in gone if other.parent_key == row.key]
        assert all(other.key in seen for other in on_top) or "needs itself" in in_circle(row, chains)


def in_circle(row: Row, chains: Chains) -> str:
    """What the chain says of a backup; only in a circle no order is right."""
    return "needs itself" if row.parent_key is not None and chains.unusable(row) is not None else ""


def check_proven(usable: list[Row], kept: set[str]) -> None:
    """The newest good one stays, and so do the last that are proven, by kind and level."""
    for kind in {row.kind for row in usable}:
        good = [row for row in usable if row.kind == kind]
        groups = [good]
        for level in (ProofLevel.RESTORED, ProofLevel.IDENTICAL, ProofLevel.VALIDATED):
            groups.append([row for row in good if row.level.rank >= level.rank])
            groups.append([row for row in good if row.best.rank >= level.rank])
        for group in filter(None, groups):
            last = max(row.taken_at for row in group)
            assert any(row.key in kept for row in group if row.taken_at == last)


def check_window(physical: list[Row], kept: dict[str, Row], found: RetentionPlan, begin: datetime) -> None:
    """A base that was complete before the window begins (or else the oldest there is), and the whole log since."""
    old = [row for row in physical if row.finished_at <= begin]
    expected = max(old, key=lambda row: (row.finished_at, row.key)) if old else min(
        physical, key=lambda row: (row.finished_at, row.key)
    )  # fmt: skip
    assert expected.key in kept
    assert expected.wal is not None
    assert found.wal.needs(expected.wal.start, expected.wal.system)
    assert found.wal.needs(f"00000009{'F' * 16}", expected.wal.system)
    for row in physical:
        if row.finished_at >= expected.finished_at and row.key in kept and row.wal is not None:
            assert found.wal.needs(f"00000001{row.wal.stop[8:]}", row.wal.system)


@pytest.mark.demand("R3")
@settings(max_examples=150)
@given(histories(), policies, clocks, windows, zones)
def test_nothing_goes_that_must_stay(
    rows: list[Row], keep: dict[str, Keep], clock: Clock, window: timedelta | None, zone: str
) -> None:
    found = plan(rows, keep, zone=zone, clock=clock, window=window)
    check(rows, found, clock.now, window)


@pytest.mark.parametrize("sparse", [False, True])
def test_planning_again_changes_nothing(sparse: bool) -> None:
    @settings(max_examples=75)
    @given(histories(sparse=sparse), policies, clocks, windows, zones)
    def again(
        rows: list[Row], keep: dict[str, Keep], clock: Clock, window: timedelta | None, zone: str
    ) -> None:
        first = plan(rows, keep, zone=zone, clock=clock, window=window)
        second = plan(survivors(first), keep, zone=zone, clock=clock, window=window)
        assert second.expired == ()
        assert survivors(second) == survivors(first)
        assert second.wal == first.wal
        # Also when a run was interrupted: what is left of the plan is the plan of what is left.
        half = first.expired[len(first.expired) // 2 :]
        left = [*survivors(first), *(decision.row for decision in half)]
        assert {d.row.key for d in plan(left, keep, zone=zone, clock=clock, window=window).expired} <= {
            d.row.key for d in half
        }

    again()


@settings(max_examples=75)
@given(histories(), policies, st.sampled_from(TIERS[:-1]), keeps, st.integers(0, 5000), windows, zones)
def test_a_longer_rule_keeps_no_less(
    rows: list[Row], keep: dict[str, Keep], tier: str, more: Keep, hours: int, window: timedelta | None, zone: str
) -> None:
    clock = Clock(BEGIN + timedelta(hours=hours))
    less = keep[tier]
    longer = Keep(
        newest=max(less.newest, more.newest),
        every=max(filter(None, (less.every, more.every)), default=None),
        **{line: max(getattr(less, line), getattr(more, line)) for line in ("days", "weeks", "months", "years")},
    )
    before = {row.key for row in survivors(plan(rows, keep, zone=zone, clock=clock, window=window))}
    after = {row.key for row in survivors(plan(rows, keep | {tier: longer}, zone=zone, clock=clock, window=window))}
    assert before <= after


@settings(max_examples=75)
@given(histories(), policies, st.integers(0, 5000), windows, zones, st.data())
def test_a_hold_or_a_reader_keeps_no_less(
    rows: list[Row], keep: dict[str, Keep], hours: int, window: timedelta | None, zone: str, data: st.DataObject
) -> None:
    clock = Clock(BEGIN + timedelta(hours=hours))
    held = [
        replace(row, hold=True) if data.draw(st.booleans()) else replace(row, in_use=row.in_use or "a restore")
        for row in rows
        if data.draw(st.booleans())
    ]
    others = [row for row in rows if row.key not in {each.key for each in held}]
    before = {row.key for row in survivors(plan(rows, keep, zone=zone, clock=clock, window=window))}
    after = {row.key for row in survivors(plan([*others, *held], keep, zone=zone, clock=clock, window=window))}
    assert before | {row.key for row in held} <= after


@settings(max_examples=75)
@given(histories(physical=False, sparse=True), policies, st.integers(0, 20_000), st.integers(0, 9000), zones)
def test_as_time_passes_nothing_comes_back(
    rows: list[Row], keep: dict[str, Keep], hours: int, later: int, zone: str
) -> None:
    """What would go today would go tomorrow too, when nothing new comes (the window's base, which moves, apart)."""
    newest = max((max(row.taken_at, row.finished_at) for row in rows), default=BEGIN)
    now = newest + timedelta(hours=hours)
    early = {row.key for row in survivors(plan(rows, keep, zone=zone, clock=Clock(now)))}
    late = {
        row.key for row in survivors(plan(rows, keep, zone=zone, clock=Clock(now + timedelta(hours=later))))
    }
    assert late <= early


@settings(max_examples=40)
@given(histories(sparse=True), policies, st.lists(st.integers(1, 400), max_size=12), windows, zones)
def test_a_life_of_daily_runs(
    rows: list[Row], keep: dict[str, Keep], pauses: list[int], window: timedelta | None, zone: str
) -> None:
    """Backups come, retention runs, time passes: what must stay stays all along."""
    coming = sorted(rows, key=lambda row: row.taken_at)
    there: list[Row] = []
    now = BEGIN
    for pause in [*pauses, 20_000]:
        now += timedelta(hours=pause)
        there += [row for row in coming if row.finished_at <= now]
        coming = [row for row in coming if row.finished_at > now]
        found = plan(there, keep, zone=zone, clock=Clock(now), window=window)
        check(there, found, now, window)
        there = survivors(found)
