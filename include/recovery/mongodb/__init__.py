"""MongoDB: read as raw BSON, so that what is fingerprinted is byte for byte what is stored.

    connect.py       a client of a connection; what its errors mean
    documents.py     documents as items: their names, digests, and streams of them
    definitions.py   collections and views: options and indexes, what is kept and what is left out by name
    capture.py       a backup: one part for each collection, in one moment where the server can give it
    load.py          a backup loaded into a server
    scratch.py       the server of a copy
    put_back.py      collections exchanged on the live server, what was there renamed aside

There is one way to read, not two: ``mongodump`` gives a stream whose moment (``--oplog``) only exists after a replay,
so nobody could say beside it what a restored copy must equal. Snapshot reads give the moment and the documents at once.
A part is a plain ``.bson`` file all the same, as ``mongorestore`` and ``bsondump`` read it.
"""
