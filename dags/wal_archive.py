"""
### Purpose
Checks that the WAL of each source reaches every repository, and that the archive of each store leads through the whole
point-in-time window without a hole: missing, empty, truncated, foreign and contradicting segments are named. A segment
is closed for it and seen to arrive; the newest ones are opened.

### Schedule
Every hour, for each system whose log is archived. Trigger it by hand after trouble with a store or with
`archive_command`. It is also part of each backup of the cluster.

### Inputs
The connection of the cluster, and the repositories. It runs on the database's host, as its user.

### What a failure means
WAL does not arrive now, or some of what arrived cannot be used: recovery from earlier backups ends at the position that
the log names. The alert comes from the `watchdog`, once for each cause, and so does the all clear.

### What to do
The log names the segment or the repository, and the next step: make the repository reachable, copy what is missing from
another repository or from the server's `pg_wal`, or take a full backup.
"""

from __future__ import annotations

from airflow.sdk import DAG

from include.recovery.pgbackrest.archive_watch import archived_sources
from include.recovery.policy.durations import print_duration
from include.recovery.policy.models import ProtectedSystem
from include.recovery.watchdog.archive import CHECK_EVERY
from recovery_airflow.dag_defaults import DEFAULT_ARGS, Tag, every, page, policies, tags, wanted
from recovery_airflow.task_groups import check_archives


def wal_archive_dag(system: ProtectedSystem) -> DAG:
    """The graph of one system."""
    sources = archived_sources(system)
    with DAG(
        dag_id=f"wal_archive__{system.system}",
        dag_display_name=f"WAL archive {system.system}",
        doc_md=page(
            __doc__,
            [
                ("System", system.title),
                ("Schedule", f"every {print_duration(CHECK_EVERY)}"),
                *((each.name, f"{print_duration(each.wal.keep)} to any second") for each in sources if each.wal),
            ],
        ),
        schedule=every(CHECK_EVERY, system),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=DEFAULT_ARGS,
        tags=tags(Tag.WAL_ARCHIVE, system.system),
    ) as dag:
        check_archives(system)
    return dag


for _system in policies().systems.values():
    if archived_sources(_system) and wanted(f"wal_archive__{_system.system}"):
        globals()[f"wal_archive__{_system.system}"] = wal_archive_dag(_system)
