"""What ``make demo`` does: start everything, back up, copy, drill, rehearse, and say how recoverable each system is.

Here is the order of the steps; what each of them has Airflow do is in ``proofs.py``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from include.lab.airflow import AirflowClient
from include.lab.credentials import AIRFLOW_USERS
from include.lab.lab import Lab
from include.lab.ports import LOOPBACK
from include.lab.proofs import Proofs
from include.lab.runs import wait_for_dags
from include.lab.steps import Report, Step, Timing, run_steps
from include.lab.systems import CLUSTERS, REGIONS, SLACK_PORT, SYSTEMS, DemoSystem
from include.recovery.evidence.summary import SystemSummary, summarise
from include.recovery.policy.models import ProtectedSystem
from include.recovery.restore_points import point_interval
from include.recovery.workspace import Workspace

REHEARSED = DRILLED = "labdojo"


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
            Step("aws", "Key service, and a managed database", _quietly(lab.start_aws)),
            Step("uploads", "Uploads, Terraform's state", _quietly(lab.upload), (REGIONS[0].name,)),
            Step("git", "Git server", _quietly(lab.sources.start_git)),
            Step("hosts", "Files of hosts, a container", _quietly(lab.sources.make_hosts)),
            Step("mongodb", "MongoDB", _quietly(lab.sources.start_mongodb)),
            Step("redis", "Redis", _quietly(lab.sources.start_redis)),
            Step("vault", "Vault", _quietly(lab.start_vault)),
            Step("prometheus", "Prometheus", _quietly(lab.sources.start_prometheus)),
            *(
                Step(f"kubernetes {name}", f"Kubernetes of {name}", _quietly(lab.sources.start_kubernetes, name))
                for name in CLUSTERS
            ),
            Step("slack", "Slack's webhook", _quietly(lab.start_slack)),
            Step("dns", "DNS zone", _quietly(lab.start_dns)),
            Step("applications", "Applications and their users", _quietly(lab.start_applications), protected),
            Step("heartbeats", "Heartbeats of the databases", _quietly(lab.start_heartbeats), protected),
        ]

    def _proofs(self, workspace: Workspace, client: AirflowClient) -> list[Step]:
        systems = sorted(workspace.policies.systems.values(), key=lambda system: system.priority)
        proofs = [Proofs(system, self.lab, client) for system in systems]
        steps = [Step("dags", "DAGs", lambda report: wait_for_dags(client, wanted_dags(systems), report))]
        bases = [
            Step(f"base {each.name}", f"{each.name}: full backup of the cluster", each.take_base, ("dags",))
            for each in sorted(proofs, key=lambda each: each.name != DRILLED)
            if each.full_tier is not None
        ]
        # The base that is drilled comes first: the drill's random second needs some minutes of WAL behind it.
        steps.append(bases[0])
        for each in proofs:
            name, backed_up = each.name, (f"backup {each.name}",)
            steps += [
                Step(f"backup {name}", f"{name}: backup", each.back_up, ("dags",)),
                Step(f"copy {name}", f"{name}: copy to the second region", each.await_copies, backed_up),
                Step(f"drill {name}", f"{name}: drill", each.drill, backed_up),
            ]
        steps += bases[1:]
        by_name = {each.name: each for each in proofs}
        title = f"{REHEARSED}: disaster recovery, rehearsed"
        steps.append(Step("rehearsal", title, by_name[REHEARSED].rehearse, (f"drill {REHEARSED}",)))
        title = f"{DRILLED}: drill of the cluster, to a point and to a random second"
        needs = (f"base {DRILLED}", f"drill {DRILLED}")
        steps.append(Step("drill cluster", title, by_name[DRILLED].drill_cluster, needs))
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
                f"[bold]{self.lab.command}[/bold] points {DRILLED}   moments to go back to, and what each has cost\n"
                "[bold]make demo-down[/bold]   stops everything",
                title=f"Lifeboat is up ({seconds:.0f} s)",
                expand=False,
            )
        )


def wanted_dags(systems: Sequence[ProtectedSystem]) -> list[str]:
    """The DAGs that the demo runs, or that have to run by themselves behind it."""
    wanted = ["disaster_recovery", f"drill__{DRILLED}__monthly"]
    for system in systems:
        name = system.system
        wanted += [f"{kind}__{name}" for kind in ("replicate", "disaster_recovery")]
        wanted += [f"backup__{name}__{tier.name}" for tier in system.tiers]
        wanted += [f"drill__{name}__{drill}" for drill in system.logical_drills]
        if point_interval(system) is not None:
            wanted.append(f"recovery_point__{name}")
    return wanted


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


def _quietly(work: Callable[..., object], *arguments: object) -> Callable[[Report], object]:
    """A step that has nothing to report on its way."""
    return lambda _report: work(*arguments)
