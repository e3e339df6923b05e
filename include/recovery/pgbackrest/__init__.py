"""pgBackRest: backups of a whole PostgreSQL cluster, and the archive of its write-ahead log.

    configuration  the text of pgbackrest.conf, from plain facts
    workplace      the folders and the file that one pgBackRest works with, on disk
    stanza         from a policy to a stanza: cluster, repositories, passes, folders
    take_in        backups that a repository has and the catalog does not: a run died between the two
    commands       argv of every call, built by pure functions
    tool           runs a call, and says what a failure means
    failures       exit codes and messages as errors of Lifeboat: retry, refuse, or broken
    info           what `pgbackrest info` says: backups, chains, WAL ranges, errors, sizes
    cipher         the pass that a repository is encrypted with: random, wrapped by the KMS
    cluster        what the server knows about itself; switching its archiving on
    setup          a source's cluster as its policy wants it: all of the above, checked to the last repository
    archiver       is archive_command failing, since when, and when will the disk be full
    backup         full, differential, incremental to one repository
    target         what people ask to restore: newest, a time, an LSN, a named point, a transaction
    choose         which backup reaches a target, or a sentence why none does
    restore        a cluster into a scratch folder, started behind a private socket
    check          `pgbackrest check` and `verify`, each failure a sentence
    concern        is one backup there with all that it needs, and which problems are its
    expiry         removes a backup or WAL from a repository, as a plan says
    end_to_end     does WAL reach every repository, and has the archive all that the window promises
    segments       names and arithmetic of WAL segments and timelines
    wal            what WAL is archived: holes, duplicates, empty ones, how far each backup reaches
    wal_content    one archived segment opened: size, checksum, system, address
    marker         marks a backup as being read, by its label, so that retention leaves it alone
    window_proof   ten random seconds of the window in a row, each checked by heartbeat
    opened         which segments were opened and found good: each once, a damaged one at every look
    replay         a standby that replays the archive and nothing else: each segment is proven within minutes
    replay_state   how far it is, and what keeps it from going on
    recoverable    the newest moment that recovery from a repository reaches
    drill_window   where a drill aims, and whether the heartbeat says that it got there
    pages          pg_amcheck and pg_checksums on a restored copy
    protection     the primary's disk, queue and slots: what protection may not do to it

pgBackRest does the copying, the compression and the encryption; Lifeboat schedules, checks, catalogs, restores, proves.
It runs on the database's host as the server's operating-system user. Secrets are in its file (mode 0600) and nowhere
else: not in argv, not in logs, not in errors.
"""
