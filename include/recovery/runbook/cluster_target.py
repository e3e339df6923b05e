"""What is known about a whole cluster that may be replaced: taken when planning, and again just before."""

from __future__ import annotations

from include.recovery.evidence.records import Instant, Record
from include.recovery.evidence.words import plural, size
from include.recovery.runbook.target import OWN_APPLICATION, Session

Stranger = tuple[str, str, str]
"""Who uses a server: user, application, client; process ids change with every connection."""


class ClusterSession(Session):
    """One client session of a server.

    :param database: that it is in.
    """

    database: str = ""


class ClusterFacts(Record):
    """A cluster as it was found on its host.

    :param host: name of the machine.
    :param data_directory: with all links resolved.
    :param directory_id: inode of the directory; empty when it is not there.
    :param system_identifier: as ``pg_control`` has it; empty when that file is gone or fails its own checksum.
    :param state: as ``pg_control`` says, such as ``in production``; empty as above.
    :param version: of the server (``PG_VERSION``); empty when unknown.
    :param running: whether processes of it work in the directory.
    :param answers: whether it takes connections.
    :param size: bytes of all files in the directory.
    :param databases: those that take connections; empty when it does not answer.
    :param last_write: when WAL was last written, by the files' times.
    :param unarchived: finished WAL segments that wait to be archived; they stay in the directory that is kept.
    :param tablespaces: where tablespaces outside the directory are.
    :param sessions: other clients' sessions.
    """

    host: str
    port: int
    data_directory: str
    directory_id: str = ""
    system_identifier: str = ""
    state: str = ""
    version: str = ""
    running: bool = False
    answers: bool = False
    size: int = 0
    databases: tuple[str, ...] = ()
    last_write: Instant | None = None
    unarchived: int = 0
    tablespaces: tuple[str, ...] = ()
    sessions: tuple[ClusterSession, ...] = ()
    taken_at: Instant

    @property
    def exists(self) -> bool:
        """Whether there is a directory at all."""
        return bool(self.directory_id)

    @property
    def strangers(self) -> tuple[ClusterSession, ...]:
        """Live sessions that are not Lifeboat's own."""
        return tuple(s for s in self.sessions if not s.application.startswith(OWN_APPLICATION))

    @property
    def users(self) -> frozenset[Stranger]:
        """Who uses it."""
        return frozenset((s.user, s.application, s.client) for s in self.strangers)

    def __str__(self) -> str:
        known = f"system identifier {self.system_identifier}" if self.system_identifier else "no readable pg_control"
        return f"cluster {self.data_directory} on {self.host} ({known if self.exists else 'which does not exist'})"

    def in_words(self) -> str:
        """What is there, for whoever has to approve."""
        if not self.exists:
            return f"`{self.data_directory}` on {self.host}, which does not exist now"
        server = "its server answers" if self.answers else "its server runs and does not answer" if self.running else (
            "its server is down"
        )
        known = self.system_identifier or "**cannot be read, pg_control is gone or damaged**"
        words = [f"`{self.data_directory}` on {self.host} (system identifier {known}): {size(self.size)}", server]
        if self.databases:
            words.append(f"{plural(len(self.databases), 'database')}: {', '.join(self.databases)}")
        if self.strangers:
            words.append(plural(len(self.strangers), "live session"))
        if self.unarchived:
            words.append(f"**{plural(self.unarchived, 'WAL segment')} not archived**")
        return ", ".join(words)
