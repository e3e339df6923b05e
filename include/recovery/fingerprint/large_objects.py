"""The content of large objects, hashed in the server a page at a time."""

from __future__ import annotations

from include.recovery.fingerprint.model import Mode, TableFingerprint
from include.recovery.fingerprint.row_hash import BucketRow, bucket_sums, combine, row_hash
from include.recovery.fingerprint.session import Session, rows, scalar

_AT_ONCE = 500

# A restore writes every page of an object, also those that a sparse one never had, and fills short pages inside it. So
# pages count without their trailing zero bytes, and not at all when nothing is left; the length is hashed apart.
_TRIMMED: dict[Mode, str] = {
    "record": r"pg_catalog.rtrim({data}, '\x00'::pg_catalog.bytea)",
    "text": "pg_catalog.decode(pg_catalog.regexp_replace(pg_catalog.encode({data}, 'hex'), '(00)+$', ''), 'hex')",
}

_ALL_PAGES = "SELECT loid, pageno, {trimmed} AS data FROM pg_catalog.pg_largeobject OFFSET 0"
_ALL_LENGTHS = """
SELECT m.oid AS loid, coalesce((SELECT l.pageno * 2048::bigint + pg_catalog.length(l.data)
                                  FROM pg_catalog.pg_largeobject l WHERE l.loid = m.oid
                                 ORDER BY l.pageno DESC LIMIT 1), 0) AS length
  FROM pg_catalog.pg_largeobject_metadata m
"""

# One by one through descriptors, as any role with rights on the objects may; 262144 opens for reading, 2 seeks the end.
_SOME_LENGTHS = """
SELECT opened.loid, measured.length
  FROM (SELECT o.loid, pg_catalog.lo_open(o.loid, 262144) AS fd
          FROM unnest({oids}::oid[]) AS o (loid) OFFSET 0) AS opened,
       LATERAL (SELECT pg_catalog.lo_lseek64(opened.fd, 0, 2) AS length OFFSET 0) AS measured,
       LATERAL (SELECT pg_catalog.lo_close(opened.fd) + (measured.length * 0)::integer AS done OFFSET 0) AS closed
 WHERE closed.done = 0
"""
_SOME_PAGES = """
SELECT o.loid, p.pageno::integer AS pageno, {trimmed} AS data
  FROM ({lengths}) AS o,
       LATERAL pg_catalog.generate_series(0, (o.length + 2047) / 2048 - 1) AS p (pageno) OFFSET 0
"""


def fingerprint_large_objects(session: Session, mode: Mode) -> TableFingerprint | None:
    """Count and digest over (oid, content) of all large objects; None when there are none. Memory stays flat.

    Reads the system's table of pages where the role may (a superuser, or by ``lifeboat prepare``), else asks for each
    object's bytes; both ways give the same digest.

    :raises psycopg.errors.InsufficientPrivilege: the role may do neither.
    """
    count = scalar(session, "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata")
    if not count:
        return None
    whole = scalar(session, "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')")
    sums = _by_pages(session, mode) if whole else _by_objects(session, mode)
    _, digest, buckets = combine(sums)
    return TableFingerprint(rows=count, digest=digest, columns=("content", "oid"), buckets=buckets)


def _by_pages(session: Session, mode: Mode) -> list[BucketRow]:
    pages = _ALL_PAGES.format(trimmed=_TRIMMED[mode].format(data="data"))
    return _sums(session, mode, pages, _ALL_LENGTHS)


def _by_objects(session: Session, mode: Mode) -> list[BucketRow]:
    sums: list[BucketRow] = []
    last = 0
    while True:
        query = "SELECT oid FROM pg_catalog.pg_largeobject_metadata WHERE oid > %s::oid ORDER BY oid LIMIT %s"
        oids = [row[0] for row in rows(session, query, [last, _AT_ONCE])]
        if not oids:
            return sums
        last = oids[-1]
        lengths = _SOME_LENGTHS.format(oids="'{" + ",".join(map(str, oids)) + "}'")
        data = "pg_catalog.lo_get(o.loid, p.pageno * 2048, 2048)"
        pages = _SOME_PAGES.format(trimmed=_TRIMMED[mode].format(data=data), lengths=lengths)
        sums += _sums(session, mode, pages, lengths)


def _sums(session: Session, mode: Mode, pages: str, lengths: str) -> list[BucketRow]:
    contents = f"SELECT * FROM ({pages}) AS trimmed WHERE pg_catalog.length(data) > 0"
    sizes = f"SELECT loid, -1 AS pageno, pg_catalog.int8send(length) AS data FROM ({lengths}) AS lengths"
    return [row for part in (contents, sizes) for row in rows(session, bucket_sums(_hashes(part, mode)))]


def _hashes(pages: str, mode: Mode) -> str:
    """SQL: ``h`` over a query of (loid, pageno, data)."""
    return f"SELECT {row_hash('ROW(loid, pageno, data)', mode)} AS h FROM ({pages}) AS pages"
