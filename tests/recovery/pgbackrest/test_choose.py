"""Which backup reaches a target, and one sentence when none does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.errors import BackupNotFound
from include.recovery.pgbackrest.choose import choose
from include.recovery.pgbackrest.segments import Lineage, Segment, position_of
from include.recovery.pgbackrest.target import Target
from include.recovery.pgbackrest.wal import Archive
from tests.recovery.pgbackrest.conftest import FULL, INCR, START, archive, backup_json, info, name

BACKUPS = (
    backup_json(FULL, minute=2, wal=(name(2), name(2))),
    backup_json(INCR, minute=6, wal=(name(6), name(6)), prior=FULL, reference=[FULL]),
)


def chosen(target: Target, found: Archive, **more: object) -> str:
    return choose(info(*BACKUPS), 1, target, found, Lineage(1), **more).backup.label  # type: ignore[arg-type]


def at(minute: float) -> Target:
    return Target.time(START + timedelta(minutes=minute))


def test_the_newest_backup_before_the_target_is_taken() -> None:
    whole = archive(range(1, 10))
    assert chosen(Target.newest(), whole) == INCR
    assert chosen(at(7), whole) == INCR
    assert chosen(at(5), whole) == FULL
    assert chosen(Target.position("0/5000000"), whole) == FULL
    assert chosen(Target.point("p", lsn="0/5000000"), whole) == FULL
    assert chosen(Target.newest(), whole, label=FULL) == FULL


def test_a_backup_that_ended_within_the_second_is_not_taken_for_one_before_it() -> None:
    """pgBackRest cuts its times off: one that ended at 07:06:00.9 says 07:06:00, and is consistent only then."""
    whole = archive(range(1, 10))
    assert chosen(at(6), whole) == FULL
    assert chosen(Target.time(START + timedelta(minutes=6, seconds=0.99)), whole) == FULL
    assert chosen(Target.time(START + timedelta(minutes=6, seconds=1)), whole) == INCR


@pytest.mark.parametrize(
    ("target", "numbers", "said"),
    [
        (at(1), range(1, 10), f"lies before the end of the first backup, {FULL}, which ended at 2026-11-21 07:02:00"),
        (Target.position("0/1000000"), range(1, 10), "lies before the end of the first backup"),
        (at(60), range(1, 10), "lies after the last archived WAL, which arrived at 2026-11-21 07:09:00"),
        (Target.position("0/F0000000"), range(1, 10), "its WAL ends at LSN 0/A000000"),
        (at(5), [1, 2, 3, 5, 6, 7], f"{FULL}: WAL segment {name(4)} is missing or unfit, and the target lies after it"),
        (Target.position("0/5000100"), [1, 2, 3, 5], f"WAL segment {name(4)} is missing or unfit, and its WAL ends at"),
        (Target.newest(), [3, 4, 5], "cannot even become consistent without it"),
    ],
)
def test_a_target_that_nothing_reaches_says_why(target: Target, numbers: list[int], said: str) -> None:
    with pytest.raises(BackupNotFound) as caught:
        chosen(target, archive(numbers))
    assert said in str(caught.value)


def test_a_backup_without_its_wal_is_skipped_for_an_older_one() -> None:
    found = archive([1, 2, 3, 4, 5])
    choice = choose(info(*BACKUPS), 1, Target.newest(), found, Lineage(1))
    assert choice.backup.label == FULL
    assert choice.reach.last == Segment(1, 5)
    assert choice.skipped[0].startswith(f"{INCR}: ")


def test_a_backup_of_a_dead_timeline_leads_nowhere() -> None:
    old = info(BACKUPS[0] | {"archive": {"start": name(2, 2), "stop": name(2, 2)}})
    with pytest.raises(BackupNotFound, match="made on timeline 2, which is no part of timeline 1's past"):
        choose(old, 1, Target.newest(), archive(range(1, 10)), Lineage(1))


def test_damaged_pages_and_a_broken_chain_are_not_restored() -> None:
    damaged = info(BACKUPS[0], BACKUPS[1] | {"error": True})
    choice = choose(damaged, 1, Target.newest(), archive(range(1, 10)), Lineage(1))
    assert (choice.backup.label, choice.skipped) == (FULL, (f"{INCR}: pages failed their checksum while it was made",))
    with pytest.raises(BackupNotFound, match="which is gone"):
        choose(info(BACKUPS[1]), 1, Target.newest(), archive(range(1, 10)), Lineage(1))


@given(st.sets(st.integers(1, 12)), st.integers(0, 13 * 256))
def test_what_is_chosen_reaches_the_target(numbers: set[int], sixteenths: int) -> None:
    lsn = f"0/{sixteenths << 16:X}"
    found = archive(numbers)
    try:
        choice = choose(info(*BACKUPS), 1, Target.position(lsn), found, Lineage(1))
    except BackupNotFound:
        return
    first, last = int(choice.backup.wal_start[16:], 16), (position_of(lsn) - 1) // (16 << 20)
    assert position_of(choice.backup.lsn_stop) <= position_of(lsn)
    assert set(range(first, last + 1)) <= numbers
