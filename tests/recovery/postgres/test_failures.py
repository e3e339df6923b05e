"""What a tool's last words mean for the retry."""

from __future__ import annotations

import pytest

from include.recovery.errors import InsufficientRights, RowsHidden, SourceUnavailable, ToolFailed
from include.recovery.postgres.failures import meaning
from include.recovery.postgres.server import PostgresServer

SERVER = PostgresServer(host="db1", user="lifeboat_backup", password="hunter2", database="shop")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("pg_dump: error: query failed: server closed the connection unexpectedly", SourceUnavailable),
        ("pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout", SourceUnavailable),
        ('pg_dump: error: query failed: ERROR:  permission denied for table users', InsufficientRights),
        ('ERROR:  query would be affected by row-level security policy for table "users"', RowsHidden),
        ("pg_dump: error: could not write to output file: No space left on device", ToolFailed),
    ],
)
def test_the_class_of_the_error_decides_about_a_retry(said: str, kind: type[Exception]) -> None:
    error = meaning(ToolFailed("pg_dump", 1, said), SERVER, "dumping public.users")
    assert type(error) is kind
    assert str(error).startswith("shop on db1:5432 as lifeboat_backup: dumping public.users failed")
    assert "hunter2" not in str(error)
