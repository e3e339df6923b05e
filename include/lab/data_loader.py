"""Fills a system's database with its data, generated on the server by the SQL beside this file."""

from __future__ import annotations

import os
from pathlib import Path

from include.lab.ceph import run_tool
from include.lab.postgres import PostgresCluster, binary
from include.lab.systems import DemoSystem

DATA = Path(__file__).parent / "data"
_SECONDS = 300


def load(cluster: PostgresCluster, system: DemoSystem) -> None:
    """Run the system's SQL as its application's role, all in one transaction."""
    where = ["-h", str(cluster.socket_directory), "-p", str(cluster.port), "-U", system.app_role]
    files = ["-f", str(DATA / "prelude.sql"), "-f", str(DATA / f"{system.name}.sql")]
    argv = [str(binary("psql")), "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", *where, "-d", system.database, *files]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(cluster.directory)}
    run_tool(argv, env=environment, cwd=cluster.directory, seconds=_SECONDS)
    with cluster.connect(system.database) as connection:
        connection.execute("VACUUM ANALYZE")
