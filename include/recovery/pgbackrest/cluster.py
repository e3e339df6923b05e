"""What a server knows about itself, and switching its archiving on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg

from include.recovery.errors import LifeboatError, SourceError
from include.recovery.pgbackrest.configuration import ClusterPlace
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.names import literal, quote
from include.recovery.postgres.server import PostgresServer, sql
from include.recovery.postgres.tools import major_of

_RELOAD_SECONDS = 10.0
_SETTINGS = ("archive_mode", "archive_command", "archive_timeout", "wal_level", "full_page_writes", "data_checksums",
             "max_slot_wal_keep_size", "wal_segment_size", "data_directory", "port", "unix_socket_directories",
             "config_file", "server_version", "archive_library")
_FACTS = """
    SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
           CASE WHEN pg_catalog.pg_is_in_recovery()
                THEN (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())
                ELSE ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8)
                     )::bit(32)::integer END,
           pg_catalog.pg_is_in_recovery(), current_user,
           (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
           (SELECT pg_catalog.array_agg(datname::text ORDER BY datname) FROM pg_catalog.pg_database WHERE datallowconn
              AND NOT datistemplate),
           (SELECT pg_catalog.sum(pg_catalog.pg_database_size(oid))::bigint FROM pg_catalog.pg_database)
"""
# While archive_mode is off, the server shows "(disabled)" instead of the command that it was given.
_GIVEN = """
    SELECT s.name, s.pending_restart, s.source, s.sourcefile,
           CASE WHEN s.setting <> '(disabled)' THEN s.setting
                ELSE COALESCE((SELECT f.setting FROM pg_catalog.pg_file_settings f WHERE f.name = s.name
                                ORDER BY f.seqno DESC LIMIT 1), '') END
      FROM pg_catalog.pg_settings s WHERE s.name = ANY(%s)
"""
_ARCHIVING = ("archive_mode", "archive_command", "archive_timeout", "wal_level")
_NEEDED_LEVELS = ("replica", "logical")


@dataclass(frozen=True)
class Cluster:
    """A server, as it describes itself.

    :param socket_directory: the first of them; None when it has none.
    :param size: bytes of all databases.
    :param archive_timeout: None when a quiet server never closes a segment.
    """

    data_directory: str
    port: int
    socket_directory: str | None
    config_file: str
    version: str
    system_identifier: str
    timeline: int
    in_recovery: bool
    user: str
    superuser: bool
    databases: tuple[str, ...]
    size: int
    wal_segment_bytes: int
    wal_level: str
    archive_mode: str
    archive_command: str
    archive_library: str
    archive_timeout: timedelta | None
    full_page_writes: bool
    data_checksums: bool
    max_slot_wal_keep_size: str

    @property
    def major(self) -> int:
        """Of the version."""
        return major_of(self.version)

    @property
    def place(self) -> ClusterPlace:
        """What pgBackRest has to be told."""
        return ClusterPlace(self.data_directory, self.port, self.socket_directory, self.user)


@dataclass(frozen=True)
class Prepared:
    """What ``prepare_archive`` did.

    :param changed: the settings that were another, with the old values.
    :param restart_for: settings that hold only after the server was restarted; until then nothing is archived.
    """

    changed: dict[str, str] = field(default_factory=dict)
    restart_for: tuple[str, ...] = ()

    @property
    def in_words(self) -> str:
        """For people."""
        if not self.changed and not self.restart_for:
            return "archiving is set up already"
        done = f"changed {', '.join(sorted(self.changed))}" if self.changed else "nothing was to be changed"
        if self.restart_for:
            return f"{done}; restart the server for {', '.join(self.restart_for)}, until then nothing is archived"
        return done


def ask_cluster(server: PostgresServer) -> Cluster:
    """Ask a server about its cluster.

    :param server: as a superuser: only that one may see where the data is.
    :raises SourceUnavailable, SourceError, InsufficientRights: when it cannot be asked.
    """
    with server.connect() as connection:
        try:
            facts = connection.execute(_FACTS).fetchone()
            settings = _settings(connection, _SETTINGS)
        except psycopg.Error as error:
            raise meaning_of_session(error, server, "asking about the cluster") from error
    assert facts is not None
    identifier, timeline, in_recovery, user, superuser, databases, size = facts
    told = ("data_directory", "config_file", "unix_socket_directories")
    missing = [name for name in told if name not in settings]
    if missing:
        raise SourceError(
            f"{server.redacted}: the server does not tell role {user} its {' and '.join(missing)}; use a superuser"
        )
    sockets = [each.strip().strip('"') for each in settings["unix_socket_directories"].split(",")]
    timeout = int(settings["archive_timeout"])
    return Cluster(
        data_directory=settings["data_directory"],
        port=int(settings["port"]),
        socket_directory=next(filter(None, sockets), None),
        config_file=settings["config_file"],
        version=settings["server_version"],
        system_identifier=identifier,
        timeline=timeline,
        in_recovery=in_recovery,
        user=user,
        superuser=superuser,
        databases=tuple(databases),
        size=size,
        wal_segment_bytes=int(settings["wal_segment_size"]),
        wal_level=settings["wal_level"],
        archive_mode=settings["archive_mode"],
        archive_command=settings["archive_command"],
        archive_library=settings.get("archive_library", ""),
        archive_timeout=timedelta(seconds=timeout) if timeout else None,
        full_page_writes=settings["full_page_writes"] == "on",
        data_checksums=settings["data_checksums"] == "on",
        max_slot_wal_keep_size=settings.get("max_slot_wal_keep_size", "-1"),
    )


def prepare_archive(server: PostgresServer, command: str, timeout: timedelta) -> Prepared:
    """Make the server archive its WAL, by ``ALTER SYSTEM``. Safe to run again.

    :param server: as a superuser.
    :param command: as ``configuration.archive_command`` makes it.
    :param timeout: after which a quiet server closes a segment; whole seconds, at least one.
    :raises SourceError: when something else decides about a setting, such as the server's command line.
    """
    seconds = int(timeout.total_seconds())
    if seconds < 1:
        raise LifeboatError(f"archive_timeout of {timeout} would never close a quiet server's segment; give 1s or more")
    with server.connect() as connection:
        try:
            now = _settings(connection, (*_ARCHIVING, "archive_library"))
            level = now["wal_level"] if now["wal_level"] in _NEEDED_LEVELS else "replica"
            mode = now["archive_mode"] if now["archive_mode"] == "always" else "on"
            wanted = {"wal_level": level, "archive_mode": mode, "archive_command": command,
                      "archive_timeout": str(seconds)}
            if now.get("archive_library"):
                wanted["archive_library"] = ""
            changed = {name: now[name] for name, value in wanted.items() if now[name] != value}
            for name in changed:
                connection.execute(sql(f"ALTER SYSTEM SET {quote(name)} = {literal(wanted[name])}"))
            connection.execute("SELECT pg_catalog.pg_reload_conf()")
            return Prepared(changed, _settled(connection, server, wanted))
        except psycopg.Error as error:
            raise meaning_of_session(error, server, "switching archiving on") from error


def _settled(connection: psycopg.Connection[Any], server: PostgresServer, wanted: dict[str, str]) -> tuple[str, ...]:
    """The settings that wait for a restart, once the server has read its files again."""
    end = time.monotonic() + _RELOAD_SECONDS
    while True:
        rows = connection.execute(_GIVEN, [list(wanted)]).fetchall()
        other = [row for row in rows if row[4] != wanted[row[0]] and not row[1]]
        if not other:
            return tuple(sorted(row[0] for row in rows if row[1]))
        if time.monotonic() > end:
            name, _, source, file, value = other[0]
            raise SourceError(
                f"{server.redacted}: {name} stays {value!r} after ALTER SYSTEM, because {file or source} decides about "
                f"it; remove it there, then run this again"
            )
        time.sleep(0.1)


def _settings(connection: psycopg.Connection[Any], names: tuple[str, ...]) -> dict[str, str]:
    """Values in their base units: bytes, seconds."""
    return {row[0]: row[4] for row in connection.execute(_GIVEN, [list(names)])}
