"""
### Purpose
The runbook of one system, the same graph for a rehearsal and for an incident. It declares the incident, finds the
recovery point and says what it would lose, asks for approval of exactly that plan, and then, phase by phase, isolates
the target, keeps what is there, restores beside it, verifies every row, swaps, and closes with a report.

### Scenarios
* **database corruption**: the whole database is restored into a new one beside the live one; after verification both
  are renamed in one step. The damaged database is kept, disconnected, under the name that the plan says.
* **point in time**: the cluster is recovered from its backup and log to a second, an LSN or a recovery point, on a
  scratch server of the worker; its database is copied beside the live one, compared there row by row, and with the
  recovery point or the heartbeat; then both change names as above. The plan says first what that keeps and loses.
* **table corruption**: only the named tables are fetched and restored aside; after verification their rows replace the
  live rows in one transaction. The damaged rows are kept in a schema of their own.
* **whole cluster**: the server is stopped the way its host stops it; the cluster is restored from the repository beside
  the old data directory, recovered and compared there behind a private socket, archiving nothing; then the two change
  places by renames, the server is started the way its host starts it, and archives on, on a new timeline. The old
  directory is kept under the name that the plan says. It needs the argv lists `stop` and `start` and the
  `data_directory` in the extra of the cluster's connection, and a worker on the database's host.

Steps that a scenario does not need say so in their log and succeed.

### Modes
A *rehearsal* works on a scratch server with a damaged stand-in for the live database, and approves itself. An
*incident* waits for the signed approval of people of the policy's role, never of the one who triggered it. Each
overwriting step first proves what it is about to touch and refuses whatever the approved plan does not name.

### Schedule
By hand, or from the button `disaster_recovery`.

### What a failure means
The steps before the failed one are done, those behind it are not. Before `resume` the live data are as they were, only
closed to their clients; after it, the former data are under the name of the safety copy.

### What to do
Mend the cause that the failed task names, and clear that task: the run goes on from there. A rehearsal's scratch server
is gone by then, so clear a rehearsal from `stage` on. To give up instead and open the untouched database again:
`lifeboat reopen`; where a whole cluster was to be replaced, `lifeboat replace-cluster --put-back`.
"""

from __future__ import annotations

from airflow.sdk import DAG

from include.recovery.policy.models import ProtectedSystem
from recovery_airflow.dag_defaults import DEFAULT_ARGS, Tag, page, policies, tags, wanted
from recovery_airflow.notifications.deadlines import ends_within
from recovery_airflow.runbook_graph import runbook
from recovery_airflow.trigger_form import runbook_form


def runbook_dag(system: ProtectedSystem) -> DAG:
    """The runbook of one system."""
    with DAG(
        dag_id=f"disaster_recovery__{system.system}",
        dag_display_name=f"Recover {system.system}",
        doc_md=page(
            __doc__,
            [
                ("System", f"{system.title}, priority {system.priority}"),
                *((f"RTO, {name.replace('_', ' ')}", s.in_words()) for name, s in system.scenarios.items()),
                *(
                    (f"Approval, {name.replace('_', ' ')}", f"{s.approval.people} of role {s.approval.role}")
                    for name, s in system.scenarios.items()
                ),
            ],
        ),
        schedule=None,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=DEFAULT_ARGS,
        params=runbook_form(system),
        deadline=ends_within(
            max(scenario.rto for scenario in system.scenarios.values()),
            system=system.system,
            what="recovery",
            to_do="The RTO has passed: see in the run where it works or waits, also for an approval, and tell people.",
        ),
        tags=tags(Tag.RUNBOOK, system.system),
    ) as dag:
        runbook(system)
    return dag


for _system in policies().systems.values():
    if wanted(f"disaster_recovery__{_system.system}"):
        globals()[f"disaster_recovery__{_system.system}"] = runbook_dag(_system)
