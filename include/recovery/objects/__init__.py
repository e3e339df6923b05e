"""Objects: a versioned bucket (or a prefix of one) that people upload to, and its replica in the other region.

The versions protect continuously: whatever is overwritten or deleted is still there. A backup adds what versions lack:

- the *inventory* of one moment: for each key the version that was current, and the digest of what it holds;
- every version's copy in the *replica*, read again there and compared;
- the *history* (a part of the backup): every version and delete marker of the moment, with its digest and the name of
  its copy, so that a later run reads only what is new, and a restore finds the copy when the bucket has lost a version.

    listing.py     pages of versions, read in the order of the answer; keys of several listings side by side
    bucket.py      a bucket: its versions, its clock, its objects with their attributes
    digest.py      what a digest of an object stands for
    history.py     the part of a backup that lists every version
    in_order.py    work on a few threads whose results come in order
    moments.py     the whole second that a backup is of; what was current at a moment, and where that is in doubt
    capture.py     a backup
    replica.py     one version on its way to the replica
    states.py      each key with its versions as they are now, and what is known of them
    changes.py     what is to change at the bucket, key by key
    put_back.py    making it so
    moment.py      the state at any moment: listed, previewed, restored
    copy.py        a copy in a folder
    fetch.py       objects from the bucket, or else from the replica
    replica_sample.py  a question to a restored copy: does the replica still hold the same?
    names.py       things to name in a message
    precheck.py    what would keep a backup from being one
"""
