"""Policies: what each protected system asks for, and what is wrong with a file that says it badly.

base.py             the frozen model and the small types: durations, cron expressions, names
durations.py        "15m" to timedelta and back
cron.py             cron expressions and the widest gap between their wall-clock times
source_models.py    sources: what is backed up
platform_models.py  stores, keys, approvals, notifications: what all systems share
models.py           ProtectedSystem: objectives, scenarios, tiers, drills, people
rules.py            what fields must agree on with each other
rpo.py              the worst loss that a source's tiers and WAL allow, with the arithmetic
yaml_source.py      YAML text to values, with line numbers and without duplicate keys
sentences.py        pydantic's errors as sentences for people
files.py            a folder of policies, with every problem found
last_valid.py       the last valid policy of each system, kept in the store
generate.py         JSON schemas and docs/policy.md from the models
"""
