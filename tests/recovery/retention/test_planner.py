"""Each rule of retention by an example, with its reason in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from include.recovery.catalog.model import ProofLevel
from include.recovery.policy.models import Keep
from include.recovery.retention.model import Clock, RetentionPlan, Row, WalSpan
from include.recovery.retention.planner import in_words, plan
from include.recovery.retention.wal import fulls_with_log
from tests.recovery.retention.conftest import NOW, backup

BERLIN = "Europe/Berlin"


def planned(rows, keep=None, *, now=NOW, zone=BERLIN, window=None, **clock) -> RetentionPlan:
    keeps = keep if isinstance(keep, dict) else {"daily": keep or Keep(newest=1)}
    return plan(rows, keeps, zone=zone, clock=Clock(now, **clock), window=window)


def kept(found: RetentionPlan) -> list[str]:
    return [decision.row.id for decision in found.kept]


def why(found: RetentionPlan, row: Row) -> str:
    return next(decision.why for decision in found.decisions if decision.row is row)


def test_the_newest_by_number(daily):
    rows = daily(9)
    found = planned(rows, Keep(newest=7))
    assert kept(found) == [row.id for row in rows[:7]]
    assert "number 7 of the newest 7 of daily" in why(found, rows[6])
    assert why(found, rows[8]) == "no line of daily wants it (newest 7)"


def test_the_newest_of_each_period_and_the_running_one_for_free(daily):
    rows = daily(40)
    found = planned(rows, Keep(days=3, weeks=2, months=1))
    days = [decision.row.taken_at.date().isoformat() for decision in found.kept]
    # 2026-11-21 is a Saturday: today, three days, Sundays 15 and 8, and the last of October.
    assert days == ["2026-11-21", "2026-11-20", "2026-11-19", "2026-11-18", "2026-11-15", "2026-11-08", "2026-10-31"]
    assert "newest of the running month 2026-11 (daily)" in why(found, rows[0])
    assert "newest of week 2026-W45 (daily)" in why(found, rows[13])


def test_every_backup_that_is_younger(daily):
    rows = daily(9)
    found = planned(rows, Keep(every=timedelta(days=3)))
    assert kept(found) == [row.id for row in rows[:3]]
    assert "younger than 3d (daily)" in why(found, rows[2])


def test_years_and_a_rule_in_words(daily):
    rows = [backup(datetime(year, 6, 1, tzinfo=UTC)) for year in (2026, 2025, 2024, 2023)]
    assert len(planned(rows, Keep(years=2), now=datetime(2026, 6, 2, tzinfo=UTC)).kept) == 3
    assert in_words(Keep(newest=3, every=timedelta(days=2), days=1, years=7)) == (
        "newest 3, younger than 2d, 1 day, 7 years"
    )


@pytest.mark.parametrize(
    ("first", "second", "same_day"),
    [
        # Clocks went back on 2026-10-25 at 03:00 in Berlin: 02:30 came twice, an hour apart.
        ("2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00", True),
        # The day had 25 hours; its last one is still that day.
        ("2026-10-24T22:00:00+00:00", "2026-10-25T22:59:00+00:00", True),
        ("2026-10-25T22:59:00+00:00", "2026-10-25T23:00:00+00:00", False),
        # Clocks went forward on 2026-03-29: the day had 23 hours.
        ("2026-03-28T23:00:00+00:00", "2026-03-29T21:59:00+00:00", True),
        ("2026-03-29T21:59:00+00:00", "2026-03-29T22:00:00+00:00", False),
    ],
)
def test_days_are_the_systems_own_at_both_clock_changes(first, second, same_day):
    rows = [backup(datetime.fromisoformat(first)), backup(datetime.fromisoformat(second))]
    now = rows[1].taken_at + timedelta(days=2)
    found = planned(rows, Keep(days=5), now=now)
    assert kept(found) == [rows[1].id] if same_day else [rows[1].id, rows[0].id]
    local = {row.taken_at.astimezone(ZoneInfo(BERLIN)).date() for row in rows}
    assert (len(local) == 1) is same_day


def test_parents_stay_and_dependants_go_first(daily):
    full = backup(NOW - timedelta(days=8), id="full", kind="pgbackrest", tier="weekly")
    diff = backup(NOW - timedelta(days=6), id="diff", kind="pgbackrest", tier="daily", parent="full")
    incr = backup(NOW - timedelta(days=5), id="incr", kind="pgbackrest", tier="daily", parent="diff")
    new = backup(NOW - timedelta(days=1), id="new", kind="pgbackrest", tier="weekly")
    keeps = {"weekly": Keep(newest=1), "daily": Keep(newest=1)}
    found = planned([full, diff, incr, new], keeps)
    assert kept(found) == ["new", "incr", "diff", "full"]
    assert why(found, full) == "diff needs it"
    assert why(found, diff) == "incr needs it"
    other = backup(NOW - timedelta(hours=9), id="other", kind="pgbackrest", tier="daily", parent="new")
    found = planned([full, diff, incr, new, other], keeps)
    assert [decision.row.id for decision in found.expired] == ["incr", "diff", "full"]


def test_damaged_backups_take_no_place_and_protect_nothing(daily):
    rows = daily(4)
    damaged = backup(NOW - timedelta(hours=1), damaged=True)
    found = planned([damaged, *rows], Keep(newest=2))
    assert kept(found) == [damaged.id, rows[0].id, rows[1].id]
    assert "the newest good backup of kind postgres" in why(found, rows[0])
    orphan = backup(NOW - timedelta(days=3), parent="gone", id="orphan")
    found = planned([*rows, orphan], Keep(newest=1))
    assert "cannot be used: postgres/gone, which it needs, is gone" in why(found, orphan)


def test_what_needs_itself_is_not_good():
    first = backup(NOW - timedelta(days=1), id="a", parent="b")
    second = backup(NOW - timedelta(days=2), id="b", parent="a")
    good = backup(NOW - timedelta(days=3), id="c")
    found = planned([first, second, good], Keep(newest=1))
    assert "the newest good backup" in why(found, good)
    assert kept(found) == ["a", "b", "c"]


def test_the_last_proven_stays_here_and_anywhere(daily):
    rows = daily(9)
    rows[4] = backup(rows[4].taken_at, level=ProofLevel.STORED, best=ProofLevel.IDENTICAL)
    rows[5] = backup(rows[5].taken_at, level=ProofLevel.IDENTICAL, best=ProofLevel.IDENTICAL)
    rows[6] = backup(rows[6].taken_at, level=ProofLevel.VALIDATED, best=ProofLevel.VALIDATED)
    rows[7] = backup(rows[7].taken_at, level=ProofLevel.VALIDATED, best=ProofLevel.VALIDATED)
    found = planned(rows)
    assert kept(found) == [rows[n].id for n in (0, 4, 5, 6)]
    assert "proven identical in any store" in why(found, rows[4])
    assert "the newest that is proven validated" in why(found, rows[6])


def test_held_read_and_taken_by_hand(daily):
    rows = daily(40)
    rows[10] = backup(rows[10].taken_at, hold=True)
    rows[11] = backup(rows[11].taken_at, in_use="drill 7")
    rows[12] = backup(rows[12].taken_at, tier=None)
    rows[35] = backup(rows[35].taken_at, tier=None)
    found = planned(rows)
    assert kept(found) == [rows[n].id for n in (0, 10, 11, 12)]
    assert why(found, rows[11]) == "being read by drill 7"
    assert why(found, rows[35]) == "taken by hand more than 30 days ago, without a hold"


def test_tiers_that_the_policy_no_longer_has_are_kept_and_named(daily):
    rows = daily(3, tier="hourly")
    found = planned(rows)
    assert len(found.kept) == 3
    assert found.notes == (
        "3 backups of tier hourly, which the policy does not have any more, stay until it does again or somebody "
        "removes them",
    )


@pytest.mark.parametrize(
    ("clock", "words"),
    [
        ({"now": NOW - timedelta(days=1)}, "the clock is behind now, or was ahead then"),
        ({"last_run": NOW + timedelta(minutes=1)}, "the clock went back"),
        ({"store_now": NOW + timedelta(hours=1)}, "the store says 2026-11-21 09:00:00 CET"),
        ({"last_run": NOW - timedelta(days=9)}, "retention last ran 9 d ago"),
    ],
)
def test_a_clock_that_cannot_be_believed_costs_nothing(daily, clock, words):
    rows = daily(9)
    found = planned(rows, **clock)
    assert found.expired == ()
    assert found.refusal is not None
    assert words in found.refusal
    assert len(planned(rows, store_now=NOW, last_run=NOW - timedelta(days=1)).expired) == 8


def test_ages_stand_still_while_no_backup_comes(daily):
    rows = daily(20)
    later = NOW + timedelta(days=3650)
    found = planned(rows, Keep(every=timedelta(days=20)), now=later)
    assert len(found.kept) == 12
    assert "no good backup has come for more than 8 days" in found.notes[0]


def test_moments_need_a_time_zone(daily):
    with pytest.raises(ValueError, match="time zone"):
        planned(daily(1), now=datetime(2026, 11, 21))  # noqa: DTZ001
    with pytest.raises(ValueError, match="same backup"):
        planned(daily(1) * 2)


def physical(days: float, start: int, **facts) -> Row:
    at = NOW - timedelta(days=days)
    span = WalSpan(f"00000001000000000000{start:04X}", f"00000001000000000000{start + 1:04X}", "7")
    return backup(at, kind="pgbackrest", tier="full", wal=span, **facts)


@pytest.mark.demand("R3")
def test_the_window_keeps_its_base_the_next_base_and_its_log():
    rows = [physical(days, 1000 - 10 * int(days)) for days in (0.5, 1, 2, 3, 4, 5, 6, 30)]
    held = physical(60, 5, hold=True)
    found = planned([*rows, held], {"full": Keep(newest=1)}, window=timedelta(hours=72))
    assert kept(found) == [rows[0].id, rows[3].id, rows[4].id, held.id]
    assert "the point-in-time window of 3d stands on it" in why(found, rows[4])
    assert "next base of the point-in-time window" in why(found, rows[3])
    (log,) = found.wal.continuous
    assert (log.backup, log.segment) == (rows[4].key, rows[4].wal.start)
    assert found.wal.needs(rows[4].wal.start, "7")
    assert found.wal.needs("00000002000000000000FFFF", "7")
    assert found.wal.needs(held.wal.start, "7")
    assert not found.wal.needs(rows[5].wal.start, "7")
    assert found.wal.needs(rows[5].wal.start, "another cluster")


def test_the_log_does_not_grow_for_ever_with_a_short_tier():
    """One full a day and ``newest: 1``: the base moves on, at most two windows behind."""
    rows: list[Row] = []
    window = timedelta(hours=72)
    for day in range(30):
        now = NOW + timedelta(days=day, hours=1)
        rows.append(backup(now - timedelta(hours=1), kind="pgbackrest", tier="full", wal=physical(0, 10 + day).wal))
        found = planned(rows, {"full": Keep(newest=1)}, now=now, window=window)
        rows = [decision.row for decision in found.kept]
        (log,) = found.wal.continuous
        assert now - log.since <= 2 * window + timedelta(days=1)
        if day >= 4:
            assert now - log.since >= window
    assert len(rows) <= 4


def test_without_a_window_or_a_base_the_whole_log_stays():
    row = physical(5, 5)
    assert planned([row], {"full": Keep()}).wal.needs("000000010000000000000001", "7")
    assert planned([], {"full": Keep()}, window=timedelta(days=3)).wal.everything


def test_the_log_stays_since_the_full_backup_of_the_base():
    full = physical(9, 100, id="full")
    base = physical(4, 200, id="base", parent="full")
    found = planned([full, base, physical(1, 300, id="new")], {"full": Keep()}, window=timedelta(days=3))
    (log,) = found.wal.continuous
    assert (log.backup, log.full) == (base.key, full.key)
    labels = ["20261101-020000F", "20261112-020000F", "20261119-020000F"]
    assert fulls_with_log(labels, "20261112-020000F") == 2
    assert fulls_with_log(labels, "20261105-020000F") is None


def test_a_new_cluster_has_a_log_of_its_own():
    old = physical(4, 900)
    new = backup(NOW - timedelta(days=1), kind="pgbackrest", tier="full",
                 wal=WalSpan("000000010000000000000003", "000000010000000000000004", "8"))  # fmt: skip
    found = planned([old, new], {"full": Keep()}, window=timedelta(days=3))
    assert {(log.system, log.backup) for log in found.wal.continuous} == {("7", old.key), ("8", new.key)}
    assert found.wal.needs("000000010000000000000005", "8")
    assert not found.wal.needs("000000010000000000000002", "8")
