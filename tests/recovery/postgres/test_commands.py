"""The argv of the tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.recovery.errors import LifeboatError
from include.recovery.postgres import commands
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.tools import Tools, find, major_of


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    for name in ("pg_dump", "pg_dumpall", "pg_restore"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 16.3 (Debian)'\n")
        (tmp_path / name).chmod(0o755)
    return Tools(tmp_path, "16.3", 16)


def test_a_table_is_named_exactly_and_must_exist(tools: Tools) -> None:
    argv = commands.dump_tables(tools, "snap", [("Odd Schema", "a*b")], lock_wait=5)
    assert '--table="Odd Schema"."a*b"' in argv
    assert "--strict-names" in argv
    assert "--lock-wait-timeout=5000" in argv


def test_the_rest_excludes_rows_and_no_definitions(tools: Tools) -> None:
    argv = commands.dump_rest(tools, "snap", [("public", "big")], lock_wait=5)
    assert '--exclude-table-data="public"."big"' in argv
    assert not any(word.startswith(("--exclude-table=", "--table=")) for word in argv)


def test_secrets_travel_by_environment_only(tools: Tools) -> None:
    server = PostgresServer(host="h", user="u", password="s3cret!", database="d")
    words = [
        *commands.dump_globals(tools, "d", passwords=True), *commands.restore_stream(tools, "d"), repr(server),
        server.redacted,
    ]
    assert not any("s3cret!" in word for word in words)
    assert server.environment()["PGPASSWORD"] == "s3cret!"


def test_settings_with_spaces_reach_the_server_whole() -> None:
    env = PostgresServer(host="h").environment(search_path="a, b", x="c\\d")
    assert env["PGOPTIONS"] == "-c search_path=a,\\ b -c x=c\\\\d"


def test_the_nearest_newer_tools_are_found(tools: Tools) -> None:
    environ = {"LIFEBOAT_PG_BINDIRS": str(tools.bindir), "PATH": ""}
    assert find(16, environ=environ).bindir == tools.bindir
    with pytest.raises(LifeboatError, match=r"no pg_dump for PostgreSQL 99 .*16\.3 in "):
        find(99, environ=environ)


@pytest.mark.parametrize(("said", "major"), [("15.14 (Debian 15.14-0)", 15), ("18beta1", 18), ("17devel", 17)])
def test_versions_of_all_sorts_have_a_major(said: str, major: int) -> None:
    assert major_of(said) == major
