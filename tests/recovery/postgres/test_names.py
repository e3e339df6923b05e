"""Quoting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.errors import LifeboatError
from include.recovery.postgres.names import (
    clipped,
    conninfo_database,
    exact_pattern,
    literal,
    parse_qualified,
    quote,
)

identifiers = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=20)


@given(identifiers, identifiers)
def test_a_quoted_name_is_read_back_as_it_was(schema: str, name: str) -> None:
    assert parse_qualified(f"{quote(schema)}.{quote(name)}") == (schema, name)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("public.users", ("public", "users")),
        ("Public.Users", ("public", "users")),
        ('"Odd Schema"."tab.le"', ("Odd Schema", "tab.le")),
        ('public."quo""te"', ("public", 'quo"te')),
        ("größe.straße", ("größe", "straße")),
    ],
)
def test_names_are_read_as_sql_reads_them(written: str, meant: tuple[str, str]) -> None:
    assert parse_qualified(written) == meant


@pytest.mark.parametrize("written", ["users", "a.b.c", "a.", ".b", 'a."b', "a b.c", "", "a.b;", '"".b'])
def test_what_is_no_qualified_name_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(LifeboatError, match=r"write schema\.table"):
        parse_qualified(written)


def test_a_pattern_for_pg_dump_has_no_wild_cards() -> None:
    assert exact_pattern("Odd.Schema", 'a*b"?') == '"Odd.Schema"."a*b""?"'


def test_a_name_that_looks_like_connection_options_stays_a_name() -> None:
    assert conninfo_database(r"x host='evil'\ ") == r"dbname='x host=\'evil\'\\ '"


def test_literals_survive_quotes_and_backslashes() -> None:
    assert literal("it's") == "'it''s'"
    assert literal(r"a\'b") == r" E'a\\''b'"


def test_a_nul_is_refused() -> None:
    with pytest.raises(LifeboatError):
        quote("a\0b")
    with pytest.raises(LifeboatError):
        literal("a\0b")


@given(identifiers)
def test_a_clipped_name_fits_and_keeps_its_suffix(name: str) -> None:
    result = clipped(name * 5, "_before")
    assert len(result.encode()) <= 63
    assert result.endswith("_before")
