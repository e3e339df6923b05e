"""The globals part: the roles that a database needs, so that its application can log in to a restored copy.

When written it is cut down to the roles that this database knows: a system's backup must not carry the password hashes
of its neighbours on the same server. When applied it makes the roles that are missing and leaves alone those that
exist: their passwords may have been changed since, and a restore must not undo that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from include.recovery.errors import SourceError
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.server import PostgresServer, sql
from include.recovery.postgres.sql_text import Token, rename_word, significant, statements, text_of

_ROLES_OF_DATABASE = """
    WITH RECURSIVE this AS (
        SELECT oid, datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
    ), direct AS (
        SELECT s.refobjid AS role FROM pg_catalog.pg_shdepend s, this
         WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
           AND (s.dbid = this.oid
                OR s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass AND s.objid = this.oid)
        UNION SELECT datdba FROM this
        UNION SELECT setrole FROM pg_catalog.pg_db_role_setting, this WHERE setdatabase = this.oid AND setrole <> 0
        UNION SELECT umuser FROM pg_catalog.pg_user_mappings WHERE umuser <> 0
        UNION SELECT 10::pg_catalog.oid
    ), members AS (
        SELECT d.role FROM direct d JOIN pg_catalog.pg_roles r ON r.oid = d.role WHERE r.rolname NOT LIKE 'pg\\_%'
        UNION SELECT m.member FROM members JOIN pg_catalog.pg_auth_members m ON m.roleid = members.role
    ), groups AS (
        SELECT role FROM members UNION SELECT role FROM direct
        UNION SELECT m.roleid FROM groups JOIN pg_catalog.pg_auth_members m ON m.member = groups.role
    )
    SELECT r.rolname FROM groups JOIN pg_catalog.pg_roles r ON r.oid = groups.role ORDER BY 1
"""
_SUPERUSER_WORDS = ("SUPERUSER", "REPLICATION", "BYPASSRLS")


@dataclass(frozen=True)
class RolesReport:
    """What applying the globals did.

    :param created: roles that were missing.
    :param kept: roles that existed and were left as they are.
    :param weakened: attributes that only a superuser could have given, and that were left away.
    """

    created: tuple[str, ...]
    kept: tuple[str, ...]
    weakened: tuple[str, ...]


def roles_of_database(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    """The roles that the connected database knows: owners, grantees, their groups and their members."""
    return tuple(row[0] for row in connection.execute(sql(_ROLES_OF_DATABASE)))


def only_roles(script: str, roles: Collection[str]) -> str:
    """pg_dumpall's script with nothing in it but these roles and what is said about them.

    Tablespaces are left out: a copy is restored into the default one.
    """
    kept = []
    for statement in statements(script):
        subjects = _subjects(statement)
        if subjects is not None and all(name in roles for name in subjects):
            kept.append(text_of(statement) + ";")
    return "\n".join(["-- Roles of one database, from pg_dumpall --globals-only", *kept, ""])


def apply_roles(server: PostgresServer, script: str) -> RolesReport:
    """Make the roles of a script that are missing on a server.

    :raises SourceError: when the server refuses a statement; the message never shows a password hash.
    :raises SourceUnavailable: when the server goes away.
    """
    try:
        return _apply(server, script)
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise meaning_of_session(error, server, "restoring roles") from None


def _apply(server: PostgresServer, script: str) -> RolesReport:
    created: list[str] = []
    kept: list[str] = []
    weakened: list[str] = []
    with server.connect() as connection:
        existing = {row[0] for row in connection.execute("SELECT rolname FROM pg_catalog.pg_roles")}
        row = connection.execute("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user").fetchone()
        superuser = bool(row and row[0])
        for statement in statements(script):
            subjects = _subjects(statement)
            if subjects is None:
                continue
            words = significant(statement)
            if _begins(words, "CREATE", "ROLE"):
                if subjects[0] in existing:
                    kept.append(subjects[0])
                    continue
                created.append(subjects[0])
            elif not any(name in created for name in subjects):
                continue
            elif not superuser:
                weakened += [f"{subjects[0]}: {word}" for word in _superuser_words(statement)]
            fitting = statement if superuser else _without_superuser_words(statement)
            _execute(connection, server, _without_grantor(fitting), subjects)
    return RolesReport(tuple(created), tuple(kept), tuple(weakened))


def for_database(script: str, database: str) -> list[str]:
    """The statements about a database, rewritten to be about another one.

    :param script: what a dump's DATABASE, DATABASE PROPERTIES, ACL and COMMENT entries hold.
    :param database: the new name.
    """
    return [text_of(_without_tablespace(_renamed(statement, database))) for statement in statements(script)]


def _renamed(statement: list[Token], database: str) -> list[Token]:
    words = significant(statement)
    keywords = [token.upper for token in words]
    start = keywords.index("IN") if keywords[:2] in (["ALTER", "ROLE"], ["ALTER", "USER"]) and "IN" in keywords else 0
    position = keywords.index("DATABASE", start) + 1
    return rename_word(statement, position, database)


def _without_tablespace(statement: list[Token]) -> list[Token]:
    """The statement without ``TABLESPACE = name``."""
    words = [index for index, token in enumerate(statement) if token.kind != "space"]
    for place, index in enumerate(words):
        follows_equals = place + 2 < len(words) and statement[words[place + 1]].text == "="
        if statement[index].upper == "TABLESPACE" and follows_equals:
            return statement[:index] + statement[words[place + 2] + 1 :]
    return statement


def _subjects(statement: Sequence[Token]) -> list[str] | None:
    """The roles that a statement of pg_dumpall is about; None when it is about no role."""
    words = significant(statement)
    if _begins(words, "CREATE", "ROLE") or _begins(words, "ALTER", "ROLE"):
        return [str(words[2].name)]
    keywords = [token.upper for token in words]
    if _begins(words, "COMMENT", "ON", "ROLE"):
        return [str(words[3].name)]
    if _begins(words, "SECURITY", "LABEL") and "ROLE" in keywords:
        return [str(words[keywords.index("ROLE") + 1].name)]
    if keywords[:1] == ["GRANT"] and "TO" in keywords:
        member = str(words[keywords.index("TO") + 1].name)
        if "ON" in keywords[: keywords.index("TO")]:
            return [member] if "PARAMETER" in keywords else None
        group = str(words[1].name)
        return [member] if group.startswith("pg_") else [member, group]
    return None


def _begins(words: Sequence[Token], *keywords: str) -> bool:
    return len(words) > len(keywords) and [token.upper for token in words[: len(keywords)]] == list(keywords)


def _without_grantor(statement: Sequence[Token]) -> list[Token]:
    """The statement without ``GRANTED BY name``: who granted it there need not exist here."""
    words = [index for index, token in enumerate(statement) if token.kind != "space"]
    for place, index in enumerate(words[:-2]):
        if statement[index].upper == "GRANTED" and statement[words[place + 1]].upper == "BY":
            return [*statement[:index], *statement[words[place + 2] + 1 :]]
    return list(statement)


def _superuser_words(statement: Sequence[Token]) -> list[str]:
    """The attributes that ``ALTER ROLE ... WITH`` gives and that only a superuser may give."""
    return [token.upper for token in _attributes(statement) if token.upper in _SUPERUSER_WORDS]


def _without_superuser_words(statement: Sequence[Token]) -> list[Token]:
    """The statement without the attributes that only a superuser may even mention."""
    unwanted = [token for token in _attributes(statement) if token.upper.removeprefix("NO") in _SUPERUSER_WORDS]
    return [token for token in statement if not any(token is other for other in unwanted)]


def _attributes(statement: Sequence[Token]) -> list[Token]:
    words = significant(statement)
    is_attributes = _begins(words, "ALTER", "ROLE") and words[3].upper == "WITH"
    return [token for token in words[4:] if token.kind == "word"] if is_attributes else []


def _execute(
    connection: psycopg.Connection[Any], server: PostgresServer, statement: Sequence[Token], subjects: Sequence[str]
) -> None:
    text = text_of(statement)
    if _begins(significant(statement), "ALTER", "ROLE") and significant(statement)[-1].upper == "WITH":
        return
    try:
        connection.execute(sql(text))
    except (psycopg.OperationalError, psycopg.InterfaceError):
        raise  # that the server is gone says nothing about the role
    except psycopg.Error as error:
        # Not chained and not quoted: the statement may hold a password hash.
        raise SourceError(
            f"{server.redacted}: role {' and '.join(subjects)} could not be restored: {error.diag.message_primary}; "
            f"use a role with CREATEROLE (or a superuser), or restore without roles"
        ) from None
