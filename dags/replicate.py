"""
### Purpose
Brings every backup of a system to the other stores that its tier names, checks it there against its SHA-512, and
records the proof `replicated`. The manifest is copied last, so a half copy is never listed.

### Schedule
Starts when a backup of the system is announced. Announcements may be merged, or lost while the DAG is paused, so each
run also asks the catalog which backups lack a copy, and copies all of them.

### Inputs
The catalogs of all stores; the connections of the stores.

### What a failure means
The backup exists in the primary store only: one fire away from gone. A copy that differs over there is never listed.

### What to do
Clear the failed copy: it goes on where it stopped. If the source store itself is damaged, `lifeboat verify` names the
parts; take a new backup.
"""

from __future__ import annotations

from airflow.sdk import DAG

from include.recovery.policy.models import ProtectedSystem
from recovery_airflow.dag_defaults import (
    DEFAULT_ARGS,
    Tag,
    backups_of,
    page,
    policies,
    tags,
    wanted,
)
from recovery_airflow.task_groups import copy_backups


def replicate_dag(system: ProtectedSystem) -> DAG:
    """The graph of one system."""
    stores = sorted({store for tier in system.logical_tiers for store in tier.stores[1:]})
    with DAG(
        dag_id=f"replicate__{system.system}",
        dag_display_name=f"Replicate {system.system}",
        doc_md=page(__doc__, [("System", system.title), ("Copies to", ", ".join(stores) or "no other store")]),
        schedule=[backups_of(system.system)],
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=DEFAULT_ARGS,
        tags=tags(Tag.REPLICATION, system.system),
    ) as dag:
        copy_backups(system)
    return dag


for _system in policies().systems.values():
    if wanted(f"replicate__{_system.system}"):
        globals()[f"replicate__{_system.system}"] = replicate_dag(_system)
