"""
### Purpose
Proves that a system's backups are its data: picks a recovery point, restores it on a scratch server that only its own
unix socket reaches, compares every row with the fingerprint of that very moment, runs the system's own queries,
measures how long it took, writes the report, and tears the server down whatever happened.

A drill of the cluster, by base backup and WAL, does so with a recovery point of the log, and looks whether all WAL of
the window is in the archive. Then it checks the structure and checksums of all pages, and recovers once more, to a
random second of the window, whose heartbeat tells whether the copy ends there.

### Schedule
The policy's cron line in the system's time zone. Trigger it by hand to prove one particular recovery point.

### Inputs
The catalog, the key service, disk for one restored copy of each source on the worker (`LIFEBOAT_SCRATCH`); for a
cluster also pgBackRest on that worker, and the store's repository. The protected server is not needed.

### What a failure means
This backup could not be recovered now, or what came back is not what was backed up. A run is red also when a check is
missing: not proven counts as not recoverable.

### What to do
The report and the failed task name the table and the rows, the WAL segment, the page or the file. Take a new backup (a
full one, of a cluster), drill again, and find out what differed before older backups expire.
"""

from __future__ import annotations

from airflow.sdk import DAG

from include.recovery.policy.models import Drill, ProtectedSystem
from recovery_airflow.dag_defaults import DEFAULT_ARGS, Tag, page, policies, schedule_of, tags, wanted
from recovery_airflow.drill_graph import drill_clusters
from recovery_airflow.notifications.deadlines import ends_within
from recovery_airflow.task_groups import drill_sources
from recovery_airflow.trigger_form import drill_form


def drill_dag(system: ProtectedSystem, cadence: str, drill: Drill) -> DAG:
    """The graph of one drill of one system."""
    with DAG(
        dag_id=f"drill__{system.system}__{cadence}",
        dag_display_name=f"Drill {system.system}: {cadence}",
        doc_md=page(
            __doc__,
            [
                ("System", system.title),
                ("Schedule", f"`{drill.cron}` in {system.time_zone}"),
                ("Restores", f"{', '.join(drill.sources)} from store {drill.store}, {drill.recovery_point}"),
                ("Why", drill.note or "the policy wants it"),
            ],
        ),
        schedule=schedule_of(drill.cron, system),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=DEFAULT_ARGS,
        params=drill_form(drill.recovery_point),
        deadline=ends_within(
            max(system.objective(source).rto for source in system.sources_of(drill)),
            system=system.system,
            what=f"{cadence} drill",
            to_do="A recovery takes longer than its RTO now; see in the run's log which step does.",
        ),
        tags=tags(Tag.DRILL, system.system),
    ) as dag:
        (drill_clusters if drill.is_physical else drill_sources)(system, cadence, drill)
    return dag


for _system in policies().systems.values():
    for _cadence, _drill in _system.drills.items():
        if wanted(f"drill__{_system.system}__{_cadence}"):
            globals()[f"drill__{_system.system}__{_cadence}"] = drill_dag(_system, _cadence, _drill)
