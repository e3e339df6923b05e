"""The queries that hash rows, and what is made of their answers."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from include.recovery.fingerprint.columns import Column
from include.recovery.fingerprint.row_hash import BUCKETS, SEEDS, combine, table_query

ID = Column("id", "pg_catalog", "int4", "pg_catalog.int4out")
NAME = Column("name", "pg_catalog", "text", "pg_catalog.textout", collatable=True)

answers = st.lists(
    st.tuples(
        st.integers(0, BUCKETS - 1), st.integers(0, 10**9), st.integers(-(2**90), 2**90), st.integers(-(2**90), 2**90)
    ),
    max_size=BUCKETS,
    unique_by=lambda row: row[0],
)


def test_the_whole_row_is_hashed_once_and_mixed_in_two_seeds() -> None:
    query = table_query("public.users", (NAME, ID))

    assert query.count('ROW("id", "name" COLLATE "C")') == 1
    assert "FROM ONLY public.users" in query
    assert all(f"hashint8extended({seed}, h)" in query for seed in SEEDS)
    assert "string_agg" not in query  # would need memory for all rows


def test_the_fence_is_a_constant_from_the_start() -> None:
    """OFFSET 0 is an expression until it is planned, and forbids parallel plans; OFFSET '0' does not."""
    assert "OFFSET '0'" in table_query("t", (ID,))
    assert "OFFSET 0" not in table_query("t", (ID,))


def test_a_sample_is_chosen_by_the_key_and_not_by_place() -> None:
    query = table_query("t", (ID, NAME), sample=0.25, key=(ID,))

    assert "TABLESAMPLE" not in query
    assert 'ROW("id")' in query
    assert "& 1048575 < 262144" in query


def test_servers_without_a_record_hash_go_by_text() -> None:
    query = table_query("t", (ID,), mode="text")

    assert "hash_record_extended" not in query
    assert "hashtextextended(pg_catalog.textin(pg_catalog.record_out(ROW(" in query


def test_an_empty_table_has_a_digest_too() -> None:
    assert combine([]) == (0, "0" * 32, "0" * 4 * BUCKETS)


@given(answers)
def test_the_answer_does_not_depend_on_the_order_of_buckets(rows: list[tuple[int, int, int, int]]) -> None:
    assert combine(rows) == combine(list(reversed(rows)))


@given(answers)
def test_sums_of_parts_add_up(rows: list[tuple[int, int, int, int]]) -> None:
    halves = [(b, n // 2, x // 2, y // 2) for b, n, x, y in rows] + [
        (b, n - n // 2, x - x // 2, y - y // 2) for b, n, x, y in rows
    ]

    assert combine(halves) == combine(rows)


@given(answers)
def test_numeric_and_integer_answers_are_the_same(rows: list[tuple[int, int, int, int]]) -> None:
    assert combine([(b, n, Decimal(x), Decimal(y)) for b, n, x, y in rows]) == combine(rows)
