from __future__ import annotations

import pytest

from include.recovery.content.port import EVERYTHING, Selection
from include.recovery.objects.history import Row
from include.recovery.objects.listing import Version
from include.recovery.objects.states import prefixes, state


@pytest.mark.parametrize(
    ("prefix", "wanted", "found"),
    [
        ("", (), [""]),
        ("up/", (), ["up/"]),
        ("up/", ("up/b", "up/a", "up/ab", "other/"), ["up/a", "up/b"]),
        ("up/", ("u", "up/a"), ["up/"]),
        ("", ("b", "a/x", "a/"), ["a/", "b"]),
    ],
)
def test_no_two_listings_have_a_key_in_common(prefix: str, wanted: tuple[str, ...], found: list[str]) -> None:
    assert prefixes(prefix, Selection(wanted) if wanted else EVERYTHING) == found


def test_a_key_is_live_when_a_version_is_on_top() -> None:
    top, below = Version("k", "v2", 2, 1, "e"), Version("k", "v1", 1, 1, "e")
    marker = Version("k", "m", 3, 0, "", marker=True)
    known = [Row.of(top, digest="d"), Row.of(below)]

    assert state("k", [top, below], known).live == known[0]
    assert state("k", [marker, top, below], known).live is None
    assert state("k", [], known).live is None
    assert state("k", [below], known).live == known[1], "a version that was deleted for good is not current"


def test_one_key_can_be_chosen_beside_its_namesakes() -> None:
    assert Selection(("a",), exact=True).wants("a")
    assert not Selection(("a",), exact=True).wants("a/b")
    assert Selection(("a",)).wants("a/b")
    assert Selection(exact=True).wants("anything")
