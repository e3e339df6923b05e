"""Items come out in the order of their names, however they went in, and also when they do not fit into memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.content.model import Item
from include.recovery.content.sorting import RUNS, Sorter
from include.recovery.errors import SourceError

NAME = st.binary(min_size=1, max_size=6).map(lambda name: name.decode("utf-8", "surrogateescape"))
NAMES = st.lists(NAME, unique=True)


@given(names=NAMES, in_memory=st.integers(1, 5))
def test_any_names_come_in_the_order_of_their_bytes(names: list[str], in_memory: int) -> None:
    with Sorter(in_memory=in_memory) as sorter:
        for number, name in enumerate(names):
            sorter.add(Item(name, f"{number:x}", number, f"at {number}"))
        found = list(sorter.sorted())
    assert [item.order for item in found] == sorted(item.order for item in found)
    assert {item.name: item.size for item in found} == {name: number for number, name in enumerate(names)}
    assert all(item.at == f"at {item.size}" for item in found)


def test_more_runs_than_may_be_open_are_merged_in_between() -> None:
    count = RUNS * 2 + 3
    with Sorter(in_memory=1) as sorter:
        for number in range(count):
            sorter.add(Item(f"{(number * 37) % count:04}", "d"))
        assert [item.name for item in sorter.sorted()] == [f"{number:04}" for number in range(count)]


@pytest.mark.parametrize("in_memory", [1, 10])
def test_a_name_that_comes_twice_is_refused(in_memory: int) -> None:
    with Sorter(in_memory=in_memory) as sorter:
        for digest in ("a", "a"):
            sorter.add(Item("same", digest))
        with pytest.raises(SourceError, match="'same' was found twice in one reading"):
            list(sorter.sorted())


def test_where_a_source_may_repeat_itself_only_other_content_is_refused() -> None:
    with Sorter() as sorter:
        sorter.add(Item("same", "a"))
        sorter.add(Item("same", "a"))
        assert list(sorter.sorted(repeated=True)) == [Item("same", "a")]
    with Sorter() as sorter:
        sorter.add(Item("same", "a"))
        sorter.add(Item("same", "b"))
        with pytest.raises(SourceError, match="found twice"):
            list(sorter.sorted(repeated=True))
