"""What all graphs share: tags, retries, schedules, and which DAG has to be built at all."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import Any

from airflow.sdk import (
    Asset,
    CronTriggerTimetable,
    DeltaTriggerTimetable,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    get_parsing_context,
)

from include.recovery import errors
from include.recovery.policy.files import PolicySet, load_folder, policies_folder
from include.recovery.policy.models import ProtectedSystem
from recovery_airflow.notifications.slack_alerts import SlackAlert
from recovery_airflow.operators.run_recovery import RunbookFailed
from recovery_airflow.operators.verdict import RunIsRed


class Tag(StrEnum):
    """What a DAG is for; each DAG has one of these and its system's own tag."""

    BACKUP = "backup"
    REPLICATION = "replication"
    DRILL = "drill"
    RETENTION = "retention"
    RECOVERY_POINT = "recovery_point"
    WAL_ARCHIVE = "wal_archive"
    REPLAY_PROOF = "replay_proof"
    WATCHDOG = "watchdog"
    RUNBOOK = "runbook"
    BUTTON = "button"


RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=[errors.Unavailable, ConnectionError, TimeoutError], action=RetryAction.RETRY),
        RetryRule(
            exception=[
                errors.BackupCorrupt,
                errors.KeyUnavailable,
                errors.NotIdentical,
                errors.CopyLost,
                errors.Refused,
                errors.PolicyError,
                errors.SourceError,
                errors.BackupNotFound,
                errors.LeaseHeld,
                errors.LeaseLost,
                RunIsRed,
                RunbookFailed,
            ],
            action=RetryAction.FAIL,
            reason="the same attempt would end in the same way",
        ),
    ],
    default=RetryAction.DEFAULT,
)
"""Trouble on the way retries; a corrupt backup, a refusal, a missing right never does."""

DEFAULT_ARGS = {
    "owner": "lifeboat",
    # A killed worker is noticed by its missing heartbeat and retried by this number alone, whatever the policy says.
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": RETRY_POLICY,
    "execution_timeout": timedelta(hours=6),
    "on_failure_callback": [SlackAlert()],
}

SCRATCH_QUEUE = os.environ.get("LIFEBOAT_SCRATCH_QUEUE") or None
"""Where scratch servers live: with several workers, a queue that one worker listens to. None: the default queue."""

CLUSTER_QUEUES = os.environ.get("LIFEBOAT_CLUSTER_QUEUES", "").lower() in {"1", "true", "yes"}
"""Whether each cluster has a queue of its own, named as its stanza, that a worker on the database's host listens to."""

FIRST_RUN = timedelta(minutes=5)
"""A DAG that Airflow sees for the first time runs the time that has just passed, no older one."""


def policies() -> PolicySet:
    """All policies, read from local files: the only I/O while a DAG file is parsed."""
    return load_folder(policies_folder())


def on_host(system: ProtectedSystem, source: str) -> dict[str, Any]:
    """Arguments of tasks that work on the database's host itself, as the server's operating-system user.

    :param source: name of the source in the policy.
    """
    return {"queue": system.stanza(system.source(source))} if CLUSTER_QUEUES else {}


def wanted(dag_id: str) -> bool:
    """Whether this DAG has to be built: all of them for the DAG processor, one for a task that starts."""
    return get_parsing_context().dag_id in {None, dag_id}


def schedule_of(cron: str, system: ProtectedSystem) -> CronTriggerTimetable:
    """A policy's cron line, read in the system's own time zone (so 02:00 stays 02:00 in summer).

    DAGs have no start date: with one, a new installation would begin with all backups and drills at once.
    """
    return CronTriggerTimetable(cron, timezone=system.time_zone, run_immediately=FIRST_RUN)


def every(interval: timedelta, system: ProtectedSystem) -> CronTriggerTimetable | DeltaTriggerTimetable:
    """A schedule by an interval: on the clock's round times where the interval divides a day, else by counting on.

    :param interval: at least a minute.
    """
    cron = round_times(interval)
    return DeltaTriggerTimetable(interval) if cron is None else schedule_of(cron, system)


def round_times(interval: timedelta) -> str | None:
    """The cron line of an interval that divides an hour or a day; None for any other."""
    minutes, rest = divmod(interval, timedelta(minutes=1))
    if rest or minutes < 1:
        return None
    if minutes < 60:
        return f"*/{minutes} * * * *" if 60 % minutes == 0 else None
    hours, rest_minutes = divmod(minutes, 60)
    if rest_minutes or hours > 24 or 24 % hours:
        return None
    return f"0 {'*' if hours == 1 else 0 if hours == 24 else f'*/{hours}'} * * *"


def backups_of(system: str) -> Asset:
    """The asset by which a finished backup is handed over to replication."""
    return Asset(name=f"backups__{system}", uri=f"x-lifeboat://backups/{system}", group="lifeboat")


def tags(kind: Tag, system: str | None = None) -> list[str]:
    """A DAG's tags: what it is for, and whom it protects."""
    return [kind.value] if system is None else [kind.value, f"system:{system}"]


def page(doc: str | None, facts: Iterable[tuple[str, object]]) -> str:
    """A DAG's page in the UI: the docstring of its file, below the facts of this very DAG."""
    rows = [f"| **{name}** | {str(value).replace(chr(10), ' ')} |" for name, value in facts]
    return "\n".join(["| | |", "|---|---|", *rows, "", inspect.cleandoc(doc or "")])
