"""What people do in the browser: press the button for a rehearsal, and approve an incident after reading its plan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from include.recovery.runbook.approval import read_approvals
from tests.fixtures.airflow_server import AirflowServer, Run
from tests.fixtures.browser import screenshot, signed_in, wait_for_green
from tests.fixtures.harbor import (
    APPROVAL,
    RUNBOOK,
    assert_corrupted_captains_are_kept,
    back_up,
    captains,
    corrupt_captains,
    start,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
expect = pytest.importorskip("playwright.sync_api").expect
SECONDS = 240
"""For a run of the runbook, on a busy machine."""


@pytest.fixture
def some_backup(airflow_server: AirflowServer) -> None:
    """There is a backup of the harbour; the tests before have mostly made one."""
    if not airflow_server.workspace().catalog().backups("harbor"):
        back_up(airflow_server)


def choose(page: Page, field: str, options: list[str], chosen: str) -> None:
    """Open a drop-down of the form, find these choices there, and take one."""
    page.get_by_role("dialog").get_by_role("combobox", name=field).click()
    offered = page.get_by_role("listbox").get_by_role("option")
    expect(offered).to_have_text(options)
    offered.filter(has_text=chosen).click()


def test_the_button_rehearses_the_recovery_of_a_system(
    airflow_server: AirflowServer, chromium: Browser, some_backup: None, clean_harbour: set[str]
) -> None:
    before = captains(airflow_server)
    with signed_in(chromium, airflow_server, "grace") as page:
        page.goto("/dags")
        page.get_by_role("link", name="Disaster recovery: the button").click()
        page.get_by_role("button", name="Dag Docs").click()
        expect(page.get_by_role("dialog")).to_contain_text("choose systems, say what has happened")
        page.keyboard.press("Escape")

        page.get_by_role("button", name="Trigger").click()
        form = page.get_by_role("dialog")
        systems = ["The harbor (priority 1)", "The quarry (priority 2)", "The lighthouse (priority 3)"]
        choose(page, "Select one or multiple", systems, "harbor")
        scenarios = [
            "Database corruption: restore the whole database",
            "Table corruption: put back single tables",
            "Point in time: back to the second before it happened",
            "Whole cluster: the server's files are lost or damaged",
        ]
        choose(page, "What has happened", scenarios, "Database corruption")
        choose(page, "Mode", [re.compile("Rehearsal: .*"), re.compile("Incident: .*")], "Rehearsal")
        form.get_by_role("combobox", name="Start typing to see options").fill("newest")
        for explained in (
            "Which systems to recover",
            "Decides what is restored",
            "waits until somebody else than you",
            "Damaged backups are passed over",
            "one qualified name per line",
        ):
            expect(form).to_contain_text(explained)
        form.get_by_role("heading").first.click()
        screenshot(page, "trigger-form")
        form.get_by_role("button", name="Trigger", exact=True).click()

        page.wait_for_url("**/dags/disaster_recovery/runs/*")
        wait_for_green(page, SECONDS)
        page.get_by_role("row").get_by_role("link", name="recover__harbor").click()
        page.get_by_role("link", name="Details", exact=True).click()
        page.get_by_role("link", name="Triggered DAG").click()
        page.wait_for_url(f"**/dags/{RUNBOOK}/runs/*")
        wait_for_green(page, SECONDS)
        expect(page.get_by_role("row", name=re.compile("resume.swap_in__main-db .*Success"))).to_be_visible()
        screenshot(page, "rehearsal")
    assert captains(airflow_server) == before
    assert airflow_server.databases() == clean_harbour


@pytest.mark.demand("K4", "L21")
def test_an_incident_is_approved_by_another_person_who_reads_the_plan(
    airflow_server: AirflowServer, chromium: Browser, some_backup: None, clean_harbour: set[str]
) -> None:
    good = captains(airflow_server)
    corrupt_captains(airflow_server)
    run = start(airflow_server, scenario="database_corruption", mode="incident", recovery_point="newest")
    run.wait_for_task(APPROVAL, {"awaiting_input"})
    with signed_in(chromium, airflow_server, "ada") as page:
        page.get_by_role("button", name="Required Actions").click()
        page.get_by_role("dialog").get_by_role("row", name=RUNBOOK).first.click()
        page.get_by_role("dialog").get_by_role("link", name=APPROVAL).click()
        read_plan(page, run)
        screenshot(page, "approval")
        page.get_by_role("button", name="Approve", exact=True).click()
        expect(page.get_by_text(re.compile("Response received at"))).to_contain_text("from ada")
        page.get_by_role("navigation", name="breadcrumb").get_by_role("link", name=run.run_id).click()
        page.wait_for_url(f"**/dags/{RUNBOOK}/runs/*")
        assert run.wait(SECONDS) == "success"  # before that, the page may still show the green of the task
        wait_for_green(page, SECONDS)
    assert captains(airflow_server) == good
    assert_corrupted_captains_are_kept(airflow_server)
    approvals = read_approvals(airflow_server.workspace().store("primary"), "harbor", f"{RUNBOOK}/{run.run_id}")
    assert [signed.approval.person for signed in approvals] == ["ada"]


def read_plan(page: Page, run: Run) -> None:
    """The plan is there in words, laid out as a text and not as its source."""
    expect(page.get_by_role("heading", name="Recover The harbor (harbor): database corruption")).to_be_visible()
    content = page.get_by_test_id("main-content")
    expect(content).to_contain_text("Incident. Live data will be replaced. Asked for by grace")
    for title, words in {
        "What will be overwritten": "database harbor on 127.0.0.1:",
        "What takes its place": "main-db: backup 20",
        "What is kept": "renamed to harbor_before_",
        "What is lost": "what was written after 20",
        "How long it takes": "objective",
        "Who decides": "ada; not grace, who asked for it",
        "If you reject": "Nothing is touched",
    }.items():
        expect(content.get_by_text(title, exact=True)).to_be_visible()
        expect(page.get_by_role("listitem").filter(has_text=words).first).to_be_visible()
    expect(content).to_contain_text(run.run_id)
    assert not re.search(r"\*\*|###|`", content.inner_text()), "Markdown shows as it was written"
