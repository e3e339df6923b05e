"""Prometheus's time series.

server.py      a running server: its snapshots, its questions
blocks.py      blocks as items, packed into a part and unpacked from it
exchange.py    blocks in the place of a stopped server's, which are kept aside
scratch.py     a server over a copy's blocks, for as long as it is asked
"""
