"""Recovery sets: one recovery point for each source of a system, that belong together.

    model.py      a set and its members
    bind.py       which backups go together; pure
    records.py    sets in the store: kept, listed, picked ("newest set before ...")
    reconcile.py  objects that the database names against the objects that are there; pure

A database is restored first, then the objects as they were at the database's own moment: versions lead to any moment,
so the two never have to differ. What an application deletes or completes between its database and its objects is what
``reconcile`` looks for.
"""
