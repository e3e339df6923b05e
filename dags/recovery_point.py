"""
### Purpose
Makes a recovery point of each source: a moment that the write-ahead log names, with a fingerprint of every row exactly
then. A restore to it can be compared with it row by row, which no other moment between two backups allows. The point is
recorded in every store whose repository has the log.

### Schedule
As often as the policy's `restore_points.every` of its most demanding source. Trigger it by hand before a risky change:
it gives the change a moment to go back to. `lifeboat point` does the same.

### Inputs
The backup connection of each source, on which `lifeboat prepare` has installed the functions; the stores.

### What it costs
All tables are locked against writers, not readers, for some milliseconds: in each of the `attempts` no longer than
`restore_points.lock_timeout`. The log of the task says how long writers waited, in milliseconds; so does each point.
The rows are read afterwards, in the point's snapshot, while everybody writes on.

### What a failure means
There is no new point: a restore can still go to any second of the window, but only the older points can be proven row
by row. A point that found no quiet moment is no failure: it has a heartbeat alone, and a warning says whose session it
was.

### What to do
Read the last line of the failed task: it names the server or the store, and the next step. Clear the task, or wait for
the next run. Where points keep having heartbeats alone, raise `lock_timeout` or `attempts`, or move the schedule.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from include.recovery.policy.durations import print_duration
from include.recovery.policy.models import ProtectedSystem
from include.recovery.restore_points import point_interval, pointed_sources
from recovery_airflow.dag_defaults import DEFAULT_ARGS, Tag, every, page, policies, tags, wanted
from recovery_airflow.task_groups import make_points


def recovery_point_dag(system: ProtectedSystem, interval: timedelta) -> DAG:
    """The graph of one system."""
    sources = pointed_sources(system)
    with DAG(
        dag_id=f"recovery_point__{system.system}",
        dag_display_name=f"Recovery point {system.system}",
        doc_md=page(
            __doc__,
            [
                ("System", system.title),
                ("Schedule", f"every {print_duration(interval)}"),
                ("Sources", ", ".join(source.name for source in sources)),
                ("Stores", ", ".join(dict.fromkeys(each for s in sources for each in system.repository_stores(s)))),
            ],
        ),
        schedule=every(interval, system),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=DEFAULT_ARGS,
        tags=tags(Tag.RECOVERY_POINT, system.system),
    ) as dag:
        make_points(system)
    return dag


for _system in policies().systems.values():
    _interval = point_interval(_system)
    if _interval is not None and wanted(f"recovery_point__{_system.system}"):
        globals()[f"recovery_point__{_system.system}"] = recovery_point_dag(_system, _interval)
