"""
### Purpose
Finds what no failed task can tell, because nothing ran or nobody looked, in all systems in one pass:

* a **backup** that never started or never ended, each tier against its own rhythm, in each store;
* an **RPO** that is missed or about to be: the age of the newest point that really can be recovered to, by backups, the
  WAL archive and the heartbeat; and a heartbeat that has stopped;
* the **primary** in danger from its own protection: `archive_command` failing, the time until the disk is full, slots;
* a **standby** that lags, has stopped or was promoted; and whether it would do for a failover;
* an **archive** with a hole or a bad segment, and a replay proof or check that does not look any more;
* a **drill** that is overdue; a **store** that does not answer; a **policy** that cannot be used.

### Schedule
Every five minutes. `lifeboat watch` shows the same at any time, and tells nobody.

### What it tells
Each cause once, once more when it gets worse, and once when it is over. The state is kept in the primary store, and on
the worker for when that does not answer. An alarm is over when somebody has looked and found nothing, never because
nobody could look.

### What a failure means
Something was wrong and nobody could be told (Slack does not answer), or what was told could not be remembered. What is
wrong with a system is in the log and in the alerts, and does not make this run red.

### What to do
Read the last line of the log, and mend the way to Slack or to the store; the next pass tells what is still untold. A
silent watchdog is no proof that all is well: watch from outside that this DAG runs.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from recovery_airflow.dag_defaults import DEFAULT_ARGS, FIRST_RUN, Tag, page, policies, tags, wanted
from recovery_airflow.operators.verdict import VerdictOperator
from recovery_airflow.operators.watchdog import ALL, WatchSystemsOperator

EVERY = "*/5 * * * *"

if wanted("watchdog"):
    with DAG(
        dag_id="watchdog",
        dag_display_name="Watchdog",
        doc_md=page(__doc__, [("Systems", ", ".join(policies().systems)), ("Schedule", f"`{EVERY}` in UTC")]),
        schedule=CronTriggerTimetable(EVERY, timezone="UTC", run_immediately=FIRST_RUN),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args={**DEFAULT_ARGS, "execution_timeout": timedelta(minutes=15)},
        tags=tags(Tag.WATCHDOG),
    ):
        WatchSystemsOperator(task_id="watch", system=ALL) >> VerdictOperator(task_id="verdict", system=ALL)
