"""The scratch server of a run: one folder for each run, found again by every task of it."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import sql

from include.recovery.errors import SourceUnavailable
from include.recovery.postgres.scratch import ScratchServer

if TYPE_CHECKING:
    from include.recovery.postgres.server import PostgresServer
    from recovery_airflow.operators.step import RunFacts


def scratch_root() -> Path:
    """Where scratch servers live: ``LIFEBOAT_SCRATCH``, or a folder of the system's temporary directory."""
    return Path(os.environ.get("LIFEBOAT_SCRATCH") or Path(tempfile.gettempdir()) / "lifeboat")


def scratch_folder(run: RunFacts) -> Path:
    """The folder of a run, short because a unix socket's path must be, and the same for every try of every task."""
    return scratch_root() / hashlib.sha256(run.run_key.encode()).hexdigest()[:12]


def copy_folder(run: RunFacts, source: str) -> Path:
    """The folder of a run for a cluster that is recovered to a moment; one for each source."""
    return scratch_root() / hashlib.sha256(f"{run.run_key} {source}".encode()).hexdigest()[:12]


def attach(run: RunFacts) -> ScratchServer:
    """The running scratch server of a run.

    :raises SourceUnavailable: when it is not on this machine, or does not run any more.
    """
    folder = scratch_folder(run)
    if not folder.is_dir():
        raise SourceUnavailable(
            f"the scratch server of {run.run_key} is not on {socket.gethostname()} ({folder} does not exist); if "
            "it was started on another worker, give scratch tasks a queue that one worker listens to: "
            "LIFEBOAT_SCRATCH_QUEUE"
        )
    return ScratchServer.attach(folder)


def drop_scratch_database(server: PostgresServer) -> None:
    """Remove a database of a scratch server, sessions and all; it need not exist."""
    with server.with_database("postgres").connect() as connection:
        name = sql.Identifier(server.database)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
