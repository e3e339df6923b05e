"""
### Purpose
The continuous replay proof: a scratch standby that gets its WAL from the archive alone, and replays it. So each segment
is fetched, decrypted and replayed within minutes after it was archived, and a gap, a truncated segment or one of
another timeline is found then, and not by the disaster.

### Schedule
As often as the policy's `wal.replay_proof` says; only for sources that have it. Each run asks the standby how far it
is, and costs the same whatever the size of the database. The standby itself stays up between the runs: it is a server
of its own on the worker's scratch disk, reached by a private socket. One that has died is brought back by a delta
restore of the newest backup.

### Inputs
The repository of the source's first store, disk for one restored copy of the cluster (`LIFEBOAT_SCRATCH`).

### What a failure means
The archive cannot be replayed beyond the position that the log names, so no moment after it can be recovered to, unless
from a later backup; or a segment waits for longer than two minutes. The alert comes from the `watchdog`, once for each
cause, and so does the all clear.

### What to do
The log names the segment, what is wrong with it and the next step: copy it from another repository or from the server's
`pg_wal`, or take a full backup; the replay then begins anew from that backup by itself.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from include.recovery.pgbackrest.archive_watch import replay_interval, replayed_sources
from include.recovery.policy.durations import print_duration
from include.recovery.policy.models import ProtectedSystem
from recovery_airflow.dag_defaults import DEFAULT_ARGS, Tag, every, page, policies, tags, wanted
from recovery_airflow.task_groups import replay_archives


def replay_proof_dag(system: ProtectedSystem, interval: timedelta) -> DAG:
    """The graph of one system."""
    sources = replayed_sources(system)
    with DAG(
        dag_id=f"replay_proof__{system.system}",
        dag_display_name=f"Replay proof {system.system}",
        doc_md=page(
            __doc__,
            [
                ("System", system.title),
                ("Schedule", f"every {print_duration(interval)}"),
                ("Sources", ", ".join(f"{each.name} from {system.repository_stores(each)[0]}" for each in sources)),
            ],
        ),
        schedule=every(interval, system),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=DEFAULT_ARGS,
        tags=tags(Tag.REPLAY_PROOF, system.system),
    ) as dag:
        replay_archives(system)
    return dag


for _system in policies().systems.values():
    _interval = replay_interval(_system)
    if _interval is not None and wanted(f"replay_proof__{_system.system}"):
        globals()[f"replay_proof__{_system.system}"] = replay_proof_dag(_system, _interval)
