"""Resources of Kubernetes: exported, kept as files that people can read, compared, and applied again.

    client.py       the API server over HTTPS: answers become values or errors of ours
    discovery.py    which kinds a cluster has
    scope.py        which of them, in which namespaces, a policy chooses
    cleaning.py     fields that the cluster itself writes, one row each with the reason
    made_anew.py    objects that the cluster makes by itself, one row each with the reason
    export.py       the objects of a source in order, cleaned
    document.py     one object: its name, its text, its digest
    archive.py      the part of a backup: a tar of such texts, and the tree of files it becomes
    report.py       what an export saw and left out; the last file of the tar
    helm.py         values of Helm's releases, readable
    dapr.py         state stores that components name, and which source keeps their data
    references.py   which Secrets, ConfigMaps ... an object needs
    questions.py    what a restored tree of files must answer
    order.py        what has to be there before what
    difference.py   two objects field by field, with secrets hidden
    live.py         a backup beside the cluster as it is now
    notes.py        what the backup cannot hold: volumes, state stores, the keys of SealedSecrets
    put_back.py     a backup applied to a cluster: tried first as a whole, then in order
    apply.py        one object applied
"""
