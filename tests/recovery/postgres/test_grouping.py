"""Which tables get a part of their own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from include.recovery.postgres.grouping import (
    ALONE_MINIMUM,
    GROUP_MINIMUM,
    MIB,
    PATTERN_BYTES,
    SizedTable,
    plan_groups,
)


def tables_of(sizes: list[int]) -> list[SizedTable]:
    return [SizedTable("public", f"t{number}", f"public.t{number}", size) for number, size in enumerate(sizes)]


sizes = st.lists(st.one_of(st.integers(0, 100_000), st.integers(0, 50 * MIB), st.integers(0, 10**12)), max_size=200)


@given(sizes)
def test_every_table_is_in_exactly_one_place(given_sizes: list[int]) -> None:
    tables = tables_of(given_sizes)
    grouping = plan_groups(tables)
    planned = [*grouping.grouped, *grouping.rest]
    assert sorted(planned, key=lambda t: t.name) == sorted(tables, key=lambda t: t.name)


@given(sizes)
def test_a_table_of_two_percent_is_alone_in_its_part(given_sizes: list[int]) -> None:
    total = sum(given_sizes)
    grouping = plan_groups(tables_of(given_sizes))
    alone = {group.tables[0].name for group in grouping.groups if len(group.tables) == 1}
    for table in tables_of(given_sizes):
        if table.size * 50 >= total and table.size >= ALONE_MINIMUM:
            assert table.name in alone


@given(sizes)
def test_the_longest_goes_first_and_shared_parts_stay_small(given_sizes: list[int]) -> None:
    grouping = plan_groups(tables_of(given_sizes))
    lengths = [group.size for group in grouping.groups]
    assert lengths == sorted(lengths, reverse=True)
    limit = 2 * max(GROUP_MINIMUM, sum(given_sizes) // 64 + 1)
    assert all(group.size <= limit for group in grouping.groups if len(group.tables) > 1)
    assert grouping.rest_size <= limit


@given(sizes)
def test_there_are_never_many_parts(given_sizes: list[int]) -> None:
    grouping = plan_groups(tables_of(given_sizes))
    assert len(grouping.groups) <= 130
    assert len({group.name for group in grouping.groups}) == len(grouping.groups)


def test_names_that_do_not_fit_one_command_line_stay_in_the_rest() -> None:
    tables = [SizedTable("s" * 60, f"{n:0>60}", f"{n}", MIB // 2) for n in range(9000)]
    grouping = plan_groups(tables)
    named = sum(len(t.schema) + len(t.name) + 8 for t in grouping.grouped)
    assert 0 < named < PATTERN_BYTES
    assert len(grouping.rest) > 4000


def test_an_empty_database_has_a_rest_only() -> None:
    grouping = plan_groups([])
    assert grouping.groups == ()
    assert grouping.rest == ()
