"""What ``make demo`` does: start everything, back up, copy, drill, rehearse, and say how recoverable each system is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from include.lab.airflow import AirflowClient
from include.lab.credentials import AIRFLOW_USERS
from include.lab.errors import LabError
from include.lab.lab import Lab
from include.lab.ports import LOOPBACK
from include.lab.runs import run_to_end, wait_for_dags
from include.lab.steps import Report, Step, Timing, run_steps
from include.lab.systems import REGIONS, SLACK_PORT, SYSTEMS, DemoSystem
from include.recovery.copies import missing_copies
from include.recovery.evidence.history import read_reports
from include.recovery.evidence.model import IncidentReport
from include.recovery.evidence.summary import SystemSummary, summarise
from include.recovery.evidence.verdict import verdict
from include.recovery.policy.models import ProtectedSystem
from include.recovery.workspace import PRIMARY, Workspace

REHEARSED = "labdojo"
SCENARIO = "database_corruption"
_COPY_SECONDS = 600


@dataclass(frozen=True)
class Demo:
    """One call of ``make demo``.

    :param timing: filled while it runs.
    """

    lab: Lab
    console: Console
    timing: Timing

    def run(self) -> None:
        """All of it. What is there already and in order is left as it is.

        :raises LabError: naming what failed and where its log is.
        """
        begun = time.monotonic()
        self.lab.prepare()
        os.environ["LIFEBOAT_CONNECTIONS"] = str(self.lab.connections)
        self.console.rule("Starting")
        run_steps(self.console, self._servers(), self.timing)
        self.console.rule("Backing up, copying, drilling, rehearsing")
        workspace = Workspace.from_environment()
        run_steps(self.console, self._proofs(workspace, self.lab.client()), self.timing)
        self._show(Workspace.from_environment(), time.monotonic() - begun)

    def _servers(self) -> list[Step]:
        lab, protected = self.lab, tuple(f"protect {system.name}" for system in SYSTEMS)
        stores = ("aws", *(region.name for region in REGIONS))
        return [
            Step("airflow-database", "Airflow's own database", _quietly(lab.start_airflow_database)),
            *(Step(r.name, f"Object store {r.name}", _quietly(lab.start_region, r)) for r in REGIONS),
            Step("airflow", "Airflow", _quietly(lab.start_airflow), ("airflow-database",)),
            *(Step(s.name, f"{s.title}: database", _quietly(lab.start_database, s)) for s in SYSTEMS),
            *(
                Step(f"protect {s.name}", f"{s.title}: WAL archive", partial(_protect, lab, s), (s.name, *stores))
                for s in SYSTEMS
            ),
            Step("aws", "Key service", _quietly(lab.start_aws)),
            Step("slack", "Slack's webhook", _quietly(lab.start_slack)),
            Step("dns", "DNS zone", _quietly(lab.start_dns)),
            Step("applications", "Applications and their users", _quietly(lab.start_applications), protected),
            Step("heartbeats", "Heartbeats of the databases", _quietly(lab.start_heartbeats), protected),
        ]

    def _proofs(self, workspace: Workspace, client: AirflowClient) -> list[Step]:
        systems = sorted(workspace.policies.systems.values(), key=lambda system: system.priority)
        wanted = [
            *(f"{kind}__{s.system}" for s in systems for kind in ("replicate", "disaster_recovery")),
            *(f"backup__{s.system}__{tier.name}" for s in systems for tier in s.logical_tiers),
            *(f"drill__{s.system}__{drill}" for s in systems for drill in s.logical_drills),
            "disaster_recovery",
        ]
        steps = [Step("dags", f"{len(wanted)} DAGs", lambda report: wait_for_dags(client, wanted, report))]
        for system in systems:
            name = system.system
            back_up = partial(_back_up, workspace, client, system)
            steps += [
                Step(f"backup {name}", f"{name}: backup", back_up, ("dags",)),
                Step(
                    f"copy {name}",
                    f"{name}: copy to the second region",
                    partial(_await_copies, system),
                    (f"backup {name}",),
                ),
                Step(
                    f"drill {name}", f"{name}: drill", partial(_drill, workspace, client, system), (f"backup {name}",)
                ),
            ]
        rehearse = partial(_rehearse, workspace, client)
        steps.append(Step("rehearsal", f"{REHEARSED}: disaster recovery, rehearsed", rehearse, (f"drill {REHEARSED}",)))
        return steps

    def _show(self, workspace: Workspace, seconds: float) -> None:
        now = datetime.now(UTC)
        rows = [summarise(workspace, name, now) for name in workspace.policies.systems]
        self.console.print(table(rows))
        for row in rows:
            for problem in row.problems:
                self.console.print(f"[red]{row.system}: {problem}")
        passwords = self.lab.secret.users
        people = "\n".join(f"  {user:<6} {passwords[user]:<14} {role}" for user, role in AIRFLOW_USERS.items())
        self.console.print(
            Panel(
                f"[bold]{self.lab.airflow.url}[/bold]   the web UI; log in as\n{people}\n"
                f"[bold]http://{LOOPBACK}:{SLACK_PORT}[/bold]   what Slack was told\n"
                f"[bold]{self.lab.command}[/bold] status   the same from the command line\n"
                "[bold]make demo-down[/bold]   stops everything",
                title=f"Lifeboat is up ({seconds:.0f} s)",
                expand=False,
            )
        )


def table(rows: list[SystemSummary]) -> Table:
    """One row for each system; what misses its objective is red."""
    shown = Table(title="How recoverable each system is")
    titles = list(rows[0].cells()) if rows else []
    for title in titles:
        shown.add_column(title, overflow="fold")
    for row in sorted(rows, key=lambda each: each.system):
        cells = row.cells()
        bad = {
            "recoverable point": not row.rpo_met,
            "recovery last proven": row.proven_at is None,
            "measured restore": row.rto_met is not True,
            "copies": row.copies < row.copies_wanted,
        }
        colours = {True: "red", False: "green"}
        shown.add_row(*(f"[{colours[bad[t]]}]{cells[t]}" if t in bad else cells[t] for t in titles))
    return shown


def _protect(lab: Lab, system: DemoSystem, report: Report) -> None:
    """The cluster's WAL, archived in both regions. Before the applications start: it may need a restart."""
    report(lab.protect(system))


def _back_up(workspace: Workspace, client: AirflowClient, system: ProtectedSystem, report: Report) -> None:
    """A first backup, or a new one when the newest has lived for half of what may be lost."""
    summary = summarise(workspace, system.system, datetime.now(UTC))
    if summary.age_seconds is not None and summary.age_seconds < summary.rpo_seconds / 2:
        report("young enough")
        return
    tier = next((tier for tier in system.logical_tiers if len(tier.stores) > 1), system.logical_tiers[0])
    run_to_end(client, f"backup__{system.system}__{tier.name}", report, {"note": "make demo"})


def _await_copies(system: ProtectedSystem, report: Report) -> None:
    """Replication starts by itself when a backup is announced; wait for its result."""
    until = time.monotonic() + _COPY_SECONDS
    workspace = Workspace.from_environment()  # catalogs of its own: this waits beside others
    while missing := missing_copies(system, workspace.catalog):
        report(f"{len(missing)} to come")
        if time.monotonic() > until:
            copies = ", ".join(f"{copy.backup} in {copy.to_store}" for copy in missing)
            raise LabError(
                f"{system.system}: not copied after {_COPY_SECONDS} s: {copies}; see replicate__{system.system}"
            )
        time.sleep(3)
    report("all copied")


def _drill(workspace: Workspace, client: AirflowClient, system: ProtectedSystem, report: Report) -> None:
    """The weekly drill, unless the newest backup was proven by one already."""
    summary = summarise(workspace, system.system, datetime.now(UTC))
    if summary.proven_at is not None and datetime.now(UTC) - summary.proven_at < timedelta(days=7):
        report("proven")
        return
    run_to_end(client, f"drill__{system.system}__weekly", report)


def _rehearse(workspace: Workspace, client: AirflowClient, report: Report) -> None:
    """The runbook in mode rehearsal, unless the evidence has a green one of this week."""
    since = datetime.now(UTC) - timedelta(days=7)
    for found in read_reports(workspace.store(PRIMARY), REHEARSED):
        if isinstance(found, IncidentReport) and found.finished_at > since and not verdict(found):
            report("rehearsed")
            return
    conf = {"scenario": SCENARIO, "mode": "rehearsal", "recovery_point": "newest identical", "reason": "make demo"}
    run_to_end(client, f"disaster_recovery__{REHEARSED}", report, conf)


def _quietly(work: Callable[..., object], *arguments: object) -> Callable[[Report], object]:
    """A step that has nothing to report on its way."""
    return lambda _report: work(*arguments)
