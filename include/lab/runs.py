"""Runs of Airflow's DAGs, started and awaited through its REST API, as a person would do in the web UI."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from include.lab.airflow import AirflowClient
from include.lab.errors import LabError
from include.lab.steps import Report

_POLL_SECONDS = 2.0
_ENDED = {"success", "failed"}
_OVER = {"success", "failed", "skipped", "upstream_failed", "removed"}


def wait_for_dags(client: AirflowClient, wanted: Sequence[str], report: Report, *, seconds: float = 180) -> None:
    """Return when Airflow has parsed all these DAGs.

    :raises LabError: with the import errors when some do not appear.
    """
    until = time.monotonic() + seconds
    while lacking := sorted(set(wanted) - client.dag_ids()):
        report(f"{len(wanted) - len(lacking)} of {len(wanted)}")
        if time.monotonic() > until:
            errors = "\n".join(client.import_errors()) or "no import error is reported"
            raise LabError(f"Airflow does not show {', '.join(lacking)} after {seconds:.0f} s:\n{errors}")
        time.sleep(_POLL_SECONDS)


def run_to_end(
    client: AirflowClient, dag_id: str, report: Report, conf: Mapping[str, Any] | None = None, *, seconds: float = 900
) -> str:
    """Trigger a DAG, wait until it is green, and return the run's id.

    :raises LabError: when it is red or takes too long, naming the failed tasks and what they said last.
    """
    run_id = client.trigger(dag_id, conf)
    wait_until_green(client, dag_id, run_id, report, seconds=seconds)
    return run_id


def wait_until_green(client: AirflowClient, dag_id: str, run_id: str, report: Report, *, seconds: float = 900) -> None:
    """Wait for the end of a run."""
    until = time.monotonic() + seconds
    path = f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"
    while True:
        try:
            state = client.call("GET", path)["state"]
            tasks = client.tasks(dag_id, run_id)
        except httpx.TransportError:  # the API server is busy, or is being started again
            state, tasks = "unknown", []
        if state in _ENDED:
            break
        if time.monotonic() > until:
            raise LabError(f"{dag_id} is {state} after {seconds:.0f} s; look at {run_url(client, dag_id, run_id)}")
        report(_where(tasks))
        time.sleep(_POLL_SECONDS)
    if state == "failed":
        raise LabError(_what_failed(client, dag_id, run_id, tasks))
    report("green")


def run_url(client: AirflowClient, dag_id: str, run_id: str) -> str:
    """A run in the web UI."""
    return f"{client.url}/dags/{dag_id}/runs/{quote(run_id, safe='')}"


def _where(tasks: Sequence[Mapping[str, Any]]) -> str:
    over = sum(1 for task in tasks if task["state"] in _OVER)
    running = [task["task_id"] for task in tasks if task["state"] == "running"]
    words = f"{over} of {len(tasks)} tasks"
    return f"{words}, {running[0]}" if running else words


def _what_failed(client: AirflowClient, dag_id: str, run_id: str, tasks: Sequence[Mapping[str, Any]]) -> str:
    failed = sorted((task for task in tasks if task["state"] == "failed"), key=lambda task: task["end_date"] or "")
    said = "\n".join(f"  {task['task_id']}: {_last_words(client, task)}" for task in failed)
    return f"{dag_id} failed, see {run_url(client, dag_id, run_id)}\n{said}"


def _last_words(client: AirflowClient, task: Mapping[str, Any]) -> str:
    """The error of a failed task, from its log."""
    path = (
        f"dags/{task['dag_id']}/dagRuns/{quote(task['dag_run_id'], safe='')}/taskInstances/{task['task_id']}"
        f"/logs/{task['try_number']}"
    )
    try:
        content = client.call("GET", path, params={"map_index": task["map_index"]})["content"]
    except (LabError, httpx.HTTPError) as error:
        return f"its log cannot be read ({error})"
    entries = [entry for entry in content if isinstance(entry, dict)]
    details = [detail for entry in entries for detail in entry.get("error_detail") or ()]
    if details:
        return f"{details[-1].get('exc_type')}: {details[-1].get('exc_value')}"
    errors = [entry["event"] for entry in entries if entry.get("level") in {"error", "critical"} and entry.get("event")]
    return str(errors[-1]) if errors else "it left no error in its log"
