"""
### Purpose
Removes the backups that the policy lets go, in every store, and no other. First it decides about each backup and says
why in the log of `decide`; then it removes what that plan showed, dependants before what they need, manifests first.
Whatever the numbers of the policy say, these stay: what is held or being restored, the newest good backup, the last one
that is proven at each level, what another one needs, and what the point-in-time window stands on.

### Schedule
Daily in the morning of the system's own time zone, after the night's backups. Trigger it by hand with *dry run* to see
what would go.

### Inputs
The policy's `keep` of each tier, the catalogs of all stores, and for each store a connection that may delete versions
(`expiry_connection`, where the store's own may not).

### What a failure means
Nothing is lost: something stays longer than it should, and the store fills. Either a clock is wrong (then nothing at
all is removed), or a store refuses or does not answer. What object lock keeps is no failure: it waits for its date, and
`lifeboat list` shows it.

### What to do
Read the last line of the failed task: it names the store, the backup and the next step. Clear the task, or wait for
tomorrow's run: it goes on where this one stopped. `lifeboat retention` shows the plan at any time.
"""

from __future__ import annotations

from airflow.sdk import DAG

from include.recovery.policy.models import ProtectedSystem
from include.recovery.retention.gather import stores_of
from include.recovery.retention.planner import in_words
from recovery_airflow.dag_defaults import DEFAULT_ARGS, Tag, page, policies, schedule_of, tags, wanted
from recovery_airflow.task_groups import expire_backups
from recovery_airflow.trigger_form import retention_form

DAILY = "20 6 * * *"


def retention_dag(system: ProtectedSystem) -> DAG:
    """The graph of one system."""
    with DAG(
        dag_id=f"retention__{system.system}",
        dag_display_name=f"Retention {system.system}",
        doc_md=page(
            __doc__,
            [
                ("System", system.title),
                ("Schedule", f"`{DAILY}` in {system.time_zone}"),
                ("Stores", ", ".join(stores_of(system))),
                *((f"Keeps of {tier.name}", in_words(tier.keep)) for tier in system.tiers),
            ],
        ),
        schedule=schedule_of(DAILY, system),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=DEFAULT_ARGS,
        params=retention_form(),
        tags=tags(Tag.RETENTION, system.system),
    ) as dag:
        expire_backups(system)
    return dag


for _system in policies().systems.values():
    if wanted(f"retention__{_system.system}"):
        globals()[f"retention__{_system.system}"] = retention_dag(_system)
