"""The exchange of two clusters by renames, and its way back, from whatever an earlier try has left."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.recovery.errors import LeaseHeld, Refused
from include.recovery.replacement.found import directory_id
from include.recovery.replacement.place import PLACED, RECOVERED, Place

AT = datetime(2026, 11, 21, 16, 5, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An old cluster with one file, and a new one that has recovered."""
    place = Place.of(tmp_path / "main", AT)
    place.data.mkdir()
    (place.data / "old").touch()
    place.new.mkdir(parents=True)
    (place.new / "new").touch()
    place.mark(RECOVERED, directory_id=directory_id(place.new))
    return place


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_the_names_follow_from_the_plan(place: Place) -> None:
    assert place.work.name == "main.lifeboat-20261121t160500z"
    assert place.aside.name == "main.before-20261121t160500z"


def test_the_new_one_takes_the_place_and_the_old_one_is_kept_twice_asked_the_same(place: Place) -> None:
    old = directory_id(place.data)
    place.exchange(old)
    place.exchange(old)
    assert (names(place.data), names(place.aside)) == (["new"], ["old"])
    assert place.in_place
    assert place.kept == place.aside


def test_between_the_renames_it_goes_on(place: Place) -> None:
    old = directory_id(place.data)
    place.data.rename(place.aside)
    place.exchange(old)
    assert (names(place.data), names(place.aside)) == (["new"], ["old"])


def test_a_cluster_that_is_gone_leaves_nothing_to_keep(place: Place) -> None:
    (place.data / "old").unlink()
    place.data.rmdir()
    place.exchange("")
    assert names(place.data) == ["new"]
    assert place.kept is None


def test_what_was_not_approved_is_never_moved(place: Place) -> None:
    with pytest.raises(Refused, match="another directory than the one that was approved"):
        place.exchange("")
    place.aside.mkdir()
    with pytest.raises(Refused, match="exists already"):
        place.exchange(directory_id(place.data))
    assert names(place.data) == ["old"]


def test_nothing_is_exchanged_before_it_has_recovered(tmp_path: Path) -> None:
    place = Place.of(tmp_path / "main", AT)
    place.data.mkdir()
    with pytest.raises(Refused, match="no cluster has recovered"):
        place.exchange(directory_id(place.data))


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_the_way_back_from_every_state(place: Place, moved: int) -> None:
    old = directory_id(place.data)
    if moved:
        place.data.rename(place.aside)
    if moved == 2:
        place.new.rename(place.data)
    assert place.exchange_back() is bool(moved)
    assert place.exchange_back() is False
    assert directory_id(place.data) == old
    assert (names(place.data), names(place.new)) == (["old"], ["new"])


def test_marks_stay_and_one_works_at_a_time(place: Place) -> None:
    place.mark(PLACED, by="me")
    again = Place.of(place.data, AT)
    assert again.done(PLACED) == {"by": "me"}
    with place.locked(), pytest.raises(LeaseHeld, match="another process is replacing"), again.locked():
        raise AssertionError
    with again.locked():
        assert again.done(RECOVERED)


def test_room_is_asked_for_before_anything_is_copied(tmp_path: Path) -> None:
    place = Place.of(tmp_path / "main", AT)
    place.require_room(1024)
    with pytest.raises(Refused, match="make room: older safety copies are there as main.before-"):
        place.require_room(10**18)
    place.aside.mkdir()
    with pytest.raises(Refused, match="cannot be kept there"):
        place.require_room(1024)
