"""How columns enter the hash: as they are only where that loses nothing."""

from __future__ import annotations

import pytest

from include.recovery.fingerprint.columns import AS_IS, WIRE, Column, Form, row_expression


def column(
    name: str, type_name: str, *, schema: str = "pg_catalog", output: str | None = None, **facts: bool
) -> Column:
    return Column(name, schema, type_name, output or f"pg_catalog.{type_name}out", **facts)


@pytest.mark.parametrize(
    ("facts", "expression"),
    [
        (column("n", "int4"), '"n"'),
        (column("t", "text", collatable=True), '"t" COLLATE "C"'),
        (column("n", "int8"), 'pg_catalog.int8send("n")'),
        (column("n", "numeric"), 'pg_catalog.numeric_send("n")'),
        (
            column("j", "jsonb", output="pg_catalog.jsonb_out"),
            'pg_catalog.textin(pg_catalog.jsonb_out("j")) COLLATE "C"',
        ),
        (column("d", "numeric", is_domain=True), 'pg_catalog.numeric_send("d"::"pg_catalog"."numeric")'),
        (
            column("e", "my enum", schema="Odd", output="pg_catalog.enum_out"),
            'pg_catalog.textin(pg_catalog.enum_out("e")) COLLATE "C"',
        ),
        (
            Column("r", "pg_catalog", "refcursor", None),
            'pg_catalog.textin(pg_catalog.record_out(ROW("r"))) COLLATE "C"',
        ),
    ],
)
def test_expression(facts: Column, expression: str) -> None:
    assert facts.expression == expression


def test_a_type_of_a_user_is_text_whatever_its_name() -> None:
    assert column("x", "int4", schema="public").form is Form.TEXT
    assert column("x", "int8", schema="public").form is Form.TEXT


def test_names_cannot_break_out_of_their_quotes() -> None:
    assert column('a"; DROP TABLE x; --', "int4").expression == '"a""; DROP TABLE x; --"'


def test_columns_come_in_the_byte_order_of_their_names() -> None:
    columns = tuple(column(name, "int4") for name in ("b", "ä", "B", "a"))

    assert row_expression(columns) == 'ROW("B", "a", "b", "ä")'
    assert row_expression(tuple(reversed(columns))) == row_expression(columns)


def test_a_table_without_columns_has_rows_all_the_same() -> None:
    assert row_expression(()) == "ROW()"


@pytest.mark.parametrize("folded", ["int8", "timestamp", "timestamptz", "time", "money", "interval", "timetz"])
def test_types_that_the_server_folds_before_it_hashes_go_by_their_bytes(folded: str) -> None:
    """It hashes 64-bit integers by the exclusive or of their halves: 1 and 2**32 are the same to it."""
    assert folded in WIRE


@pytest.mark.parametrize("type_name", ["numeric", "float4", "float8", "interval", "bpchar", "jsonb", "_text", "citext"])
def test_types_with_a_lenient_equality_do_not_go_as_they_are(type_name: str) -> None:
    assert type_name not in AS_IS
