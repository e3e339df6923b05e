"""Each segment is opened once; a damaged one, or one that has changed, at every look."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from include.recovery.pgbackrest.opened import Opened
from include.recovery.pgbackrest.segments import Segment
from tests.recovery.pgbackrest.conftest import archive, name


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return Opened.of(tmp_path / "stanza", 1)


def numbers(segments: list[Segment]) -> list[int]:
    return [segment.number for segment in segments]


def test_what_was_good_is_not_opened_again_and_what_was_not_is(opened: Opened) -> None:
    found = archive(range(1, 6))
    assert numbers(opened.due(found)) == [5, 4, 3, 2, 1]
    opened.remember(found, opened.due(found), {(name(3), name(3))})
    assert numbers(opened.due(found)) == [3]
    later = archive(range(1, 8))
    assert numbers(opened.due(later)) == [7, 6, 3], "newer ones do not hide it"
    opened.remember(later, opened.due(later), {(name(3), name(3))})
    assert numbers(opened.due(later)) == [3]


def test_a_file_that_has_changed_is_opened_again(opened: Opened) -> None:
    found = archive(range(1, 4))
    opened.remember(found, opened.due(found), ())
    segment = sorted(found.segments)[1]
    (file,) = found.segments[segment]
    for changed in (replace(file, size=1), replace(file, modified=file.modified + timedelta(seconds=1))):
        spoiled = replace(found, segments={**found.segments, segment: (changed,)})
        assert numbers(opened.due(spoiled)) == [segment.number]


def test_one_look_opens_so_many_and_the_next_goes_on(opened: Opened) -> None:
    found = archive(range(1, 10))
    seen: list[int] = []
    while due := opened.due(found, 4):
        seen += numbers(due)
        opened.remember(found, due, ())
    assert seen == [9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_what_has_expired_is_forgotten_and_a_spoiled_memory_costs_only_time(opened: Opened) -> None:
    found = archive(range(1, 4))
    opened.remember(found, opened.due(found), ())
    before = len(opened.file.read_text())
    opened.remember(archive(range(3, 4)), (), ())
    assert len(opened.file.read_text()) < before
    opened.file.write_text("[")
    assert numbers(opened.due(found)) == [3, 2, 1]
