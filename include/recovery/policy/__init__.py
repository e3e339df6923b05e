"""Policies: what each protected system asks for, and what is wrong with a file that says it badly.

base.py             the frozen model and the small types: durations, cron expressions, names
durations.py        "15m" and "200ms" to timedelta and back
sizes.py            "1GiB" to bytes and back
cron.py             cron expressions and the widest gap between their wall-clock times
source_models.py    sources: what is backed up
physical_models.py  how a source's whole cluster and its WAL are protected
tier_models.py      tiers, what they keep, and the drills
objective_models.py what may be lost, how long a recovery may take, who approves it
people_models.py    roles, owners, contacts, reviews
platform_models.py  stores, keys, approvals, notifications: what all systems share
models.py           ProtectedSystem; import every model from here
rules.py            what fields must agree on with each other
physical_rules.py   ... and those of physical protection
rpo.py              the worst loss that a source's tiers and WAL allow, with the arithmetic
yaml_source.py      YAML text to values, with line numbers and without duplicate keys
sentences.py        pydantic's errors as sentences for people
files.py            a folder of policies, with every problem found
last_valid.py       the last valid policy of each system, kept in the store
pools.py            Airflow's pools, from the systems and their sources
reference.py        the models as a page for people
generate.py         writes what is generated: JSON schemas and docs/policy.md
"""
