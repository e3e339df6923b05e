"""Redis: backed up by the RDB stream that a replica would get, so that its server's disk is not touched.

    connect.py    a link to a server, and what its errors mean
    rdb.py        the stream: one moment of all logical databases
    scratch.py    a server of our own that holds exactly what an RDB holds, also what has expired since
    content.py    keys as items: digests over what they hold, not over how a version of Redis encodes it
    inventory.py  all items of such a server
    put_back.py   keys put back on the live server, behind a backup of what is there

What is measured is a server of the worker's own that was given the same bytes: the very moment that is stored.
"""
