"""Names as SQL and as pg_dump's patterns need them. All functions here are pure.

A *qualified* name is what ``format('%I.%I', schema, name)`` gives on the server: ``public.users``,
``"Odd Schema"."tab.le"``. It is the key of manifests and fingerprints.
"""

from __future__ import annotations

import re

from include.recovery.errors import LifeboatError

_IDENTIFIER = re.compile(r'"(?:[^"]|"")+"|[^\W\d][\w$]*', re.UNICODE)


def quote(identifier: str) -> str:
    """The identifier, always in double quotes.

    :raises LifeboatError: for a NUL, which no PostgreSQL name can hold.
    """
    if "\0" in identifier or not identifier:
        raise LifeboatError(f"{identifier!r} cannot be the name of anything in PostgreSQL; give the exact name")
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as an SQL string constant, whatever ``standard_conforming_strings`` says."""
    if "\0" in text:
        raise LifeboatError("a text with a NUL byte cannot be sent to PostgreSQL; remove it")
    body = text.replace("'", "''")
    return f" E'{body.replace(chr(92), chr(92) * 2)}'" if "\\" in text else f"'{body}'"


def parse_qualified(name: str) -> tuple[str, str]:
    """Schema and relation of a qualified name, quotes resolved; unquoted parts are folded to lower case as SQL does.

    :raises LifeboatError: when it is not ``schema.table``.
    """
    parts: list[str] = []
    position = 0
    while match := _IDENTIFIER.match(name, position):
        token = match.group()
        parts.append(token[1:-1].replace('""', '"') if token.startswith('"') else token.lower())
        position = match.end()
        if position == len(name) or name[position] != ".":
            break
        position += 1
    if len(parts) != 2 or position != len(name):
        raise LifeboatError(
            f"{name!r} is not the qualified name of a table; write schema.table, with double quotes around a part "
            f'that has capitals, spaces or dots, such as public.users or "Odd Schema"."tab.le"'
        )
    return parts[0], parts[1]


def exact_pattern(schema: str, name: str) -> str:
    """A pattern for pg_dump's ``-t`` and its like that matches this one relation and nothing else.

    Inside double quotes pg_dump takes ``* ? . |`` and all the rest literally; unquoted they would be wild cards.
    """
    return f"{quote(schema)}.{quote(name)}"


def conninfo_database(database: str) -> str:
    """A ``-d`` argument that names exactly this database: a bare name holding ``=`` would be taken for options."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def clipped(name: str, suffix: str, limit: int = 63) -> str:
    """``name + suffix``, the name shortened so that the whole fits PostgreSQL's limit of bytes.

    :param limit: bytes; a longer name would be cut by the server, silently.
    """
    room = limit - len(suffix.encode())
    return name.encode()[:room].decode("utf-8", "ignore") + suffix
