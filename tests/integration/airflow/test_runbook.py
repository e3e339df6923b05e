"""The runbook on a real Airflow, through its REST API: rehearsal, incident, and everybody who must not be able to."""

from __future__ import annotations

import time

import httpx
import pytest

from include.lab.errors import LabError
from include.recovery.runbook.approval import read_approvals
from tests.fixtures.airflow_server import AirflowServer, Run
from tests.fixtures.harbor import (
    APPROVAL,
    RUNBOOK,
    SETTLED,
    answer,
    assert_corrupted_captains_are_kept,
    back_up,
    captains,
    corrupt_captains,
    decide,
    start,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@pytest.fixture
def backup(airflow_server: AirflowServer) -> str:
    """A fresh backup of the harbour."""
    return back_up(airflow_server)


def test_a_rehearsal_takes_every_step_and_leaves_the_live_database_alone(
    airflow_server: AirflowServer, backup: str, clean_harbour: set[str]
) -> None:
    before = captains(airflow_server)
    run = start(airflow_server, scenario="database_corruption", mode="rehearsal", recovery_point=backup)
    assert run.wait() == "success", run.tasks()
    assert set(run.tasks().values()) == {"success"}
    assert captains(airflow_server) == before
    assert airflow_server.databases() == clean_harbour
    report = run.xcom("close.report")
    assert report["failures"] == []
    assert airflow_server.scratch_of(run) == []


def test_a_rehearsal_of_single_tables(airflow_server: AirflowServer, backup: str) -> None:
    run = start(
        airflow_server,
        scenario="table_corruption",
        mode="rehearsal",
        recovery_point=backup,
        tables=["public.captains"],
    )
    assert run.wait() == "success", run.tasks()
    assert "public.captains restored" in run.log("resume.swap_in__main-db")


@pytest.mark.demand("K4", "L21")
def test_an_incident_needs_another_person_and_keeps_what_was_there(
    airflow_server: AirflowServer, backup: str, clean_harbour: set[str]
) -> None:
    good = captains(airflow_server)
    corrupt_captains(airflow_server)
    run = start(airflow_server, scenario="database_corruption", mode="incident", recovery_point=backup)
    run.wait_for_task(APPROVAL, {"awaiting_input"})
    time.sleep(SETTLED)
    assert "corrupted" in captains(airflow_server), "something happened before the approval"
    for user in ("grace", "admin", "vera"):
        with pytest.raises(LabError, match="403"):
            answer(airflow_server.client(user), run)
    decide(airflow_server, run)
    assert run.wait() == "success", run.tasks()

    assert captains(airflow_server) == good
    assert_corrupted_captains_are_kept(airflow_server)
    approvals = read_approvals(airflow_server.workspace().store("primary"), "harbor", f"{RUNBOOK}/{run.run_id}")
    assert [signed.approval.person for signed in approvals] == ["ada"]


def test_an_incident_of_one_table_replaces_its_rows_only(
    airflow_server: AirflowServer, backup: str, clean_harbour: set[str]
) -> None:
    good = captains(airflow_server)
    with airflow_server.database() as connection:
        connection.execute("UPDATE captains SET name = 'corrupted' WHERE id <= 10")
        connection.execute("INSERT INTO voyages (captain_id, log) VALUES (1, '{\"new\": true}')")
    run = start(
        airflow_server, scenario="table_corruption", mode="incident", recovery_point=backup, tables=["public.captains"]
    )
    decide(airflow_server, run)
    assert run.wait() == "success", run.tasks()
    assert captains(airflow_server) == good
    with airflow_server.database() as connection:
        new = connection.execute("SELECT count(*) FROM voyages WHERE log ? 'new'").fetchone()
        kept = connection.execute(
            "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'lifeboat\\_before\\_%'"
        ).fetchone()
    assert (new, kept) == ((1,), (1,))


def test_a_rejected_plan_touches_nothing(airflow_server: AirflowServer, backup: str, clean_harbour: set[str]) -> None:
    before = captains(airflow_server)
    run = start(airflow_server, scenario="database_corruption", mode="incident", recovery_point=backup)
    asked = decide(airflow_server, run, "Reject")
    assert run.wait() == "failed"
    assert run.task(APPROVAL)["try_number"] == asked, "a rejection was asked for twice"
    assert run.tasks()["resume.swap_in__main-db"] == "upstream_failed"
    assert captains(airflow_server) == before
    assert airflow_server.databases() == clean_harbour


def test_a_task_set_to_success_by_hand_is_no_approval(
    airflow_server: AirflowServer, backup: str, clean_harbour: set[str]
) -> None:
    """The requester cannot answer, but may mark the approval as done: the interlock wants the signed object."""
    before = captains(airflow_server)
    run = start(airflow_server, scenario="database_corruption", mode="incident", recovery_point=backup)
    run.wait_for_task(APPROVAL, {"awaiting_input"})
    run.client.call("PATCH", f"{run.path}/taskInstances/{APPROVAL}", json={"new_state": "success"})
    assert run.wait() == "failed"
    assert run.tasks()["isolate.close_to_clients__main-db"] == "failed"
    assert "ApprovalMissing" in run.log("isolate.close_to_clients__main-db")
    assert captains(airflow_server) == before
    with airflow_server.clusters["harbor"].connect() as connection:
        still_open = connection.execute("SELECT datallowconn FROM pg_database WHERE datname = 'harbor'").fetchone()
    assert still_open == (True,)


def test_table_corruption_without_tables_is_refused_at_once(airflow_server: AirflowServer) -> None:
    run = start(airflow_server, scenario="table_corruption", mode="rehearsal")
    assert run.wait() == "failed"
    assert "needs the names of the tables" in run.log("declare.open_incident")


def test_the_button_runs_the_chosen_runbooks_once(airflow_server: AirflowServer, backup: str) -> None:
    chosen = {"systems": ["harbor"], "scenario": "database_corruption", "mode": "rehearsal", "recovery_point": backup}
    run = airflow_server.run("disaster_recovery", chosen, seconds=400)
    assert run.state == "success", run.tasks()
    child = Run(run.client, RUNBOOK, f"disaster_recovery__{run.run_id}")
    assert child.state == "success"
    runs = len(airflow_server.client().runs(RUNBOOK))
    run.clear("priority_1.recover__harbor")
    assert run.wait() == "success"
    assert len(airflow_server.client().runs(RUNBOOK)) == runs, "clearing the button's task made a second recovery"


def test_a_viewer_cannot_press_the_button(airflow_server: AirflowServer) -> None:
    with pytest.raises((LabError, httpx.HTTPError), match="403"):
        airflow_server.client("vera").trigger("disaster_recovery", {"systems": ["harbor"]})
