"""
### Purpose
The button: choose systems, say what has happened, and the runbook of each system starts, those of the highest priority
first, equal priorities side by side. A system whose dependency could not be recovered is not started.

### Schedule
By hand only. Rehearse as often as you like; an incident asks for approval inside each system's runbook.

### Inputs
The form. Each system's runbook, `disaster_recovery__<system>`, gets the same scenario, mode and recovery point.

### What a failure means
At least one chosen system is not recovered. The others are not held up by it, save those that depend on it.

### What to do
Open the failed task: on its tab *Details*, *Triggered DAG* leads to the system's run. Mend the cause, and clear the
failed task *there*. Then clear the task here: it joins that run instead of starting a second recovery.
"""

from __future__ import annotations

from airflow.sdk import DAG

from recovery_airflow.dag_defaults import DEFAULT_ARGS, Tag, page, policies, tags, wanted
from recovery_airflow.task_groups import recover_by_priority
from recovery_airflow.trigger_form import button_form

_systems = tuple(policies().systems.values())

if wanted("disaster_recovery") and _systems:
    with DAG(
        dag_id="disaster_recovery",
        dag_display_name="Disaster recovery: the button",
        doc_md=page(
            __doc__,
            [
                (f"Priority {priority}", ", ".join(s.system for s in _systems if s.priority == priority))
                for priority in sorted({s.priority for s in _systems})
            ],
        ),
        schedule=None,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=DEFAULT_ARGS,
        params=button_form(_systems),
        tags=tags(Tag.BUTTON),
    ):
        recover_by_priority(_systems)
