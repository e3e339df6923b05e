"""Who may do what: roles of the server, owners and privileges of everything in the database."""

from __future__ import annotations

from collections.abc import Collection

from include.recovery.fingerprint.session import Session, rows
from include.recovery.fingerprint.tables import USER_SCHEMA, extension_of

Items = dict[str, str]
"""A definition by name."""

# Password hashes are readable to superusers only, and belong into the backup, not into a manifest.
_ROLES = """
SELECT 'role ' || pg_catalog.quote_ident(r.rolname),
       pg_catalog.jsonb_build_array(
           r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication, r.rolbypassrls,
           r.rolconnlimit, r.rolvaliduntil,
           (SELECT array_agg(g.rolname || CASE WHEN m.admin_option THEN ' with admin' ELSE '' END
                             ORDER BY g.rolname COLLATE "C", m.admin_option)
              FROM (SELECT DISTINCT roleid, member, admin_option FROM pg_catalog.pg_auth_members) m
              JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
             WHERE m.member = r.oid
               AND (%(only)s::text[] IS NULL OR g.rolname ~ '^pg_' OR g.rolname = ANY (%(only)s::text[]))),
           (SELECT array_agg(o ORDER BY o COLLATE "C") FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) AS o
             WHERE s.setrole = r.oid AND s.setdatabase = 0))::text
  FROM pg_catalog.pg_roles r
 WHERE r.rolname !~ '^pg_' AND (%(only)s::text[] IS NULL OR r.rolname = ANY (%(only)s::text[]))
"""


def _access(owner: str, acl: str, default: str | None) -> str:
    """SQL: an owner and privileges as JSON, the same whether the default privileges are stored or implied.

    :param default: the object's letter for ``acldefault``; None when no list means no privileges.
    """
    implied = f"coalesce({acl}, pg_catalog.acldefault('{default}', {owner}))" if default else acl
    # MAINTAIN came with PostgreSQL 17, and an owner always has it. Who granted a privilege is not kept by a dump.
    return f"""pg_catalog.jsonb_build_array(
        pg_catalog.pg_get_userbyid({owner}),
        (SELECT array_agg(g ORDER BY g COLLATE "C") FROM (
            SELECT CASE WHEN e.grantee = 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(e.grantee)::text END
                   || ' ' || e.privilege_type || CASE WHEN bool_or(e.is_grantable) THEN ' with grant' ELSE '' END
              FROM pg_catalog.aclexplode({implied}) AS e
             WHERE NOT (e.privilege_type = 'MAINTAIN' AND e.grantee = {owner})
             GROUP BY e.grantee, e.privilege_type) AS granted (g)))::text"""


def _grants(catalog: str, *, words: str, name: str, owner: str, acl: str, default: str | None, where: str) -> str:
    """SQL: (words and name, access) of every object of a catalog table ``o``, in its schema ``n`` where it has one."""
    return (
        f"SELECT {words} || ' ' || {name}, {_access(owner, acl, default)}"
        f" FROM pg_catalog.{catalog} o {where} AND {extension_of(catalog, 'o.oid')} IS NULL"
    )


def _in_schema(column: str) -> str:
    return f"JOIN pg_catalog.pg_namespace n ON n.oid = o.{column} WHERE {USER_SCHEMA}"


_RELATION_WORDS = (
    "CASE o.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialised view'"
    " WHEN 'f' THEN 'foreign table' ELSE 'table' END"
)
_RELATION = "pg_catalog.format('%I.%I', n.nspname, o.relname)"
_RELATIONS_IN_SCHEMA = f"{_in_schema('relnamespace')} AND o.relpersistence <> 't' AND o.relkind"

_GRANTS = (
    _grants(
        "pg_class", words=_RELATION_WORDS, name=_RELATION, owner="o.relowner", acl="o.relacl", default="r",
        where=f"{_RELATIONS_IN_SCHEMA} IN ('r', 'p', 'v', 'm', 'f')",
    ),
    _grants(
        "pg_class", words="'sequence'", name=_RELATION, owner="o.relowner", acl="o.relacl", default="s",
        where=f"{_RELATIONS_IN_SCHEMA} = 'S'",
    ),
    _grants(
        "pg_class", words="'column'", name=f"{_RELATION} || '.' || pg_catalog.quote_ident(a.attname)",
        owner="o.relowner", acl="a.attacl", default=None,
        where="JOIN pg_catalog.pg_attribute a ON a.attrelid = o.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped"
              f" {_in_schema('relnamespace')}",
    ),
    _grants(
        "pg_proc", words="'function'", name="o.oid::regprocedure::text", owner="o.proowner", acl="o.proacl",
        default="f", where=_in_schema("pronamespace"),
    ),
    _grants(
        "pg_type", words="'type'", name="pg_catalog.format_type(o.oid, NULL)", owner="o.typowner", acl="o.typacl",
        default="T",
        where=_in_schema("typnamespace") + " AND (o.typtype IN ('d', 'e', 'r') OR o.typtype = 'c' AND EXISTS ("
              "SELECT FROM pg_catalog.pg_class c WHERE c.oid = o.typrelid AND c.relkind = 'c'))",
    ),
    _grants(
        "pg_namespace", words="'schema'", name="pg_catalog.quote_ident(o.nspname)", owner="o.nspowner", acl="o.nspacl",
        default="n", where="WHERE o.nspname !~ '^pg_' AND o.nspname <> 'information_schema'",
    ),
    _grants(
        "pg_foreign_server", words="'foreign server'", name="pg_catalog.quote_ident(o.srvname)", owner="o.srvowner",
        acl="o.srvacl", default="S", where="WHERE true",
    ),
    _grants(
        "pg_default_acl", words="'default privileges of'",
        name="pg_catalog.pg_get_userbyid(o.defaclrole) || ' on ' || o.defaclobjtype::text"
             " || coalesce(' in schema ' || (SELECT pg_catalog.quote_ident(nspname) FROM pg_catalog.pg_namespace"
             " WHERE oid = o.defaclnamespace), '')",
        owner="o.defaclrole", acl="o.defaclacl", default=None, where="WHERE true",
    ),
)  # fmt: skip


# One line for all, with how many have which access: there may be a great many.
_LARGE_OBJECTS = f"""
SELECT 'large objects',
       pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(access, number) ORDER BY access COLLATE "C")::text
  FROM (SELECT access, count(*) FROM (SELECT {_access("o.lomowner", "o.lomacl", "L")}
          FROM pg_catalog.pg_largeobject_metadata o) AS each (access) GROUP BY access) AS grouped (access, number)
HAVING count(*) > 0
"""


def read_roles(session: Session, only: Collection[str] | None = None) -> Items:
    """Roles with their attributes, memberships and settings, by name. The system's own ``pg_`` roles are left out.

    :param only: names of the roles that count, also as groups of one another; None for all of the server.
    """
    return dict(rows(session, _ROLES, {"only": None if only is None else list(only)}))


def read_grants(session: Session) -> Items:
    """Owners and privileges by object. What belongs to an extension is left out."""
    return {
        f"grants on {name}": access for query in (*_GRANTS, _LARGE_OBJECTS) for name, access in rows(session, query)
    }
