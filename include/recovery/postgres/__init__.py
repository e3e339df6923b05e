"""PostgreSQL: everything that Lifeboat does with a database server.

    server      where a server is, and how to connect to it
    tools       pg_dump and friends, by major version
    names       quoting: identifiers, literals, exact patterns for pg_dump
    commands    argv of every tool, built by pure functions
    preflight   can this role read everything? all that is missing, at once
    snapshot    the coordinator: locks, the exported snapshot, what is in it
    grouping    which tables get a dump stream of their own
    archive     reading the table of contents of a custom-format dump
    sql_text    splitting and rewriting the SQL that the tools print
    roles       the globals part: filtered when written, careful when applied
    failures    what a failed tool or session means: retry, rights, or broken
    backup      snapshot -> parallel dumps -> encrypted parts, fingerprint alongside
    reading     a stored backup: wanted parts and entries, rows as streams
    copy_text   COPY blocks out of the SQL that pg_restore prints
    restore     parts -> a new database
    tables      parts -> some tables, in a schema of their own
    scratch     a throw-away server behind a unix socket
    scratch_process, scratch_settings    how it is found again and ended; what it is set to
    replication_state    what a primary and a standby say of their replication
    standby     how far a hot standby is behind, and whether it is a candidate for failover
    slots       replication slots: do they hold what is needed, can one fill the disk?
    backoff     should a backup wait, since replicas lag or sessions queue?
    prepare     least-privilege roles and functions in a protected database
    functions   what prepare installs in the schema lifeboat, as SQL
    heartbeat   a counter and a time in each source: measured loss, skew between sources
    recovery_point, point_attempt    a named moment of the log with its fingerprint, or with a heartbeat alone
    point_proof    is a restored copy what its recovery point says?
    facts       what is known about a database before it may be overwritten
    swap        a restored database takes the live one's place
    swap_table  restored rows take a live table's rows' place
"""
