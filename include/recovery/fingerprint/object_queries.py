"""Queries that return normalised definitions of what is not a table: (schema, kind, identity, definition).

The rules are those of ``definition_queries``. Objects that lie in no schema come with the schema ``(database)``.
"""

from __future__ import annotations

from collections.abc import Iterator

from include.recovery.fingerprint.definition_queries import sorted_array
from include.recovery.fingerprint.tables import USER_SCHEMA, extension_of

DATABASE = "(database)"
"""Stands for the schema of what lies in none."""

_FIRST_USER_OID = 16384


def _named(catalog: str, alias: str) -> str:
    """SQL condition: an object in a user's schema that no extension brought."""
    return f"{USER_SCHEMA} AND {extension_of(catalog, alias + '.oid')} IS NULL"


def _added(catalog: str, alias: str) -> str:
    """SQL condition: an object without a schema that someone added, and no extension."""
    return f"{alias}.oid >= {_FIRST_USER_OID} AND {extension_of(catalog, alias + '.oid')} IS NULL"


def _function(oid: str) -> str:
    """SQL: a function's name and argument types; null for none."""
    return f"CASE WHEN {oid} <> 0 THEN ({oid})::pg_catalog.oid::regprocedure::text END"


FUNCTIONS = f"""
SELECT n.nspname::text, CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
       p.oid::regprocedure::text,
       CASE WHEN p.prokind <> 'a' THEN
           pg_catalog.jsonb_build_array(pg_catalog.pg_get_functiondef(p.oid), {{support}})
       ELSE (SELECT pg_catalog.jsonb_build_array(
                 pg_catalog.pg_get_function_arguments(p.oid), pg_catalog.pg_get_function_result(p.oid),
                 g.aggkind, {_function("g.aggtransfn")}, {_function("g.aggfinalfn")}, {_function("g.aggcombinefn")},
                 {_function("g.aggserialfn")}, {_function("g.aggdeserialfn")}, {_function("g.aggmtransfn")},
                 {_function("g.aggminvtransfn")}, {_function("g.aggmfinalfn")}, g.aggfinalextra, g.aggmfinalextra,
                 g.aggfinalmodify, g.aggmfinalmodify,
                 CASE WHEN g.aggsortop <> 0 THEN g.aggsortop::regoperator::text END,
                 pg_catalog.format_type(g.aggtranstype, NULL), g.aggtransspace,
                 CASE WHEN g.aggmtranstype <> 0 THEN pg_catalog.format_type(g.aggmtranstype, NULL) END,
                 g.aggmtransspace, g.agginitval, g.aggminitval, p.proparallel)
               FROM pg_catalog.pg_aggregate g WHERE g.aggfnoid = p.oid) END::text
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE {_named("pg_proc", "p")}
"""

# Composite types of tables and array types follow from what they belong to.
TYPES = f"""
SELECT n.nspname::text,
       CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range' ELSE 'type' END,
       pg_catalog.format_type(t.oid, NULL),
       pg_catalog.jsonb_build_array(
           (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e
             WHERE e.enumtypid = t.oid),
           CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END,
           t.typnotnull, t.typdefault,
           (SELECT pg_catalog.format('%I.%I', k.nspname, l.collname) FROM pg_catalog.pg_collation l
              JOIN pg_catalog.pg_namespace k ON k.oid = l.collnamespace WHERE l.oid = t.typcollation),
           (SELECT array_agg(pg_catalog.quote_ident(k.conname) || ' ' || pg_catalog.pg_get_constraintdef(k.oid)
                             || ' ' || k.convalidated ORDER BY k.conname)
              FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype <> 'n'),
           (SELECT pg_catalog.jsonb_build_array(
                pg_catalog.format_type(r.rngsubtype, NULL), {{multirange}},
                (SELECT pg_catalog.format('%I.%I', k.nspname, o.opcname) FROM pg_catalog.pg_opclass o
                   JOIN pg_catalog.pg_namespace k ON k.oid = o.opcnamespace WHERE o.oid = r.rngsubopc),
                (SELECT pg_catalog.format('%I.%I', k.nspname, l.collname) FROM pg_catalog.pg_collation l
                   JOIN pg_catalog.pg_namespace k ON k.oid = l.collnamespace WHERE l.oid = r.rngcollation),
                {_function("r.rngcanonical")}, {_function("r.rngsubdiff")})
              FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid),
           CASE WHEN t.typtype = 'b' THEN pg_catalog.jsonb_build_array(
                t.typisdefined, t.typlen, t.typbyval, t.typalign, t.typstorage, t.typcategory, t.typispreferred,
                t.typdelim, {_function("t.typinput")}, {_function("t.typoutput")}, {_function("t.typreceive")},
                {_function("t.typsend")}, {_function("t.typmodin")}, {_function("t.typmodout")},
                {_function("t.typanalyze")},
                CASE WHEN t.typelem <> 0 THEN pg_catalog.format_type(t.typelem, NULL) END) END
       )::text
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
 WHERE t.typtype IN ('b', 'd', 'e', 'r', 'p') AND t.typrelid = 0
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid) AND {_named("pg_type", "t")}
"""

# An operator without a function was only named as another's commutator or negator; no dump contains it.
OPERATORS = f"""
SELECT n.nspname::text, 'operator', o.oid::regoperator::text,
       pg_catalog.jsonb_build_array(
           {_function("o.oprcode")}, o.oprcanmerge, o.oprcanhash, pg_catalog.format_type(o.oprresult, NULL),
           CASE WHEN o.oprcom <> 0 THEN o.oprcom::regoperator::text END,
           CASE WHEN o.oprnegate <> 0 THEN o.oprnegate::regoperator::text END,
           {_function("o.oprrest")}, {_function("o.oprjoin")})::text
  FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
 WHERE o.oprcode <> 0 AND {_named("pg_operator", "o")}
"""

OPERATOR_CLASSES = f"""
SELECT n.nspname::text, 'operator class', pg_catalog.format('%I.%I using %I', n.nspname, o.opcname, m.amname),
       pg_catalog.jsonb_build_array(
           pg_catalog.format_type(o.opcintype, NULL), o.opcdefault,
           CASE WHEN o.opckeytype <> 0 THEN pg_catalog.format_type(o.opckeytype, NULL) END,
           (SELECT pg_catalog.format('%I.%I', k.nspname, f.opfname) FROM pg_catalog.pg_opfamily f
              JOIN pg_catalog.pg_namespace k ON k.oid = f.opfnamespace WHERE f.oid = o.opcfamily))::text
  FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace
  JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod
 WHERE {_named("pg_opclass", "o")}
"""

OPERATOR_FAMILIES = f"""
SELECT n.nspname::text, 'operator family', pg_catalog.format('%I.%I using %I', n.nspname, f.opfname, m.amname),
       pg_catalog.jsonb_build_array(
           (SELECT array_agg(pg_catalog.format('%s %s %s', o.amopstrategy, o.amopopr::regoperator, o.amoppurpose)
                             ORDER BY o.amopstrategy, o.amopopr::regoperator::text COLLATE "C")
              FROM pg_catalog.pg_amop o WHERE o.amopfamily = f.oid),
           (SELECT array_agg(pg_catalog.format('%s %s %s %s', p.amprocnum, p.amproc::regprocedure,
                                               p.amproclefttype::regtype, p.amprocrighttype::regtype)
                             ORDER BY p.amprocnum, p.amproclefttype::regtype::text COLLATE "C",
                                      p.amprocrighttype::regtype::text COLLATE "C")
              FROM pg_catalog.pg_amproc p WHERE p.amprocfamily = f.oid))::text
  FROM pg_catalog.pg_opfamily f JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace
  JOIN pg_catalog.pg_am m ON m.oid = f.opfmethod
 WHERE {_named("pg_opfamily", "f")}
"""

COLLATIONS = f"""
SELECT n.nspname::text, 'collation', pg_catalog.format('%I.%I', n.nspname, l.collname),
       pg_catalog.jsonb_build_array(l.collprovider, l.collcollate, l.collctype, {{details}})::text
  FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace
 WHERE {_named("pg_collation", "l")}
"""

CONVERSIONS = f"""
SELECT n.nspname::text, 'conversion', pg_catalog.format('%I.%I', n.nspname, v.conname),
       pg_catalog.jsonb_build_array(v.conforencoding, v.contoencoding, {_function("v.conproc")}, v.condefault)::text
  FROM pg_catalog.pg_conversion v JOIN pg_catalog.pg_namespace n ON n.oid = v.connamespace
 WHERE {_named("pg_conversion", "v")}
"""

TEXT_SEARCH = f"""
SELECT n.nspname::text, 'text search dictionary', pg_catalog.format('%I.%I', n.nspname, d.dictname),
       pg_catalog.jsonb_build_array(d.dictinitoption,
           (SELECT pg_catalog.format('%I.%I', k.nspname, m.tmplname) FROM pg_catalog.pg_ts_template m
              JOIN pg_catalog.pg_namespace k ON k.oid = m.tmplnamespace WHERE m.oid = d.dicttemplate))::text
  FROM pg_catalog.pg_ts_dict d JOIN pg_catalog.pg_namespace n ON n.oid = d.dictnamespace
 WHERE {_named("pg_ts_dict", "d")}
UNION ALL
SELECT n.nspname::text, 'text search configuration', pg_catalog.format('%I.%I', n.nspname, g.cfgname),
       pg_catalog.jsonb_build_array(
           (SELECT pg_catalog.format('%I.%I', k.nspname, s.prsname) FROM pg_catalog.pg_ts_parser s
              JOIN pg_catalog.pg_namespace k ON k.oid = s.prsnamespace WHERE s.oid = g.cfgparser),
           (SELECT array_agg(pg_catalog.format('%s %s %s', m.maptokentype, m.mapseqno, m.mapdict::regdictionary)
                             ORDER BY m.maptokentype, m.mapseqno)
              FROM pg_catalog.pg_ts_config_map m WHERE m.mapcfg = g.oid))::text
  FROM pg_catalog.pg_ts_config g JOIN pg_catalog.pg_namespace n ON n.oid = g.cfgnamespace
 WHERE {_named("pg_ts_config", "g")}
UNION ALL
SELECT n.nspname::text, 'text search parser', pg_catalog.format('%I.%I', n.nspname, s.prsname),
       pg_catalog.jsonb_build_array(s.prsstart::regproc, s.prstoken::regproc, s.prsend::regproc,
                                    s.prsheadline::regproc, s.prslextype::regproc)::text
  FROM pg_catalog.pg_ts_parser s JOIN pg_catalog.pg_namespace n ON n.oid = s.prsnamespace
 WHERE {_named("pg_ts_parser", "s")}
UNION ALL
SELECT n.nspname::text, 'text search template', pg_catalog.format('%I.%I', n.nspname, m.tmplname),
       pg_catalog.jsonb_build_array(m.tmplinit::regproc, m.tmpllexize::regproc)::text
  FROM pg_catalog.pg_ts_template m JOIN pg_catalog.pg_namespace n ON n.oid = m.tmplnamespace
 WHERE {_named("pg_ts_template", "m")}
"""

CASTS = f"""
SELECT '{DATABASE}', 'cast',
       pg_catalog.format_type(k.castsource, NULL) || ' as ' || pg_catalog.format_type(k.casttarget, NULL),
       pg_catalog.jsonb_build_array({_function("k.castfunc")}, k.castcontext, k.castmethod)::text
  FROM pg_catalog.pg_cast k WHERE {_added("pg_cast", "k")}
UNION ALL
SELECT '{DATABASE}', 'transform',
       pg_catalog.format('for %s language %s', pg_catalog.format_type(f.trftype, NULL),
                         (SELECT lanname FROM pg_catalog.pg_language WHERE oid = f.trflang)),
       pg_catalog.jsonb_build_array({_function("f.trffromsql")}, {_function("f.trftosql")})::text
  FROM pg_catalog.pg_transform f WHERE {_added("pg_transform", "f")}
UNION ALL
SELECT '{DATABASE}', 'language', pg_catalog.quote_ident(l.lanname),
       pg_catalog.jsonb_build_array(l.lanpltrusted, {_function("l.lanplcallfoid")}, {_function("l.laninline")},
                                    {_function("l.lanvalidator")})::text
  FROM pg_catalog.pg_language l WHERE {_added("pg_language", "l")}
UNION ALL
SELECT '{DATABASE}', 'access method', pg_catalog.quote_ident(m.amname),
       pg_catalog.jsonb_build_array(m.amhandler::regproc, m.amtype)::text
  FROM pg_catalog.pg_am m WHERE {_added("pg_am", "m")}
UNION ALL
SELECT '{DATABASE}', 'event trigger', pg_catalog.quote_ident(g.evtname),
       pg_catalog.jsonb_build_array(g.evtevent, {_function("g.evtfoid")}, g.evtenabled, g.evttags)::text
  FROM pg_catalog.pg_event_trigger g WHERE {_added("pg_event_trigger", "g")}
"""

# Options of user mappings are passwords, and only some roles may read them.
FOREIGN = f"""
SELECT '{DATABASE}', 'foreign data wrapper', pg_catalog.quote_ident(w.fdwname),
       pg_catalog.jsonb_build_array({_function("w.fdwhandler")}, {_function("w.fdwvalidator")},
                                    {sorted_array("w.fdwoptions")})::text
  FROM pg_catalog.pg_foreign_data_wrapper w WHERE {_added("pg_foreign_data_wrapper", "w")}
UNION ALL
SELECT '{DATABASE}', 'foreign server', pg_catalog.quote_ident(s.srvname),
       pg_catalog.jsonb_build_array((SELECT fdwname FROM pg_catalog.pg_foreign_data_wrapper WHERE oid = s.srvfdw),
                                    s.srvtype, s.srvversion, {sorted_array("s.srvoptions")})::text
  FROM pg_catalog.pg_foreign_server s WHERE {_added("pg_foreign_server", "s")}
UNION ALL
SELECT '{DATABASE}', 'user mapping', pg_catalog.format('%s on server %s', m.usename, m.srvname), '[]'
  FROM pg_catalog.pg_user_mappings m
"""

PUBLICATIONS = f"""
SELECT '{DATABASE}', 'publication', pg_catalog.quote_ident(p.pubname),
       pg_catalog.jsonb_build_array(
           p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate,
           (SELECT array_agg(r.prrelid::regclass::text ORDER BY r.prrelid::regclass::text COLLATE "C")
              FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid), {{more}})::text
  FROM pg_catalog.pg_publication p WHERE {_added("pg_publication", "p")}
"""
_PUBLICATIONS_13 = "p.pubviaroot"
_PUBLICATIONS_15 = """p.pubviaroot,
           (SELECT array_agg(s.pnnspid::regnamespace::text ORDER BY s.pnnspid::regnamespace::text COLLATE "C")
              FROM pg_catalog.pg_publication_namespace s WHERE s.pnpubid = p.oid),
           (SELECT array_agg(pg_catalog.format('%s %s %s', r.prrelid::regclass,
                                 pg_catalog.pg_get_expr(r.prqual, r.prrelid),
                                 (SELECT array_agg(a.attname ORDER BY a.attname) FROM pg_catalog.pg_attribute a
                                   WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)))
                             ORDER BY r.prrelid::regclass::text COLLATE "C")
              FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid)"""

COMMENTS = f"""
SELECT coalesce(n.nspname::text, '{DATABASE}'), 'comment on ' || i.type, i.identity,
       pg_catalog.to_jsonb(d.description)::text
  FROM pg_catalog.pg_description d,
       LATERAL pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
  LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = i.schema
 WHERE (d.objoid >= {_FIRST_USER_OID} OR d.classoid = 'pg_catalog.pg_namespace'::regclass AND i.identity = 'public')
   AND i.identity IS NOT NULL AND (n.oid IS NULL OR {USER_SCHEMA})
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid
                                                        AND e.deptype = 'e')
   AND d.classoid <> 'pg_catalog.pg_extension'::regclass
UNION ALL
SELECT coalesce(n.nspname::text, '{DATABASE}'), 'security label on ' || i.type, i.identity,
       pg_catalog.jsonb_build_array(s.provider, s.label)::text
  FROM pg_catalog.pg_seclabel s,
       LATERAL pg_catalog.pg_identify_object(s.classoid, s.objoid, s.objsubid) AS i
  LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = i.schema
 WHERE i.identity IS NOT NULL
"""

# The name may differ in a copy; how text is stored and sorted, and what the database sets for its sessions, may not.
THE_DATABASE = f"""
SELECT '{DATABASE}', 'database', 'encoding', pg_catalog.to_jsonb(pg_catalog.pg_encoding_to_char(d.encoding))::text
  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
UNION ALL
SELECT '{DATABASE}', 'database', 'collation', pg_catalog.jsonb_build_array(d.datcollate, d.datctype)::text
  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
UNION ALL
SELECT '{DATABASE}', 'database',
       'settings' || coalesce(' of role ' || pg_catalog.pg_get_userbyid(nullif(s.setrole, 0)), ''),
       pg_catalog.to_jsonb({sorted_array("s.setconfig")})::text
  FROM pg_catalog.pg_db_role_setting s
  JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase AND d.datname = pg_catalog.current_database()
"""


def object_queries(version: int) -> Iterator[str]:
    """The queries of this module for a server.

    :param version: as ``server_version_num``.
    """
    yield FUNCTIONS.format(support="nullif(p.prosupport::text, '-')" if version >= 120000 else "NULL")
    yield TYPES.format(
        multirange="pg_catalog.format_type(r.rngmultitypid, NULL)" if version >= 140000 else "NULL",
    )
    yield OPERATORS
    yield OPERATOR_CLASSES
    yield OPERATOR_FAMILIES
    yield COLLATIONS.format(details=_collation_details(version))
    yield CONVERSIONS
    yield TEXT_SEARCH
    yield CASTS
    yield FOREIGN
    if version >= 150000:
        yield PUBLICATIONS.format(more=_PUBLICATIONS_15)
    else:
        yield PUBLICATIONS.format(more=_PUBLICATIONS_13 if version >= 130000 else "NULL")
    yield COMMENTS
    yield THE_DATABASE


def _collation_details(version: int) -> str:
    deterministic = "l.collisdeterministic" if version >= 120000 else "true"
    if version >= 170000:
        return f"{deterministic}, l.colllocale, l.collicurules"
    if version >= 160000:
        return f"{deterministic}, l.colliculocale, l.collicurules"
    if version >= 150000:
        return f"{deterministic}, l.colliculocale, NULL"
    return f"{deterministic}, NULL, NULL"
