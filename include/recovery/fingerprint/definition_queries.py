"""Queries that return normalised definitions of tables and what hangs on them: (schema, kind, identity, definition).

They depend on no OID, no role (rights change what a role may do, never what it reads here), no ownership and no
privileges (see ``access``), not on the order of inherited columns, and on ``search_path`` being empty. What a restore
derives again under names of its own (constraints that partitions copy from their parent) is left out.

A definition is a JSON array as text: unambiguous, and made by the server.
"""

from __future__ import annotations

from collections.abc import Iterator

from include.recovery.fingerprint.tables import QUALIFIED, USER_SCHEMA, extension_of

_OURS = f"{USER_SCHEMA} AND c.relpersistence <> 't' AND {extension_of('pg_class', 'c.oid')} IS NULL"
_FROM_CLASS = "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
_COLLATION = """CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN
    (SELECT pg_catalog.format('%I.%I', k.nspname, l.collname) FROM pg_catalog.pg_collation l
       JOIN pg_catalog.pg_namespace k ON k.oid = l.collnamespace WHERE l.oid = a.attcollation) END"""


def sorted_array(array: str) -> str:
    """SQL: an array with its elements in byte order; null stays null."""
    return f'(SELECT array_agg(o ORDER BY o COLLATE "C") FROM unnest({array}) AS o)'


SCHEMAS = f"""
SELECT n.nspname::text, 'schema', pg_catalog.quote_ident(n.nspname), '[]'
  FROM pg_catalog.pg_namespace n WHERE {USER_SCHEMA} AND {extension_of("pg_namespace", "n.oid")} IS NULL
"""

RELATIONS = f"""
SELECT n.nspname::text,
       CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                      WHEN 'm' THEN 'materialised view' WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'composite type'
                      ELSE 'sequence' END,
       {QUALIFIED},
       pg_catalog.jsonb_build_array(
           c.relpersistence, (SELECT amname FROM pg_catalog.pg_am WHERE oid = c.relam AND c.relkind <> 'p'),
           {sorted_array("c.reloptions")},
           (SELECT {sorted_array("x.reloptions")} FROM pg_catalog.pg_class x WHERE x.oid = c.reltoastrelid),
           c.relrowsecurity, c.relforcerowsecurity, c.relreplident,
           CASE WHEN c.reloftype <> 0 THEN pg_catalog.format_type(c.reloftype, NULL) END,
           CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END,
           pg_catalog.pg_get_expr(c.relpartbound, c.oid),
           (SELECT array_agg(i.inhparent::regclass::text ORDER BY i.inhseqno)
              FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid),
           CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END,
           CASE WHEN c.relkind = 'm' THEN c.relispopulated END,
           (SELECT pg_catalog.jsonb_build_array(s.srvname, {sorted_array("f.ftoptions")})
              FROM pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver
             WHERE f.ftrelid = c.oid),
           (SELECT pg_catalog.jsonb_build_array(pg_catalog.format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement,
                       s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
              FROM pg_catalog.pg_sequence s WHERE s.seqrelid = c.oid),
           (SELECT array_agg(pg_catalog.format('%s.%I %s', d.refobjid::regclass, a.attname, d.deptype))
              FROM pg_catalog.pg_depend d
              JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
             WHERE c.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
               AND d.objsubid = 0 AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i'))
       )::text
  FROM {_FROM_CLASS}
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S') AND {_OURS}
"""

# PostgreSQL's security releases of 2026 stamp each column with a version of its own among its options (pg_attver).
_COLUMN_OPTIONS = """(SELECT array_agg(o ORDER BY o COLLATE "C") FROM unnest(a.attoptions) AS o
                         WHERE o NOT LIKE 'pg!_attver=%' ESCAPE '!')"""

# A column's place counts, unless the table inherits: a restore puts inherited columns first. A partition's columns are
# local once it was restored and attached, whatever they were before.
COLUMNS = f"""
SELECT n.nspname::text, 'column', {QUALIFIED} || '.' || pg_catalog.quote_ident(a.attname),
       pg_catalog.jsonb_build_array(
           pg_catalog.format_type(a.atttypid, a.atttypmod), {_COLLATION}, a.attnotnull,
           pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attidentity, {{generated}},
           CASE WHEN NOT c.relispartition THEN a.attislocal END,
           CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage END, {{compression}},
           coalesce(a.attstattarget, -1), {_COLUMN_OPTIONS}, {sorted_array("a.attfdwoptions")},
           CASE WHEN c.relispartition OR NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)
                THEN (SELECT count(*) FROM pg_catalog.pg_attribute b WHERE b.attrelid = c.oid AND b.attnum > 0
                         AND NOT b.attisdropped AND b.attnum <= a.attnum) END
       )::text
  FROM {_FROM_CLASS}
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND {_OURS}
"""

# Foreign keys that a partition copies from its parent get new names in a restore. PostgreSQL 18 lists NOT NULL as
# constraints too: those with something to say beyond the column's own flag are kept, without their names.
CONSTRAINTS = f"""
SELECT n.nspname::text, 'constraint',
       CASE WHEN k.contype = 'n' THEN pg_catalog.pg_get_constraintdef(k.oid) ELSE pg_catalog.quote_ident(k.conname) END
           || ' on ' || {QUALIFIED},
       pg_catalog.jsonb_build_array(
           k.contype, pg_catalog.pg_get_constraintdef(k.oid), k.convalidated,
           CASE WHEN NOT c.relispartition THEN k.conislocal END)::text
  FROM {_FROM_CLASS}
  JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid
 WHERE k.contype <> 't' AND NOT (k.contype = 'f' AND k.conparentid <> 0)
   AND (k.contype <> 'n' OR k.connoinherit OR NOT k.convalidated) AND {_OURS}
"""

# Invalid indexes are left by a failed CREATE INDEX CONCURRENTLY; no dump contains them.
INDEXES = f"""
SELECT n.nspname::text, 'index', pg_catalog.format('%I.%I on ', n.nspname, x.relname) || {QUALIFIED},
       pg_catalog.jsonb_build_array(
           pg_catalog.pg_get_indexdef(i.indexrelid), i.indisprimary, i.indisclustered, i.indisreplident,
           (SELECT p.inhparent::regclass FROM pg_catalog.pg_inherits p WHERE p.inhrelid = i.indexrelid),
           (SELECT array_agg(a.attnum || ' ' || a.attstattarget ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0))::text
  FROM {_FROM_CLASS}
  JOIN pg_catalog.pg_index i ON i.indrelid = c.oid
  JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
 WHERE (i.indisvalid OR c.relkind = 'p') AND {_OURS}
"""

TRIGGERS = f"""
SELECT n.nspname::text, 'trigger', pg_catalog.quote_ident(g.tgname) || ' on ' || {QUALIFIED},
       pg_catalog.jsonb_build_array(pg_catalog.pg_get_triggerdef(g.oid), g.tgenabled)::text
  FROM {_FROM_CLASS}
  JOIN pg_catalog.pg_trigger g ON g.tgrelid = c.oid
 WHERE NOT g.tgisinternal AND {_OURS}
"""

RULES = f"""
SELECT n.nspname::text, 'rule', pg_catalog.quote_ident(r.rulename) || ' on ' || {QUALIFIED},
       pg_catalog.jsonb_build_array(pg_catalog.pg_get_ruledef(r.oid), r.ev_enabled)::text
  FROM {_FROM_CLASS}
  JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid
 WHERE r.rulename <> '_RETURN' AND {_OURS}
"""

POLICIES = f"""
SELECT n.nspname::text, 'policy', pg_catalog.quote_ident(p.polname) || ' on ' || {QUALIFIED},
       pg_catalog.jsonb_build_array(
           p.polcmd, p.polpermissive, pg_catalog.pg_get_expr(p.polqual, c.oid),
           pg_catalog.pg_get_expr(p.polwithcheck, c.oid),
           (SELECT array_agg(r ORDER BY r COLLATE "C") FROM (
               SELECT CASE WHEN o = 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(o)::text END
                 FROM unnest(p.polroles) AS o) AS roles (r)))::text
  FROM {_FROM_CLASS}
  JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid
 WHERE {_OURS}
"""

STATISTICS = f"""
SELECT n.nspname::text, 'statistics', pg_catalog.format('%I.%I', n.nspname, s.stxname),
       pg_catalog.jsonb_build_array(pg_catalog.pg_get_statisticsobjdef(s.oid), {{target}})::text
  FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
 WHERE {USER_SCHEMA} AND {extension_of("pg_statistic_ext", "s.oid")} IS NULL
"""


def relation_queries(version: int) -> Iterator[str]:
    """The queries of this module for a server.

    :param version: as ``server_version_num``.
    """
    yield SCHEMAS
    yield RELATIONS
    yield COLUMNS.format(
        generated="a.attgenerated" if version >= 120000 else "''",
        compression="nullif(a.attcompression, '')" if version >= 140000 else "NULL",
    )
    yield CONSTRAINTS
    yield INDEXES
    yield TRIGGERS
    yield RULES
    yield POLICIES
    yield STATISTICS.format(target="coalesce(s.stxstattarget, -1)" if version >= 130000 else "-1")
