"""Runs that take too long: Airflow's own deadlines, told through Slack. They begin with a run.

What never began has none: that is the watchdog's to find.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback

from include.recovery import messages
from recovery_airflow.hooks.workspace import WorkspaceHook
from recovery_airflow.notifications.slack_alerts import send_notice

_log = logging.getLogger(__name__)


def ends_within(interval: timedelta, *, system: str, what: str, to_do: str) -> DeadlineAlert:
    """A deadline of a DAG's runs, counted from when a run is queued.

    :param interval: a run that has not ended by then is told, once.
    :param what: the run, for people.
    :param to_do: what to do about it, in a sentence.
    """
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=interval,
        callback=SyncCallback(tell_overdue, kwargs={"system": system, "what": what, "to_do": to_do}),
        name=f"{what} takes too long",
    )


def tell_overdue(context: dict[str, Any], *, system: str, what: str, to_do: str) -> bool:
    """What the executor calls when a deadline has passed and the run goes on.

    :param context: what Airflow knows of run and deadline, as plain data.
    :return: whether the message went out.
    """
    workspace = WorkspaceHook().get_conn()
    run, deadline = context.get("dag_run") or {}, context.get("deadline") or {}
    message = messages.overdue(
        system=system, what=what, due=_moment(deadline.get("deadline_time")), now=datetime.now(UTC), to_do=to_do,
        url=f"{workspace.policies.platform.web.base_url.rstrip('/')}/dags/{run.get('dag_id')}/runs/"
        f"{run.get('dag_run_id')}",
    )
    return send_notice(workspace, message, _log)


def _moment(at: object) -> datetime:
    """A time that may have travelled as text."""
    if isinstance(at, datetime):
        return at
    try:
        return datetime.fromisoformat(str(at))
    except ValueError:
        return datetime.now(UTC)
