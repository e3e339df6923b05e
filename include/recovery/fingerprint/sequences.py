"""Where sequences stand. They are not transactional: no snapshot holds them."""

from __future__ import annotations

from include.recovery.errors import InsufficientRights
from include.recovery.fingerprint.model import SequenceFingerprint
from include.recovery.fingerprint.session import Session, rows
from include.recovery.fingerprint.tables import QUALIFIED, USER_SCHEMA, extension_of

_SEQUENCES = f"""
SELECT {QUALIFIED}, s.seqincrement,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
  FROM pg_catalog.pg_sequence s
  JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE {USER_SCHEMA} AND c.relpersistence <> 't' AND {extension_of("pg_class", "c.oid")} IS NULL
 ORDER BY n.nspname, c.relname
"""
_READ_AT_ONCE = 200


def read_sequences(session: Session) -> dict[str, SequenceFingerprint]:
    """The position of every sequence, now.

    A dump reads them at its own time. Read them before it starts, and compare with ``at least``.

    :raises InsufficientRights: naming every sequence that this role may not read.
    """
    found = rows(session, _SEQUENCES)
    unreadable = [name for name, _, readable in found if not readable]
    if unreadable:
        raise InsufficientRights(
            f"database {session.info.dbname}: role {session.info.user} may not read the sequences "
            f"{', '.join(unreadable)}; grant it pg_read_all_data (`lifeboat prepare` does)"
        )
    positions: dict[str, SequenceFingerprint] = {}
    for start in range(0, len(found), _READ_AT_ONCE):
        batch = found[start : start + _READ_AT_ONCE]
        query = " UNION ALL ".join(
            f"SELECT {number}, last_value, is_called FROM {name}" for number, (name, _, _) in enumerate(batch)
        )
        for number, last_value, is_called in rows(session, query):
            name, increment, _ = batch[number]
            positions[name] = SequenceFingerprint(last_value=last_value, is_called=is_called, increment=increment)
    return positions
