"""Inventories: what goes in comes out, in order, and the digest is over all of it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.content.inventory import Tally, line_of, measured, read_items
from include.recovery.content.model import Item
from include.recovery.errors import BackupCorrupt, LifeboatError

names = st.binary(min_size=1, max_size=30).map(lambda name: name.decode("utf-8", "surrogateescape"))
items = st.dictionaries(
    names, st.tuples(st.text("0123456789abcdef", max_size=8), st.integers(0, 2**60), st.text(max_size=5)), max_size=20
).map(lambda found: sorted((Item(name, *rest) for name, rest in found.items()), key=lambda item: item.order))


@given(items)
def test_an_inventory_is_read_as_it_was_written(expected: list[Item]) -> None:
    tally = Tally()
    lines = b"".join(tally.add(item) for item in expected)
    assert list(read_items(io.BytesIO(lines), "here")) == expected
    assert lines.count(b"\n") == len(expected)
    assert tally.fingerprint() == measured(expected)
    assert (tally.items, tally.size) == (len(expected), sum(item.size for item in expected))


@given(items, st.data())
def test_any_change_of_name_digest_or_size_changes_the_fingerprint(found: list[Item], data: st.DataObject) -> None:
    if not found:
        return
    number = data.draw(st.integers(0, len(found) - 1))
    item = found[number]
    changed = data.draw(st.sampled_from([
        Item(item.name, item.digest + "0", item.size), Item(item.name, item.digest, item.size + 1), None,
    ]))  # fmt: skip
    other = [*found[:number], *([changed] if changed else []), *found[number + 1 :]]
    assert measured(other).sha512 != measured(found).sha512


def test_where_an_item_is_found_is_not_part_of_the_fingerprint() -> None:
    assert measured([Item("a", "1", 2, "here")]) == measured([Item("a", "1", 2, "there")])


@pytest.mark.parametrize("wrong", [["b", "a"], ["a", "a"], ["\udcff", "ä"], ["a/x", "a-b"]])
def test_disorder_is_refused(wrong: list[str]) -> None:
    tally = Tally()
    tally.add(Item(wrong[0], ""))
    with pytest.raises(LifeboatError, match="each once"):
        tally.add(Item(wrong[1], ""))


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b"[1]\n", b'["a","b"]\n', b"7\n", b'{"a":1,"b":2,"c":3,"d":4}\n', b'["a","b","c",""]\n']
)
def test_a_line_that_is_none_is_damage(line: bytes) -> None:
    with pytest.raises(BackupCorrupt, match="a line of the inventory cannot be read"):
        list(read_items(io.BytesIO(line_of(Item("a", "1")) + line), "here"))
