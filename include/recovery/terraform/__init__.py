"""Terraform's and OpenTofu's state, version 4 of its format.

document.py    the state document: checked, and item by item
backend.py     what a place that keeps a state has to be able to do, and how long a lock is waited for
file_state.py  a state in a file
s3_state.py    a state in a bucket with versions, locked by Terraform's own lock file
tool.py        what a terraform or tofu on PATH says of a copy
"""
