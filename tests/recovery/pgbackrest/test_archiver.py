"""Is archiving failing, since when, and when is the disk full?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from include.recovery.pgbackrest.archiver import ArchiverState, judge_archiver
from include.recovery.pgbackrest.segments import SEGMENT_BYTES
from tests.recovery.pgbackrest.conftest import START, name

MINUTE = timedelta(minutes=1)
HEALTHY = ArchiverState(
    at=START, archived_count=9, last_archived=name(9), last_archived_at=START - MINUTE, failed_count=0,
    last_failed=None, last_failed_at=None, waiting=0, waiting_since=None,
    wal_bytes=5 * SEGMENT_BYTES, free_bytes=1024**3,
    position=10 * SEGMENT_BYTES, segment_bytes=SEGMENT_BYTES,
)
FAILING = replace(
    HEALTHY, last_archived_at=START - 12 * MINUTE, last_failed=name(10), last_failed_at=START - timedelta(seconds=5),
    failed_count=40, waiting=60, waiting_since=START - 10 * MINUTE, position=70 * SEGMENT_BYTES,
)


def test_all_is_well() -> None:
    assert judge_archiver(HEALTHY, allowance=MINUTE).problems == ()


def test_ten_minutes_of_failures_are_named_with_the_time_that_is_left() -> None:
    verdict = judge_archiver(FAILING, allowance=MINUTE, queue_max=1024**3)
    assert verdict.failing_for == 10 * MINUTE
    failing, queue, disk = verdict.problems
    assert failing.startswith(f"archive_command has been failing for 10 min, last at {name(10)}: 60 segments wait")
    assert queue.startswith("960 MiB of WAL wait to be archived; beyond 1,024 MiB pgBackRest drops WAL")
    assert disk.startswith("the disk of pg_wal will be full in 12 min")


def test_a_failure_that_is_over_is_none() -> None:
    over = replace(FAILING, last_archived_at=START, waiting=0, waiting_since=None)
    assert over.failing_since is None
    assert judge_archiver(over, allowance=MINUTE).problems == ()


def test_a_command_that_has_never_worked_fails_since_the_first_segment_waits() -> None:
    never = replace(FAILING, last_archived=None, last_archived_at=None)
    assert never.failing_since == START - 10 * MINUTE
    assert never.bytes_per_second is None


def test_a_command_that_hangs_is_late_though_it_never_failed() -> None:
    hanging = replace(FAILING, last_failed=None, last_failed_at=None, failed_count=0)
    verdict = judge_archiver(hanging, allowance=MINUTE)
    assert verdict.failing_for is None
    assert verdict.problems[0].startswith("the oldest of 60 finished WAL segments has waited 10 min")


def test_an_earlier_look_gives_the_better_rate() -> None:
    earlier = replace(FAILING, at=START - MINUTE, position=FAILING.position - 1024**2)  # type: ignore[operator]
    verdict = judge_archiver(FAILING, allowance=MINUTE, earlier=earlier, disk_margin=timedelta(hours=1))
    assert verdict.disk_full_in is not None
    assert timedelta(hours=17) < verdict.disk_full_in < timedelta(hours=18)
    assert not [problem for problem in verdict.problems if "disk" in problem]


def test_a_moments_burst_is_no_forecast() -> None:
    assert replace(FAILING, last_archived_at=START - timedelta(seconds=2)).bytes_per_second is None
