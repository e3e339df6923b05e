"""Retention: which backups may go, which must stay and why, and how those that may go are removed.

model.py       what the planner is told of a backup and of the time, and what it decides
clock.py       whether the time can be believed, and up to when ages count
chains.py      who needs whom: parents stay, dependants go first
lines.py       the lines of a tier's ``keep``: newest, every, days, weeks, months, years
wal.py         from where the write-ahead log must stay, and which backup the window stands on
planner.py     all rules together: a decision with its reason for each backup
gather.py      from catalog and policy to what the planner is told
carry_out.py   removes what the plan lets go, dependants first, and goes on where an earlier run stopped
records.py     what each run leaves beside the backups: what was removed, and why

The planner asks nobody: rows, rules and a clock in, a plan out. Nothing is removed but by a plan.
"""
