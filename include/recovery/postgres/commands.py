"""The argv of every PostgreSQL tool that Lifeboat runs. Pure: nothing here runs anything, nothing here is a secret.

Databases are named by the environment (``PGDATABASE``) where a tool allows it, and by a quoted ``dbname=`` elsewhere.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from include.recovery.postgres.names import conninfo_database, exact_pattern
from include.recovery.postgres.tools import Tools

Relation = tuple[str, str]
"""Schema and name."""


def _dump(tools: Tools, snapshot: str, lock_wait: int) -> list[str]:
    return [
        tools.path("pg_dump"), "--format=custom", "--compress=0", "--no-password", "--no-sync",
        f"--snapshot={snapshot}", f"--lock-wait-timeout={lock_wait * 1000}",
    ]


def dump_schema(
    tools: Tools, snapshot: str, *, lock_wait: int, subscriptions: bool = True
) -> list[str]:
    """Dump all definitions and no rows.

    :param lock_wait: seconds that the tool may wait for a lock before it fails.
    :param subscriptions: False where the role may not read them; the backup says so.
    """
    more = [] if subscriptions else ["--no-subscriptions"]
    return [*_dump(tools, snapshot, lock_wait), "--section=pre-data", "--section=post-data", *more]


def dump_tables(tools: Tools, snapshot: str, tables: Sequence[Relation], *, lock_wait: int) -> list[str]:
    """Dump the rows of these tables (with the positions of the sequences that they own) and nothing else."""
    patterns = [f"--table={exact_pattern(schema, name)}" for schema, name in tables]
    return [*_dump(tools, snapshot, lock_wait), "--section=data", "--strict-names", *patterns]


def dump_rest(tools: Tools, snapshot: str, without: Sequence[Relation], *, lock_wait: int) -> list[str]:
    """Dump all rows but those of the named tables: whatever nobody thought of is in here, and large objects."""
    patterns = [f"--exclude-table-data={exact_pattern(schema, name)}" for schema, name in without]
    return [*_dump(tools, snapshot, lock_wait), "--section=data", *patterns]


def dump_globals(tools: Tools, database: str, *, passwords: bool) -> list[str]:
    """Print roles, memberships and tablespaces.

    :param passwords: with their hashes; needs SELECT on ``pg_authid`` in that database.
    """
    more = [] if passwords else ["--no-role-passwords"]
    return [
        tools.path("pg_dumpall"), "--globals-only", "--no-password", "--dbname", conninfo_database(database), *more
    ]


def restore_stream(tools: Tools, database: str) -> list[str]:
    """Restore the rows of one archive that comes through stdin."""
    return [
        tools.path("pg_restore"), "--exit-on-error", "--no-password", "--section=data",
        "--dbname", conninfo_database(database),
    ]


def restore_file(
    tools: Tools, database: str, archive: str, section: str, *, jobs: int = 1, entries: str | None = None
) -> list[str]:
    """Restore one section of an archive file.

    :param section: ``pre-data``, ``data`` or ``post-data``.
    :param entries: a file with the numbers of the entries to restore, in their order; None for all.
    """
    parallel = [f"--jobs={jobs}"] if jobs > 1 else []
    chosen = [f"--use-list={entries}"] if entries else []
    return [
        tools.path("pg_restore"), "--exit-on-error", "--no-password", "--no-tablespaces", f"--section={section}",
        *parallel, *chosen, "--dbname", conninfo_database(database), archive,
    ]


def print_sql(tools: Tools, archive: str | None = None, *, create: bool = False, data_only: bool = False) -> list[str]:
    """Print an archive (a file, or None for stdin) as SQL on stdout.

    :param create: with the statements that make the database itself.
    """
    more = ["--create"] if create else []
    more += ["--section=data"] if data_only else []
    return [tools.path("pg_restore"), "--file=-", *more, *([archive] if archive else [])]


def init_cluster(tools: Tools, data: str, *, superuser: str = "postgres") -> list[str]:
    """Make an empty cluster that trusts whoever can open its (private) socket."""
    return [
        tools.path("initdb"), "--pgdata", data, "--username", superuser, "--auth=trust", "--encoding=UTF8",
        "--locale=C.UTF-8", "--no-sync", "--no-instructions",
    ]


def start_cluster(
    tools: Tools, data: str, log: str, *, wait: int | None, settings: Mapping[str, str] | None = None
) -> list[str]:
    """Start a cluster in the background.

    :param wait: seconds within which it must take connections; None returns at once.
    :param settings: these win over every file of the cluster's.
    """
    waiting = ["--no-wait"] if wait is None else ["--wait", "--timeout", str(wait)]
    words = [word for name, value in (settings or {}).items() for word in ("-c", f"{name}={value}")]
    options = ["--options", shlex.join(words)] if words else []
    return [tools.path("pg_ctl"), "start", "--pgdata", data, "--log", log, *waiting, "--silent", *options]


def control_data(tools: Tools, data: str) -> list[str]:
    """Print what a cluster's control file says."""
    return [tools.path("pg_controldata"), "--pgdata", data]


def stop_cluster(tools: Tools, data: str, *, mode: str, wait: int) -> list[str]:
    """Stop a cluster.

    :param mode: ``fast``, or ``immediate`` where nothing on disk matters any more.
    """
    return [
        tools.path("pg_ctl"), "stop", "--pgdata", data, "--mode", mode, "--wait", "--timeout", str(wait), "--silent"
    ]


def check_structure(tools: Tools, *, jobs: int) -> list[str]:
    """Check every table and B-tree index of all databases, also that each row is in each index."""
    return [
        tools.path("pg_amcheck"), "--all", "--install-missing", "--heapallindexed",
        f"--jobs={jobs}", "--no-password",
    ]  # fmt: skip


def check_checksums(tools: Tools, data: str) -> list[str]:
    """Compare the checksum of every page of a cluster that is shut down."""
    return [tools.path("pg_checksums"), "--check", "--pgdata", data]
