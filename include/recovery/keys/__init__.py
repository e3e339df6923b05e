"""Each backup has a key of its own, kept only in wrapped form.

envelope.py   a backup's key and its wrapped record: make, unwrap, re-wrap, seal a manifest
kms.py        wrapped by a KMS key, for every day
escrow.py     wrapped under an RSA-4096 public key whose private half is offline, for the worst day
"""
