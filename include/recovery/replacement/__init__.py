"""A host's whole PostgreSQL cluster, gone or damaged, is restored from the repository into its own place.

    control.py       stops and starts the server the way its host does
    found.py         what is there now, also when the server is down: identity, size, last write, sessions
    place.py         the folders of a replacement, what it has done so far, and the exchange by renames
    restore.py       the new cluster beside the old one: copied, recovered, opened to nobody but us
    service.py       the new one takes the old one's place; or the old one comes back
    checks.py        what has to hold before a replacement is called done

Beside, prove, then exchange, as everywhere in Lifeboat: the old data directory stays where it is, stopped, until the
new one has recovered and was compared; then it is kept under another name, and never deleted.
"""
