"""Folders and files of a machine, with everything that the file system knows of them.

    walk.py       a tree in the order of its paths' bytes, by descriptors; no link is followed, no path is too long
    entry.py      what is kept of a file, folder, link or fifo, and its digest
    content.py    a file's bytes: read once, digested on the way, holes skipped
    archive.py    the stream: POSIX pax, as GNU tar reads it
    paths.py      which files are left out, which may change, what is mounted below
    capture.py    a tree into a stream, and proof that nothing changed meanwhile
    extract.py    a stream into a tree, never outside of it
    attributes.py owner, mode, extended attributes and times of an extracted file, and what could not be set
    copies.py     the copy of a drill: extracted, measured anew
    put_back.py   a copy in the place of what is there, which is kept aside
    chosen.py     the same for some of the files
    commands.py   commands of the policy: writers hold still, questions to a copy
"""
