"""What ``prepare`` installs in the schema ``lifeboat`` of a protected database: a table and the functions as SQL.

All functions are SECURITY DEFINER, so they run with the rights of ``lifeboat_functions``, which cannot log in. What
keeps them safe: ``search_path`` is pinned, so that nobody can slip in objects of their own; names come from the catalog
and are quoted by the server; arguments are values, never SQL; EXECUTE is revoked from PUBLIC and granted to the backup
role alone.

The heartbeat's row changes all the time. Logical backups include it all the same: the dump and the fingerprint read one
snapshot, so the copy has exactly the row that was fingerprinted, and nobody beats in a copy. A verifiable point leaves
its rows out by name, since making a point must not hold up the heartbeat; there it tells the loss instead.
"""

from __future__ import annotations

SCHEMA = "lifeboat"
HEARTBEAT_TABLE = f"{SCHEMA}.heartbeat"

USER_TABLES = f"""
    WITH RECURSIVE tree (oid, depth) AS (
        SELECT DISTINCT p.inhparent, 0 FROM pg_catalog.pg_inherits p
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = p.inhparent)
        UNION
        SELECT i.inhrelid, tree.depth + 1 FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid
    )
    SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS qualified,
           coalesce((SELECT pg_catalog.max(tree.depth) FROM tree WHERE tree.oid = c.oid), 0) AS depth
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
       AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '{SCHEMA}')
       AND (NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                         WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid
                           AND e.objsubid = 0 AND e.deptype = 'e')
            OR EXISTS (SELECT FROM pg_catalog.pg_extension x WHERE c.oid = ANY (x.extconfig)))
"""  # noqa: S608 - constants of this module
"""The tables that a verifiable point covers: those that the fingerprint compares, and the partitioned ones above them.

Partitioned tables and inheritance parents come before what is below them (``depth``), as everybody locks who goes
through them.
"""

LARGE_OBJECTS = """
CREATE OR REPLACE FUNCTION lifeboat.let_large_objects_be_read() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    large_object oid;
    granted bigint := 0;
BEGIN
    -- There are no default privileges for large objects, so new ones are granted before each backup.
    FOR large_object IN
        SELECT m.oid FROM pg_catalog.pg_largeobject_metadata m
         WHERE pg_catalog.pg_has_role(m.lomowner, 'USAGE')
           AND NOT EXISTS (SELECT 1 FROM pg_catalog.aclexplode(m.lomacl) a
                            WHERE a.privilege_type = 'SELECT' AND a.grantee = {backup_literal}::pg_catalog.regrole)
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT ON LARGE OBJECT %s TO {backup}', large_object);
        granted := granted + 1;
    END LOOP;
    RETURN granted;
END $$
"""

HEARTBEAT = """
CREATE TABLE IF NOT EXISTS lifeboat.heartbeat (
    id integer PRIMARY KEY CHECK (id = 1),
    beat bigint NOT NULL,
    at timestamptz NOT NULL
)
"""

BEAT = """
CREATE OR REPLACE FUNCTION lifeboat.beat(OUT beat bigint, OUT at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO lifeboat.heartbeat AS h (id, beat, at) VALUES (1, 1, clock_timestamp())
        ON CONFLICT (id) DO UPDATE SET beat = h.beat + 1, at = clock_timestamp()
    RETURNING h.beat, h.at
$$
"""

RECOVERY_POINT = f"""
CREATE OR REPLACE FUNCTION lifeboat.recovery_point(
    name text, lock_timeout_ms integer, busy text[] DEFAULT '{{}}',
    OUT lsn pg_catalog.pg_lsn, OUT at timestamptz, OUT snapshot text, OUT locked oid[],
    OUT locking_ms float8, OUT failed_ms float8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    names text[];
    batch text[];
    one text;
    in_use text;
    holders text;
    first_call timestamptz;
    begun timestamptz;
    wait_ms integer;
    seen text;
BEGIN
    IF name IS NULL OR name !~ '^lifeboat_[0-9A-Za-z_]{{1,54}}$' THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%L is no name of a recovery point', name),
            HINT = 'It is lifeboat_ and up to 54 letters, digits and underscores.';
    END IF;
    IF lock_timeout_ms = 0 THEN  -- a named point without locks, and so without a snapshot of the same moment
        locked := '{{}}';
        SELECT pg_create_restore_point(name), clock_timestamp() INTO lsn, at;
        RETURN;
    END IF;
    IF lock_timeout_ms IS NULL OR lock_timeout_ms < 0
       OR lock_timeout_ms >= extract(epoch FROM current_setting('deadlock_timeout')::interval) * 1000 THEN
        -- Where locks were taken in another order, we must be the one who gives up, before the server picks a victim.
        RAISE invalid_parameter_value USING
            MESSAGE = format('the lock timeout of %s ms is not below the server''s deadlock_timeout of %s',
                             coalesce(lock_timeout_ms::text, 'NULL'), current_setting('deadlock_timeout'));
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        -- Under REPEATABLE READ the statement that called us has already fixed the snapshot: rows that are committed
        -- while we wait for a lock would be before the restore point and missing in the snapshot.
        RAISE feature_not_supported USING MESSAGE = 'a recovery point is made in a READ COMMITTED transaction';
    END IF;
    -- Should the caller go quiet, the server ends its session, so that nobody waits for longer than this.
    PERFORM set_config('idle_in_transaction_session_timeout', '1000', true);
    failed_ms := 0;
    first_call := clock_timestamp();
    LOOP
        SELECT coalesce(array_agg(t.oid), '{{}}'),
               coalesce(array_agg(t.qualified ORDER BY array_position(busy, t.qualified), t.depth, t.qualified), '{{}}')
          INTO locked, names FROM ({USER_TABLES}) AS t;
        begun := clock_timestamp();
        BEGIN
            FOR start IN 1 .. cardinality(names) BY 100 LOOP
                batch := names[start : start + 99];
                BEGIN
                    EXECUTE 'LOCK TABLE ONLY ' || array_to_string(batch, ', ONLY ') || ' IN SHARE MODE NOWAIT';
                EXCEPTION WHEN lock_not_available THEN
                    FOREACH one IN ARRAY batch LOOP
                        in_use := one;
                        wait_ms := lock_timeout_ms - ceil(extract(epoch FROM clock_timestamp() - first_call) * 1000);
                        IF one <> names[1] THEN
                            wait_ms := least(wait_ms, greatest(lock_timeout_ms / 10, 10));
                        END IF;
                        PERFORM set_config('lock_timeout', greatest(wait_ms, 1)::text, true);
                        EXECUTE 'LOCK TABLE ONLY ' || one || ' IN SHARE MODE';
                    END LOOP;
                END;
            END LOOP;
            EXIT;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            -- All locks of this round are free again.
            failed_ms := greatest(failed_ms, extract(epoch FROM clock_timestamp() - begun) * 1000);
            busy := in_use || array_remove(busy, in_use);
        END;
        IF clock_timestamp() >= first_call + make_interval(secs => lock_timeout_ms / 1000.0) THEN
            SELECT string_agg(DISTINCT CASE WHEN a.backend_type = 'autovacuum worker' THEN 'autovacuum'
                                            ELSE coalesce('a session of ' || a.usename, 'a session') END, ', ')
              INTO holders FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
             WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
               AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
               AND l.relation = to_regclass(in_use)
               AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'ShareLock');
            RAISE lock_not_available USING DETAIL = busy::text,
                MESSAGE = format('%s was in use by %s', in_use, coalesce(holders, 'others'));
        END IF;
        PERFORM pg_sleep(random() * 0.01);
    END LOOP;
    -- This statement's snapshot is new. Whoever wrote to a covered table has ended: before the lock was granted.
    SELECT pg_create_restore_point(name), pg_export_snapshot(), clock_timestamp(), pg_current_snapshot()::text
      INTO lsn, snapshot, at, seen;
    -- The restore point is a moment younger than the snapshot. Should anything have ended in between, look what.
    IF pg_current_snapshot()::text <> seen AND EXISTS (
        SELECT FROM ({USER_TABLES}) AS t WHERE NOT EXISTS (SELECT FROM unnest(locked) AS l (oid) WHERE l.oid = t.oid)
    ) THEN
        RAISE serialization_failure USING MESSAGE = 'a table was made at the same time';
    END IF;
    locking_ms := extract(epoch FROM clock_timestamp() - begun) * 1000;
END $$
"""  # noqa: S608 - constants of this module
"""Locks, then names the moment in the log and exports its snapshot. The caller's transaction holds the locks.

It locks a hundred tables at a time, which fails at once when one of them is in use; then one by one. Applications lock
in an order of their own: who waits for a table while holding another that its user needs, waits in vain. So we wait
long only for the first table, holding nothing else, and for the others a tenth of that; then all locks are let go, and
the table that was in use comes first in the next round. After a few rounds that is the application's own order.

:param lock_timeout_ms: the budget of all rounds together, and so the longest that a writer can be kept waiting here.
:param busy: tables to lock first, in this order: what an attempt before has learned (the DETAIL of its error).
:return: ``locking_ms`` for the round that succeeded, ``failed_ms`` for the longest of those that did not.
"""
