"""
### Purpose
Takes the backups of one tier of a system.
A *logical* tier: looks at each source, dumps it in parallel streams from one snapshot with a fingerprint of every row,
encrypts it on the way to the primary store, and reads it back there against its SHA-512.
A *full*, *differential* or *incremental* tier: has pgBackRest back up the whole cluster to the repository of each of
the tier's stores, then checks there that all is present, that WAL arrives, and that the archive has no hole.
Either announces what is new through the system's asset. Where the source's policy has `restore_points`, a recovery
point is made right after its backup: a moment that a restore from it can be compared with, row by row. The log of that
task says how many milliseconds writers waited; that it found no quiet moment is a note there, and no failure.

### Schedule
The policy's cron line in the system's own time zone; one run at a time; missed times are not made up, since a backup
of the past cannot be taken. Backups of one cluster wait for each other in its pool, so an hourly increment that meets
the daily full comes after it. Trigger it by hand before an upgrade, with a note and, if it must stay, a hold.

### Inputs
The policy of the system, the backup connection of each source (or that of its cluster), the stores, the key service.

### What a failure means
No new backup from this run: what was written so far is not listed as one, and the age of the newest recoverable point
keeps growing. Trouble on the way is retried; a missing right, hidden rows or a running backup of the same are not.

### What to do
Read the last line of the failed task's log: it names the object and the next step. Then clear the task, or trigger the
DAG again. `lifeboat list` shows what can be recovered now.
"""

from __future__ import annotations

from airflow.sdk import DAG

from include.recovery.policy.durations import print_duration
from include.recovery.policy.models import ProtectedSystem, Tier
from recovery_airflow.dag_defaults import DEFAULT_ARGS, Tag, page, policies, schedule_of, tags, wanted
from recovery_airflow.notifications.deadlines import ends_within
from recovery_airflow.task_groups import announce_backups, back_up_clusters, back_up_sources
from recovery_airflow.trigger_form import backup_form


def backup_dag(system: ProtectedSystem, tier: Tier) -> DAG:
    """The graph of one tier of one system."""
    with DAG(
        dag_id=f"backup__{system.system}__{tier.name}",
        dag_display_name=f"Back up {system.system}: {tier.name}",
        doc_md=page(
            __doc__,
            [
                ("System", f"{system.title}, priority {system.priority}"),
                ("Method", tier.method),
                ("Schedule", f"`{tier.cron}` in {system.time_zone}: {tier.note or 'as the policy says'}"),
                ("Sources", ", ".join(tier.sources)),
                ("Stores", ", ".join(tier.stores)),
                ("Late", f"{print_duration(tier.grace)} after its start"),
            ],
        ),
        schedule=schedule_of(tier.cron, system),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=DEFAULT_ARGS,
        params=backup_form(),
        deadline=ends_within(
            tier.grace,
            system=system.system,
            what=f"backup {tier.name}",
            to_do="Open the run and see which task still works or waits; the next backup waits for it.",
        ),
        tags=tags(Tag.BACKUP, system.system),
    ) as dag:
        announce_backups(system, (back_up_clusters if tier.is_physical else back_up_sources)(system, tier))
    return dag


for _system in policies().systems.values():
    for _tier in _system.tiers:
        if wanted(f"backup__{_system.system}__{_tier.name}"):
            globals()[f"backup__{_system.system}__{_tier.name}"] = backup_dag(_system, _tier)
