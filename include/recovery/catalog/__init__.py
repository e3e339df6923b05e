"""The catalog: JSON objects beside the backups, enough to recover with nothing but the bucket and the key.

model.py        what is kept: manifests, keys, proofs
layout.py       which key is what
catalog.py      the port: list, look up, begin, prove
in_progress.py  a backup being written, until its manifest makes it exist
manifests.py    the manifest's file form and its seal
index.py        one object that lists everything, rebuilt from the manifests when lost
rebuild.py      makes a backup's row from its manifest and proofs, and the whole index from all of them
numbered.py     "who writes number n+1 first wins": the only concurrency primitive
lease.py        one writer at a time, with fencing
in_use.py       who reads a backup right now, so that it is not removed meanwhile
removal.py      takes a backup out of a store, for retention
removed.py      the records of that, which stay
scan.py         walks the store, backup by backup
sweep.py        removes what killed runs left behind
points.py       recovery points: named moments of a database's log, and the wishes that pick one
picker.py       "newest identical", "newest before ...", an id
"""
