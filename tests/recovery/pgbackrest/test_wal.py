"""Holes, duplicates, empty segments, timelines; and what only looks like trouble."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from include.recovery.pgbackrest.segments import (
    Lineage,
    Segment,
    Switch,
    lsn_of,
    position_of,
    segment_of_name,
    switches_of,
)
from include.recovery.pgbackrest.wal import Archive, Span, Trouble, examine, lineage_of, needed_by, parse_listing, reach
from tests.recovery.pgbackrest.conftest import (
    FULL,
    OTHER_SHA,
    START,
    archive,
    backup_json,
    info,
    name,
    stored,
)

MIB16 = 16 * 1024 * 1024
HISTORY = "1\t0/5000160\tno recovery target specified\n"


def all_since(number: int = 1) -> list[Span]:
    return [Span("the window", Segment(1, number))]


def troubles(
    found: Archive, needed: list[Span] | None = None, histories: dict[int, str] | None = None
) -> list[Trouble]:
    lineage = lineage_of(found, histories or {})
    needed = all_since() if needed is None else needed
    return [finding.trouble for finding in examine(found, lineage, needed, histories)]


def test_a_whole_archive_has_no_findings() -> None:
    assert troubles(archive(range(1, 600))) == []


def test_missing_segments_are_named_as_one_run_with_what_needs_them() -> None:
    found = archive([1, 2, 5, 6])
    (finding,) = examine(found, Lineage(1), [*all_since(), Span("backup B", Segment(1, 2), Segment(1, 5))])
    assert (finding.trouble, finding.segments) == (Trouble.MISSING, (name(3), name(4)))
    assert f"WAL segments {name(3)} to {name(4)} (2) are missing, needed by the window, backup B" in finding.sentence
    assert "nothing after LSN 0/3000000" in finding.sentence


def test_a_gap_that_retention_left_is_none() -> None:
    needed = [Span("backup A", Segment(1, 1), Segment(1, 2)), Span("the window", Segment(1, 7))]
    assert troubles(archive([1, 2, 7, 8, 9]), needed) == []


def test_an_empty_segment_is_found_and_ends_recovery() -> None:
    found = archive([1, 2, 4], stored(name(3), size=0))
    assert troubles(found) == [Trouble.EMPTY]
    assert reach(found, Lineage(1), Segment(1, 1)).stopped_by == Segment(1, 3)
    assert reach(found, Lineage(1), Segment(1, 1)).last == Segment(1, 2)


def test_two_equal_copies_are_normal_and_two_different_ones_are_not() -> None:
    twin = stored(name(2))
    compressed_otherwise = stored(name(2)).path.replace(".zst", ".gz")
    assert troubles(archive([1, 2, 3], twin)) == []
    assert troubles(archive([1, 2, 3], type(twin)(compressed_otherwise, 800, START))) == []
    found = archive([1, 2, 3], stored(name(2), sha1=OTHER_SHA))
    assert troubles(found) == [Trouble.DUPLICATE]
    assert reach(found, Lineage(1), Segment(1, 1)).last == Segment(1, 1)


def test_a_promotion_with_its_partial_is_normal() -> None:
    files = [stored(name(number, 2), minute=number) for number in range(5, 8)]
    found = archive(range(1, 5), *files, stored(name(5), partial=True), type(files[0])("00000002.history", 41, START))
    assert troubles(found, histories={2: HISTORY}) == []
    lineage = lineage_of(found, {2: HISTORY})
    assert lineage == Lineage(2, (Switch(1, position_of("0/5000160")),))
    assert reach(found, lineage, Segment(1, 1)).last == Segment(2, 7)


def test_what_the_old_primary_archives_after_the_promotion_hides_no_hole() -> None:
    files = [stored(name(number, 2)) for number in (5, 6)]
    history = type(files[0])("00000002.history", 41, START)
    found = archive(range(1, 9), files[1], history)
    assert [(each.trouble, each.segments) for each in examine(found, lineage_of(found, {2: HISTORY}), all_since())] == [
        (Trouble.MISSING, (name(5, 2), name(5, 2)))
    ]


def test_a_timeline_without_its_history_is_found() -> None:
    found = archive(range(1, 5), stored(name(5, 2)))
    assert Trouble.NO_HISTORY in troubles(found)
    with_history = archive(range(1, 5), stored(name(5, 2)), type(stored(name(1)))("00000002.history", 3, START))
    assert troubles(with_history, histories={2: "nonsense"})[0] is Trouble.NO_HISTORY


def test_an_old_backup_needs_its_own_timeline() -> None:
    """A backup made by the old primary after the promotion: its WAL is not in the new timeline's past."""
    new = [stored(name(number, 2)) for number in (5, 6, 7)]
    found = archive([1, 2, 3, 4, 6], *new, type(new[0])("00000002.history", 41, START))
    needed = [Span("backup old", Segment(1, 5), Segment(1, 6))]
    (finding,) = examine(found, lineage_of(found, {2: HISTORY}), needed)
    assert finding.segments == (name(5), name(5))


def test_files_that_do_not_belong_are_named() -> None:
    stray = stored(name(2)).path.replace("0000000100000000/", "0000000100000001/")
    core = "0000000100000000/core"
    found = archive([1, 2], *(type(stored(name(1)))(path, 5, START) for path in (stray, core)))
    assert troubles(found) == [Trouble.UNKNOWN_FILE] * 2


def test_pgbackrests_listing_is_read() -> None:
    listing = (
        '{".":{"type":"path"},"0000000100000000":{"type":"path"},'
        f'"0000000100000000/{name(1)}-{OTHER_SHA}.zst":{{"type":"file","size":1302944,"time":1795268167}},'
        f'"0000000100000000/{name(2)}.00000028.backup":{{"type":"file","size":400,"time":1795268168}},'
        '"00000002.history":{"type":"file","size":48,"time":1795268168}}'
    )
    found = parse_listing(listing, "a")
    assert list(found.segments) == [Segment(1, 1)]
    assert (found.histories, found.unknown, found.stored_bytes) == (frozenset({2}), (), 1302944)


def test_the_window_begins_with_the_newest_backup_before_it() -> None:
    backups = info(*(
        backup_json(f"20261121-07{minute:02}00F", minute=minute, wal=(name(minute), name(minute)))
        for minute in (1, 3, 5)
    )).backups
    spans = needed_by(backups, START + timedelta(minutes=4))
    assert [span.first.number for span in spans] == [1, 3, 5, 3]
    assert spans[-1].last is None
    assert needed_by(backups, START)[-1].first.number == 1, "nothing reaches back so far: as far as there is"
    assert needed_by([], START) == ()
    assert FULL


@given(st.sets(st.integers(1, 60)), st.integers(1, 60))
def test_reach_and_findings_agree(numbers: set[int], first: int) -> None:
    found = archive(numbers)
    reached = reach(found, Lineage(1), Segment(1, first))
    holes = [each for each in examine(found, Lineage(1), all_since(first)) if each.trouble is Trouble.MISSING]
    run = [number for number in range(first, 61) if number in numbers]
    expected = next((n for n in range(first, max(numbers, default=0) + 1) if n not in numbers), None)
    assert (reached.stopped_by is None) == (expected is None) == (holes == [])
    if expected is not None:
        assert reached.stopped_by == Segment(1, expected)
        assert holes[0].segments is not None
        assert holes[0].segments[0] == name(expected)
    elif run:
        assert reached.last == Segment(1, run[-1])


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**40), st.sampled_from([1, 16, 64, 1024]))
def test_names_and_positions_come_back(timeline: int, number: int, mib: int) -> None:
    size = mib * 1024 * 1024
    segment = Segment(timeline, number % (2**64 // size))
    assert segment_of_name(segment.name(size), size) == segment
    assert position_of(lsn_of(segment.start(size))) == segment.start(size)


def test_a_switch_at_a_boundary_belongs_to_the_new_timeline() -> None:
    lineage = Lineage(2, switches_of("1\t0/5000000\tx\n"))
    assert lineage.segment(4) == Segment(1, 4)
    assert lineage.segment(5) == Segment(2, 5)
    assert lineage.has(1, position_of("0/4FFFFFF"))
    assert not lineage.has(1, position_of("0/5000100"))
