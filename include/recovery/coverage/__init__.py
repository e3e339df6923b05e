"""Coverage: what exists against what the policies protect, and how much of it was restored and verified lately.

    model        what is found, and what a report says; plain data
    judge        listings, backups and proofs to a report: pure
    port         what a kind of source does to have its things discovered
    databases    the databases of every server that a policy reaches
    buckets      the buckets of every object store that the platform or a policy reaches
    instances    the database instances of every region of RDS that a policy reaches
    tables       the tables of a database now, and those that its backups held
    discover     all of it together: ``coverage(workspace, now)``

Whether something exists is asked of the servers. Whether it was proven is read from the catalog: only a copy that was
compared row by row counts, and only inside the window. So a table born yesterday is unproven until a drill has seen it.
"""
