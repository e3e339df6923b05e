"""Exports before a server sees them: their statements and names."""

from __future__ import annotations

import pytest

from include.recovery.catalog.model import Export
from include.recovery.errors import BackupNotFound
from include.recovery.fingerprint.model import Comparison
from include.recovery.postgres.exports import ExportQuery, export_of


def test_a_table_is_exported_with_its_columns_or_all() -> None:
    assert ExportQuery("x", table='public."Odd"').statement == 'SELECT * FROM public."Odd"'
    chosen = ExportQuery("x", table="public.users", columns=("id", 'a "name"'))
    assert chosen.statement == 'SELECT "id", "a ""name""" FROM public.users'


def test_a_statement_loses_the_semicolon_that_would_end_it_too_early() -> None:
    assert ExportQuery("x", sql="select 1 ;\n").statement.rstrip() == "select 1"


def test_no_part_of_a_table_has_the_name_of_an_export() -> None:
    assert ExportQuery("table-0001", sql="select 1").part == "export-table-0001"


def test_an_export_that_is_not_there_is_answered_with_those_that_are() -> None:
    export = Export(name="users", part="export-users", query="", columns=(), rows=0, sha512="")
    assert export_of([export], "users", "a/b") is export
    with pytest.raises(BackupNotFound, match="backup a/b has no export 'other'; it has users"):
        export_of([export], "other", "a/b")
    with pytest.raises(BackupNotFound, match="it has none"):
        export_of([], "other", "a/b")


def test_a_verdict_counts_exports() -> None:
    found = Comparison(
        identical=True, compared_tables=1, compared_rows=2, differences=(), not_compared=(), compared_exports=1
    )
    assert found.verdict == "identical: 2 rows in 1 table and 1 export compared, every one equal"
