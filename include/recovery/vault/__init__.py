"""HashiCorp Vault and OpenBao with integrated storage (raft).

client.py      the server's API, as far as it is needed
snapshot.py    the archive that a snapshot is, checked as it passes
inventory.py   what a server holds, item by item, with keyed digests: no secret can be told from them
take.py        a snapshot and an inventory of the same moment
copy.py        a server of its own in a folder, restored from a snapshot and opened with the original's unseal keys
put_back.py    a snapshot back into the running cluster
"""
