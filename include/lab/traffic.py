"""A little life in every database: each second one statement per system, as its application would write.

A database that is away (being restored, being swapped) is tried again until it is back. Run as
``python -m include.lab.traffic`` with ``LIFEBOAT_CONNECTIONS`` set.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from include.lab.systems import SYSTEMS, DemoSystem
from include.recovery.connections import ConnectionInfo, connections_from_environment
from include.recovery.errors import LifeboatError

STATEMENTS = Path(__file__).parent / "data"
_PAUSE = 1.0
_RETRY = 5.0


@dataclass
class Writer:
    """What writes into one system."""

    system: DemoSystem
    database: ConnectionInfo
    statement: bytes
    _session: psycopg.Connection[Any] | None = field(default=None, init=False)
    _not_before: float = field(default=0.0, init=False)

    def write(self, now: float) -> None:
        """Run the statement once; after trouble, wait a little before the next try."""
        if now < self._not_before:
            return
        try:
            if self._session is None or self._session.closed:
                self._session = self._connect()
            self._session.execute(self.statement)
        except psycopg.Error:
            if self._session is not None:
                self._session.close()
            self._session, self._not_before = None, now + _RETRY

    def _connect(self) -> psycopg.Connection[Any]:
        where = self.database
        return psycopg.connect(
            host=where.host,
            port=where.port,
            user=where.login,
            password=where.password,
            dbname=where.schema,
            application_name=f"{self.system.name} traffic",
            connect_timeout=3,
            options="-c statement_timeout=5000",
            autocommit=True,
        )


def main() -> None:
    """Write until told to stop."""
    find = connections_from_environment(os.environ)
    try:
        writers = [
            Writer(each, find(each.app_role), (STATEMENTS / f"{each.name}.traffic.sql").read_bytes())
            for each in SYSTEMS
        ]
    except LifeboatError as error:
        sys.exit(str(error))
    while True:
        for writer in writers:
            writer.write(time.monotonic())
            time.sleep(_PAUSE / len(writers))


if __name__ == "__main__":
    main()
