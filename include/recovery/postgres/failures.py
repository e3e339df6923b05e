"""What a failed tool or session means: is it worth another try, is a right missing, or is it simply broken?"""

from __future__ import annotations

import psycopg

from include.recovery.errors import (
    InsufficientRights,
    LifeboatError,
    RowsHidden,
    SourceError,
    SourceUnavailable,
    ToolFailed,
)
from include.recovery.postgres.server import PostgresServer

_GONE = ("server closed the connection", "connection to server", "could not connect", "terminating connection",
         "the database system is", "could not receive data from server", "could not send data to server",
         "connection not open", "SSL connection has been closed", "invalid snapshot identifier",
         "could not import the requested snapshot")
_LOCKED = ("canceling statement due to lock timeout", "could not obtain lock", "deadlock detected",
           "canceling statement due to statement timeout")  # pg_dump's --lock-wait-timeout is one, and we set no other
_DENIED = ("permission denied", "must be superuser", "must be owner", "must be member of")
_RLS = ("row-level security", "row security")


def meaning(error: ToolFailed, server: PostgresServer, doing: str) -> LifeboatError:
    """The error to raise for a tool that failed.

    :param doing: what it was for, such as ``dumping public.users``.
    """
    said = _last_words(error.stderr)
    where = f"{server.redacted}: {doing} failed"
    if any(word in error.stderr for word in _LOCKED):
        return SourceUnavailable(
            f"{where}: somebody waits for an exclusive lock on one of the tables ({said}); try again when that "
            f"ALTER, DROP, TRUNCATE or VACUUM FULL is through"
        )
    if any(word in error.stderr for word in _RLS):
        return RowsHidden(f"{where}: {said}; give the role BYPASSRLS (`lifeboat prepare` does)")
    if any(word in error.stderr for word in _GONE):
        return SourceUnavailable(f"{where}: the server went away ({said}); try again when it runs")
    if any(word in error.stderr for word in _DENIED):
        return InsufficientRights(f"{where}: {said}; `lifeboat prepare` grants what is missing")
    named = ToolFailed(error.tool, error.exit_code, error.stderr)
    named.args = (f"{where}: {error}",)
    return named


def meaning_of_session(error: psycopg.Error, server: PostgresServer, doing: str) -> LifeboatError:
    """The error to raise for a session that failed."""
    said = error.diag.message_primary or " ".join(str(error).split())
    where = f"{server.redacted}: {doing} failed"
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return InsufficientRights(f"{where}: {said}; `lifeboat prepare` grants what is missing")
    if isinstance(error, (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)):
        return SourceUnavailable(f"{where}: somebody holds or waits for a lock that is needed ({said}); try again")
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return SourceUnavailable(f"{where}: the server went away ({said}); try again when it runs")
    return SourceError(f"{where}: {said}")


def _last_words(stderr: str) -> str:
    """The lines that say what is wrong, in one line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()] or lines
    return " ".join(telling[-3:]) or "it said nothing"
