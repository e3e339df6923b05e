"""Sources other than databases and clusters of PostgreSQL: what all of them share.

    model.py       an item (a file, an object, a document ...), and the fingerprint over all of them
    inventory.py   items in order, counted and digested; the part of a backup that lists them
    compare.py     two inventories side by side: what is missing, unexpected, different
    port.py        what a kind of source has to be able to do
    parts.py       what a kind writes a backup through, and reads it through
    sorting.py     items that come in another order, sorted with flat memory
    scratch_server.py  servers that a restore starts in a copy's folder
    verbs.py       the verbs that operators and the command line call, the same for every kind

A kind is a module of ``include/recovery/sources/`` that fulfils ``port.Kind``, a package of its own for what is
particular to its tools, and a model in ``include/recovery/policy/source_kinds/``.
"""
