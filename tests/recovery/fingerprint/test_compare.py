"""What differs between two fingerprints, in sentences."""

from __future__ import annotations

from typing import Any

import pytest

from include.recovery.fingerprint.compare import compare
from include.recovery.fingerprint.model import (
    DatabaseFingerprint,
    NotCompared,
    SequenceFingerprint,
    TableFingerprint,
)


def table(rows: int = 2, digest: str = "d", touched: int = 0, **more: Any) -> TableFingerprint:
    """A table of which some buckets differ from those of an untouched one."""
    buckets = "ffff" * touched + "0000" * (32 - touched)
    return TableFingerprint(rows=rows, digest=digest, columns=("id", "name"), buckets=buckets, **more)


def fingerprint(**more: Any) -> DatabaseFingerprint:
    facts: dict[str, Any] = {
        "server_version": "15.20",
        "tables": {"public.users": table()},
        "definitions": {"public": "p"},
        "sequences": {},
        "large_objects": None,
        "roles": "r",
        "grants": "g",
        "extensions": {"plpgsql": "1.0"},
        "items": {"table public.users": "t", "role ada": "a"},
    }
    return DatabaseFingerprint(**(facts | more))


def messages(expected: DatabaseFingerprint, actual: DatabaseFingerprint, **options: Any) -> list[str]:
    comparison = compare(expected, actual, **options)
    assert not comparison.identical
    return [difference.message for difference in comparison.differences]


def test_equal_is_identical() -> None:
    comparison = compare(fingerprint(), fingerprint())

    assert comparison.identical
    assert comparison.verdict == "identical: 2 rows in 1 table compared, every one equal"


def test_a_fingerprint_survives_being_stored() -> None:
    stored = fingerprint(not_compared=(NotCompared(object="x", why="y"),))

    assert DatabaseFingerprint.model_validate_json(stored.model_dump_json()) == stored


@pytest.mark.parametrize(
    ("rows", "touched", "message"),
    [
        (1, 1, "public.users has 1 row in the copy, 1,000 in the backup: 999 rows missing"),
        (999, 1, "public.users has 999 rows in the copy, 1,000 in the backup: 1 row missing"),
        (1001, 1, "public.users has 1,001 rows in the copy, 1,000 in the backup: 1 row too many"),
        (
            999, 4,
            "public.users has 999 rows in the copy, 1,000 in the backup: 1 row missing, and at least 2 rows not equal "
            "beside",
        ),
        (1000, 2, "public.users has 1,000 rows in the copy as in the backup, but at least 1 row is not equal"),
        (1000, 9, "public.users has 1,000 rows in the copy as in the backup, but at least 5 rows are not equal"),
        (
            1000, 20,
            "public.users has 1,000 rows in the copy as in the backup, but at least 10 (about 15) rows are not equal",
        ),
        (
            1000, 32,
            "public.users has 1,000 rows in the copy as in the backup, but at least 16 (probably more than 64) "
            "rows are not equal",
        ),
        (1000, 0, "public.users has 1,000 rows in the copy as in the backup, but at least 1 row is not equal"),
    ],
)  # fmt: skip
def test_rows_are_counted(rows: int, touched: int, message: str) -> None:
    expected = fingerprint(tables={"public.users": table(1000)})
    actual = fingerprint(tables={"public.users": table(rows, "other", touched)})

    assert messages(expected, actual) == [message]


def test_tables_that_are_missing_or_new() -> None:
    actual = fingerprint(tables={"public.more": table(1)})

    assert messages(fingerprint(), actual) == [
        "public.users is missing in the copy; the backup has it with 2 rows",
        "public.more is in the copy with 1 row, and not in the backup",
    ]


def test_other_columns_are_told_as_such() -> None:
    other = TableFingerprint(rows=2, digest="x", columns=("id", "title"))

    assert messages(fingerprint(), fingerprint(tables={"public.users": other})) == [
        "public.users has other columns in the copy (missing: name; unexpected: title)"
    ]


def test_definitions_are_named() -> None:
    actual = fingerprint(
        definitions={"public": "q"}, items={"table public.users": "u", "index i": "i", "role ada": "a"}
    )

    assert messages(fingerprint(), actual) == [
        "index i is in the copy, and not in the backup",
        "table public.users is defined in another way in the copy than in the backup",
    ]


def test_many_definitions_are_summed_up() -> None:
    items = {f"index i{number}": "i" for number in range(70)}
    expected = fingerprint(definitions={"public": "q", "shop": "s"}, items=items)

    found = messages(expected, fingerprint(items={}))

    assert len(found) == 51
    assert found[-1] == "20 more items of this kind differ in the schemas public, shop"


def test_definitions_that_no_item_explains_differ_all_the_same() -> None:
    assert messages(fingerprint(), fingerprint(definitions={"public": "q"})) == [
        "definition: the schemas public differ, and no item tells in what"
    ]


def test_roles_of_the_backup_must_be_there_and_the_servers_own_do_not_matter() -> None:
    more = fingerprint(roles="other", items={"table public.users": "t", "role ada": "a", "role drill": "d"})
    fewer = fingerprint(roles="other", items={"table public.users": "t"})
    weaker = fingerprint(roles="other", items={"table public.users": "t", "role ada": "b"})

    assert compare(fingerprint(), more).identical
    assert messages(fingerprint(), fewer) == ["role ada is missing in the copy"]
    assert messages(fingerprint(), weaker) == ["role ada has other rights in the copy"]


def test_roles_that_were_not_measured_are_named() -> None:
    comparison = compare(fingerprint(), fingerprint(roles=None, grants=None))

    assert comparison.identical
    assert {entry.object for entry in comparison.not_compared} == {"roles", "grants"}


@pytest.mark.parametrize(
    ("copy", "rule", "equal"),
    [
        (SequenceFingerprint(last_value=7, is_called=True), "equal", True),
        (SequenceFingerprint(last_value=8, is_called=False), "equal", True),  # both give 8 next
        (SequenceFingerprint(last_value=8, is_called=True), "equal", False),
        (SequenceFingerprint(last_value=8, is_called=True), "at least", True),
        (SequenceFingerprint(last_value=6, is_called=True), "at least", False),
    ],
)
def test_sequences(copy: SequenceFingerprint, rule: Any, equal: bool) -> None:
    expected = fingerprint(sequences={"public.s": SequenceFingerprint(last_value=7, is_called=True)})

    assert compare(expected, fingerprint(sequences={"public.s": copy}), sequences=rule).identical is equal


def test_a_sequence_that_counts_down_is_ahead_when_it_is_lower() -> None:
    expected = fingerprint(sequences={"s": SequenceFingerprint(last_value=-3, is_called=True, increment=-3)})
    lower = fingerprint(sequences={"s": SequenceFingerprint(last_value=-6, is_called=True, increment=-3)})

    assert compare(expected, lower, sequences="at least").identical
    assert messages(lower, expected, sequences="at least") == [
        "sequence s gives -6 next in the copy, behind -9 in the backup"
    ]


def test_large_objects() -> None:
    two = fingerprint(large_objects=table(2))

    assert messages(two, fingerprint()) == ["there are 0 large objects in the copy, 2 in the backup"]
    assert messages(two, fingerprint(large_objects=table(2, "x"))) == [
        "there are 2 large objects in the copy as in the backup, but their contents differ"
    ]


def test_extensions() -> None:
    assert messages(fingerprint(), fingerprint(extensions={"plpgsql": "1.1", "hstore": "1.8"})) == [
        "extension hstore is version 1.8 in the copy, missing in the backup",
        "extension plpgsql is version 1.1 in the copy, version 1.0 in the backup",
    ]


def test_what_either_side_left_out_is_told() -> None:
    expected = fingerprint(not_compared=(NotCompared(object="public.cache", why="left out: rebuilt on start"),))
    actual = fingerprint(not_compared=(NotCompared(object="public.view", why="materialised view"),))

    comparison = compare(expected, actual)

    assert [entry.object for entry in comparison.not_compared] == ["public.cache", "public.view"]


def test_a_table_without_a_fingerprint_proves_nothing() -> None:
    assert messages(fingerprint(), fingerprint(), tables=["public.cache"]) == [
        "public.cache has no fingerprint in the backup, so nothing says whether its rows are right"
    ]


def test_chosen_tables_under_other_names() -> None:
    expected = fingerprint(tables={"public.users": table(), "public.cache": table(9)})
    actual = fingerprint(tables={"back.users": table()}, definitions={}, scope="tables")

    comparison = compare(expected, actual, tables=["public.users"], renamed={"public.users": "back.users"})

    assert comparison.identical
    assert comparison.compared_rows == 2


def test_fingerprints_of_two_methods_are_not_compared() -> None:
    comparison = compare(fingerprint(), fingerprint(mode="text"))

    assert not comparison.identical
    assert comparison.differences[0].message.startswith(
        "the fingerprints cannot be compared: the backup's mode is record, the copy's is text"
    )


def test_a_sample_states_its_confidence() -> None:
    sampled = fingerprint(sample=0.1, tables={"public.users": table(coverage="sampled")})

    comparison = compare(sampled, sampled)

    assert not comparison.identical
    assert comparison.equal_as_far_as_compared
    assert comparison.confidence == (
        "a sample of 10% of the rows was compared, which shows damage to 1 row with 10%, 10 rows with 65.132%, "
        "100 rows with 99.997%"
    )
    assert comparison.verdict.startswith("no difference found, which is not the word identical: 2 rows in 1 table; ")
