"""Damaged pages of a copy are found: by their structure while it runs, by their checksum when it is shut down."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from include.recovery.errors import ToolFailed
from include.recovery.pgbackrest.pages import check_checksums, check_structure
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.tools import find
from include.recovery.processes import run_tool

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def test_damage_is_found_and_a_whole_cluster_is_not_blamed(tmp_path: Path) -> None:
    tools = find(15, tool="pg_checksums")
    server = ScratchServer.start(tmp_path / "s", major=15)
    try:
        with server.server().connect() as connection:
            connection.execute("CREATE TABLE public.t AS SELECT n FROM generate_series(1, 2000) n")
            connection.execute("CREATE INDEX t_n ON public.t (n)")
            row = connection.execute("SELECT pg_relation_filepath('public.t')").fetchone()
        assert row is not None
        assert check_structure(tools, server.server()) == ()
        with pytest.raises(ToolFailed, match="must be shut down"):
            check_checksums(tools, server.directory / "data")
        data = server.shut_down()
        assert check_checksums(tools, data) is None
        run_tool([tools.path("pg_checksums"), "--enable", "--pgdata", str(data)], env={})
        assert check_checksums(tools, data) == ()

        with (data / row[0]).open("r+b") as file:
            # The line pointer of the first row, in use: it points far behind the page now.
            file.seek(24)
            file.write(struct.pack("<I", 32767 | 1 << 15 | 100 << 17))
        (problem,) = check_checksums(tools, data) or ()
        assert problem.startswith("pg_checksums found damaged pages")
        again = ScratchServer.start_restored(
            server.directory, major=15, superuser="postgres", settings={"ignore_checksum_failure": "on"}, wait=30
        )
        (problem,) = check_structure(tools, again.server())
        assert problem.startswith("pg_amcheck found damage: heap table "), problem
    finally:
        ScratchServer.remove(server.directory)
