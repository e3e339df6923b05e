"""Drills of physical backups: what is aimed at, and the steps that prove it.

    aim        what is drilled; the newest point that can be reached, a random second of the window
    physical   the steps, each a call of its own over one scratch folder: restore, compare, ask, check pages, heartbeat
"""
