"""What recovery is, without Airflow: the inner ring. It imports neither Airflow nor the other two rings.

    errors, connections, processes   what everything else stands on
    concerns                         what a watcher found, how grave, of which cause
    policy                           the YAML of each protected system, and what it promises
    stores, keys, parts              where backups lie, with which keys, in which form
    catalog, replication, copies     what exists, what is proven about it, and where its copies are
    fingerprint                      every row of a database in a few bytes
    postgres                         dump, restore, swap, scratch servers
    pgbackrest                       whole clusters, the archive of their WAL, recovery to a point in time
    restore_points, heartbeats       what is written into the sources all the time, and recorded in the stores
    sources                          the verbs of each kind of source
    drills                           two recoveries of a cluster on a scratch server, proven step by step
    runbook, evidence                plans, approvals, the interlock; reports that cannot be changed unseen
    messages                         what people are told
    workspace                        policies and connections together: where operators and commands begin
    cli                              the command `lifeboat`
"""
