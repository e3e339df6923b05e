"""Amazon RDS: snapshots of a database instance, kept by the service in two regions, listed in Lifeboat's catalog.

    names        identifiers and tags by which a snapshot says whose it is; all pure
    snapshots    a snapshot and an instance as the service describes them
    failures     the service's refusals as errors of Lifeboat: retry, missing right, refused
    region       one region through a connection: every call that is made
    waiting      until a snapshot or an instance is there, with an end
    take         a snapshot of a run, made once whatever dies, and its copy in the second region
    records      the catalog entry of a snapshot: what it says, and whether there is one already
    check        does the service still have what an entry says
    take_in      snapshots of runs that died before their entry, entered after all
    removal      a snapshot taken out, only when it is ours
    scratch      a snapshot restored to an instance of its own, asked, and taken away again
    cross_check  snapshots that no catalog knows, entries whose snapshot is gone, forgotten scratch instances

The catalog of the primary store lists the snapshots of the first region, that of the policy's second store the copies
in the second: so retention, drills and proofs of each store are about what lies there, and either is enough alone.
"""
