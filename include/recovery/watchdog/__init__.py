"""The watchdog: what no failed task can tell, because nothing ran, or nobody looked.

    checks          the list of all checks; a new one is a function in a module of its family, and a line there
    late_backups    a tier's backup never started, or never ended
    recoverable     the newest recoverable point against the RPO; heartbeats that have stopped
    servers         the primary's disk, queue and slots; the hot standby
    archive         what the replay proof and the hourly check found in the WAL archive, or that they do not look
    drills          a drill that is overdue
    coverage        databases in no policy, tables that no drill has touched for too long
    platform        stores that do not answer, policies that cannot be used

    look            what one pass has seen: each store, server and policy is asked once
    alarms          raised once, told once, still on, all clear: the state between two passes
    watch           one pass over all systems

A check yields concerns of one source. What it cannot look at it leaves as it was: an alarm ends only when somebody has
looked and found nothing.
"""
