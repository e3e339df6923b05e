"""What is known about a database that may be overwritten: taken when planning and again just before the overwrite."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from include.recovery.evidence.records import Instant, Record

OWN_APPLICATION = "lifeboat"
"""Lifeboat's own sessions have an ``application_name`` that begins so; they do not count as live sessions."""


class Session(Record):
    """One client session in the target database.

    :param client: address of the client, or ``socket``.
    :param state: as in ``pg_stat_activity``.
    """

    pid: int
    user: str
    application: str = ""
    client: str = ""
    state: str = ""

    def __str__(self) -> str:
        application = f" ({self.application})" if self.application else ""
        return f"{self.user}{application} from {self.client or 'an unknown address'}"


class TargetFacts(Record):
    """A target as it was found.

    :param host: as it was reached: a name, an address, or the directory of a unix socket.
    :param system_identifier: of the cluster (``pg_control_system()``), as text.
    :param exists: whether the database exists at all.
    :param empty: whether it holds no table, view, sequence, function or large object of a user.
    :param server_role: ``standby`` while the server is in recovery.
    :param login_role: the role that Lifeboat is logged in as.
    :param size: bytes; 0 when the database does not exist.
    :param tables: number of user tables.
    :param scope: qualified names of the tables that ``writes`` and ``sessions`` are about; empty means the database.
    :param writes: rows inserted, updated and deleted in the scope since statistics began: a counter to compare.
    :param last_write: time of the server's last commit, where it records that; for people only, since other databases
        of the same server move it too.
    :param sessions: other clients' sessions in the database, or those that hold a lock on a table of the scope.
    """

    host: str
    port: int
    system_identifier: str
    database: str
    exists: bool = True
    empty: bool = False
    server_role: Literal["primary", "standby"] = "primary"
    login_role: str = ""
    size: int = 0
    tables: int = 0
    scope: tuple[str, ...] = ()
    writes: int = 0
    last_write: Instant | None = None
    sessions: tuple[Session, ...] = ()
    taken_at: Instant

    @property
    def where(self) -> str:
        """Host and port in one word."""
        return f"{self.host}:{self.port}"

    @property
    def occupied(self) -> bool:
        """Whether an overwrite would destroy something."""
        return self.exists and not self.empty

    @property
    def strangers(self) -> tuple[Session, ...]:
        """Live sessions that are not Lifeboat's own."""
        return tuple(s for s in self.sessions if not s.application.startswith(OWN_APPLICATION))

    def __str__(self) -> str:
        return f"database {self.database} on {self.where} (system identifier {self.system_identifier})"


class ScratchTarget(Record):
    """A scratch server of Lifeboat's own, as recorded when it was started.

    :param directory: of its unix socket; absolute.
    """

    directory: str
    system_identifier: str

    def holds(self, facts: TargetFacts) -> bool:
        """Whether the facts are those of a database on this scratch server, reached through its socket."""
        return (
            PurePosixPath(self.directory).is_absolute()
            and PurePosixPath(facts.host) == PurePosixPath(self.directory)
            and facts.system_identifier == self.system_identifier
        )
