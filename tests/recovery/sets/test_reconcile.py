"""Keys of a database against objects: hypothesis plants what only one side has, and just that is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.content.model import Item
from include.recovery.errors import LifeboatError
from include.recovery.sets.reconcile import NAMED, Reconciled, mismatches

KEYS = st.sets(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), max_size=60)


def in_order(keys: set[str]) -> list[str]:
    return sorted(keys, key=str.encode)


@given(named=KEYS, held=KEYS)
def test_just_what_only_one_side_has(named: set[str], held: set[str]) -> None:
    found = Reconciled()
    seen = list(mismatches(in_order(named), [Item(key, "x") for key in in_order(held)], found))
    assert {each.key for each in seen if each.what == "missing"} == named - held
    assert {each.key for each in seen if each.what == "orphaned"} == held - named
    assert [each.key for each in seen] == in_order(named ^ held)
    assert (found.named, found.held) == (len(named), len(held))
    assert found.counts == {"missing": len(named - held), "orphaned": len(held - named)}
    assert found.whole == (not named - held)


def test_one_of_each_is_named() -> None:
    found = Reconciled()
    list(mismatches(["a.png", "b.png"], [Item("b.png", "x"), Item("c.png", "x")], found))
    assert found.sentence == (
        "the database names 2 objects, 2 are there; 1 missing (a.png); 1 orphaned (c.png)"
    )
    assert not found.whole
    found.fetched["a.png"] = "version 7"
    assert found.whole


def test_a_key_that_several_rows_name_counts_once() -> None:
    found = Reconciled()
    assert list(mismatches(["a", "a", "a"], [Item("a", "x")], found)) == []
    assert found.named == 1


def test_many_are_counted_and_the_first_are_named() -> None:
    found = Reconciled()
    keys = [f"k{number:05d}" for number in range(5 * NAMED)]
    assert len(list(mismatches(keys, [], found))) == 5 * NAMED
    assert len(found.missing) == NAMED
    assert found.sentence.endswith(f"{5 * NAMED} missing (k00000, k00001, k00002 and {5 * NAMED - 3} more)")


def test_keys_out_of_order_are_refused_and_never_taken_for_missing() -> None:
    with pytest.raises(LifeboatError, match="must come in order"):
        list(mismatches(["b", "a"], [], Reconciled()))
