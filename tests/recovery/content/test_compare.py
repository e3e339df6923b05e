"""Comparing finds exactly what was changed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from include.recovery.content.compare import NAMED, changes, compare, shown
from include.recovery.content.model import Item
from include.recovery.fingerprint.model import NotCompared

names = st.binary(min_size=1, max_size=6).map(lambda name: name.decode("utf-8", "surrogateescape"))
What = st.sampled_from(["same", "content", "size", "missing", "unexpected"])


def ordered(items: list[Item]) -> list[Item]:
    return sorted(items, key=lambda item: item.order)


@given(st.dictionaries(names, What, max_size=40))
def test_exactly_the_planted_changes_are_found(planted: dict[str, str]) -> None:
    left, right = [], []
    for name, what in planted.items():
        item = Item(name, "digest", 7)
        if what != "unexpected":
            left.append(item)
        if what == "content":
            item = replace(item, digest="other")
        if what == "size":
            item = replace(item, size=8)
        if what != "missing":
            right.append(item)
    found = list(changes(ordered(left), ordered(right)))
    expected = {name: "content" if what == "size" else what for name, what in planted.items() if what != "same"}
    assert {change.name: change.how for change in found} == expected
    assert [change.name for change in found] == [item.name for item in ordered([Item(name, "") for name in expected])]
    verdict = compare(ordered(left), ordered(right), unit="file")
    assert verdict.identical is (not expected)
    assert len(verdict.differences) == len(expected)
    assert verdict.compared_rows == len(left)


def test_where_it_is_found_is_not_compared() -> None:
    assert compare([Item("a", "1", 2, "v1")], [Item("a", "1", 2, "v2")]).identical


def test_a_hundred_are_named_and_all_are_counted() -> None:
    many = ordered([Item(f"{number:04}", "x") for number in range(NAMED + 50)])
    verdict = compare(many, [], unit="file")
    assert not verdict.identical
    assert len(verdict.differences) == NAMED + 1
    assert verdict.differences[-1].message == "50 more: missing"


def test_the_sentences_tell_what_is_wrong() -> None:
    left = [Item("/a", "1", 5), Item("/b", "1", 5), Item("/c", "1", 5)]
    right = [Item("/a", "2", 5), Item("/b", "2", 6), Item("/d", "1")]
    assert [difference.message for difference in compare(left, right).differences] == [
        "/a is not what was backed up, and has the same 5 bytes",
        "/b has 6 bytes, and had 5",
        "/c is missing",
        "/d is there, and was not backed up",
    ]


def test_names_that_are_no_text_can_be_told_of() -> None:
    name = b"/\xff\n".decode("utf-8", "surrogateescape")
    (difference,) = compare([Item(name, "1")], []).differences
    assert difference.object == "'/\\udcff\\n'"
    assert shown("/ü") == "/ü"
    difference.message.encode()


def test_what_is_not_compared_is_passed_on() -> None:
    verdict = compare([], [], not_compared=[NotCompared(object="owners", why="no root")])
    assert verdict.identical
    assert verdict.not_compared == (NotCompared(object="owners", why="no root"),)
