"""replace-cluster: a plan, a signed approval, the interlock, and only then the host's cluster is exchanged.

The same steps as the runbook's scenario ``whole_cluster``, by the same functions and with the same records in the
store; for the day on which Airflow is gone too. Run it on the database's host, as the server's operating-system user.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markdown import Markdown

from include.recovery.cli.desk import Desk, desk_of, run_info
from include.recovery.cli.output import bar, err, say
from include.recovery.cli.overwriting import approve_as
from include.recovery.cli.reading import SourceName, StoreName, System
from include.recovery.errors import ApprovalMissing, NotIdentical, Refused
from include.recovery.evidence.history import read_reports
from include.recovery.evidence.model import Outcome
from include.recovery.policy.models import PostgresSource
from include.recovery.runbook import interlock
from include.recovery.runbook.cluster_interlock import ClusterClearance, ScratchCluster, check_cluster
from include.recovery.runbook.cluster_target import ClusterFacts
from include.recovery.runbook.folder import RunFolder
from include.recovery.runbook.methods.port import Job, Wanted
from include.recovery.runbook.methods.whole_cluster import METHOD
from include.recovery.runbook.plan import Mode, PlannedSource, RecoveryPlan
from include.recovery.runbook.planning import draft_plan

SCENARIO = "whole_cluster"
EXCHANGED = "exchange of the cluster"


def replace_cluster(
    context: typer.Context,
    *,
    system: System,
    to: Annotated[
        str,
        typer.Argument(
            help="Until when: newest (all that is archived), a time such as 2026-11-21T14:03:07+01:00, lsn:0/3000028, "
            "the name of a recovery point, 'newest point'.",
        ),
    ] = "newest",
    source: SourceName = None,
    store: StoreName = "primary",
    approve: Annotated[
        str | None,
        typer.Option(metavar="PERSON", help="Approve the plan as this person, after typing the data directory."),
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Go on with this run: after a second approval, or after it was interrupted.")
    ] = None,
    requester: Annotated[
        str | None, typer.Option("--as", metavar="PERSON", help="Who asks for it; default: the system's user name.")
    ] = None,
    put_back: Annotated[
        bool,
        typer.Option("--put-back", help="Give up --run and bring the old cluster back, if the new one never served."),
    ] = False,
) -> None:
    """Replace this host's whole PostgreSQL cluster, gone or damaged, from its backup and log; the old one is kept.

    --store also says where the records of the run are: its plan, the approvals, what is done.
    """
    desk = desk_of(context)
    if put_back and run is None:
        raise typer.BadParameter("--put-back needs --run, which the plan that was made has said")
    records, chosen = desk.workspace.store(store), desk.database(system, source)
    if run is None:
        run = desk.run_id("replace-cluster")
        folder = RunFolder(records, system, run)
        plan = folder.save_plan(_plan(desk, system, chosen, to, run, requester or desk.person()))
    else:
        folder = RunFolder(records, system, run)
        plan = folder.plan()
    planned = plan.source(chosen.name)
    if planned is None or planned.cluster is None:
        raise Refused(f"run {run} has no plan to replace the cluster of {system}/{chosen.name}")
    work = _Replacement(desk, folder, plan, planned)
    if put_back:
        say(METHOD.put_back(work.job()), "green")
        return
    err().print(Markdown(plan.in_words()))
    if approve is not None:
        approve_as(desk, plan, approve, folder, "data directory", [planned.cluster.data_directory])
    work.run()


def _plan(
    desk: Desk, system: str, source: PostgresSource, to: str, run: str, requester: str
) -> RecoveryPlan:
    policy = desk.workspace.system(system)
    choice = METHOD.choose(Wanted(desk.workspace, policy, source, to, (), desk.now, say))
    return draft_plan(
        policy, SCENARIO, Mode.INCIDENT, [choice], run=run, requester=requester, now=desk.now(),
        history=read_reports(desk.workspace.store(choice.store), system),
    )  # fmt: skip


@dataclass(frozen=True)
class _Replacement:
    """A replacement while it runs; every step may be repeated."""

    desk: Desk
    folder: RunFolder
    plan: RecoveryPlan
    planned: PlannedSource

    def run(self) -> None:
        """All steps."""
        folder, desk = self.folder, self.desk
        if folder.done(EXCHANGED) is not None:
            raise Refused(f"run {self.plan.run} has been done already; begin a new one to recover again")
        self._require_approval()
        folder.begin(self.plan, desk.workspace.signer(), desk.now())
        say(METHOD.stop_server(self.job(), self._clear))
        say(METHOD.safety_copy(self.job()))
        self._copy()
        done = METHOD.exchange(self.job(), self._clear)
        say(f"{self._where} is backup {self.planned.backup} now, and its server runs", "green")
        say(f"what was there before is kept as {done.kept_as or 'nothing: there was none'}", "green")
        say(METHOD.check(self.job()), "green")
        folder.mark(EXCHANGED, desk.now(), {"safety_copy": done.kept_as})

    def job(self, **more: Any) -> Job:
        """What the method works with."""
        desk, planned = self.desk, self.planned
        source = desk.database(self.plan.system, planned.source)
        server = desk.workspace.cluster(source).with_database(planned.target.database)
        return Job(
            desk.workspace, self.plan, planned, server, Path(f"{planned.safety_copy}.scratch"),
            run_info(desk, "replace-cluster"), threading.Event(), desk.now, **more,
        )  # fmt: skip

    def _copy(self) -> None:
        """Restored beside, and proven there; the old cluster is still in its place."""
        if METHOD.in_place(self.job()):
            return
        METHOD.make_room(self.job())
        with bar(f"restoring {self.planned.backup}", None) as progress:
            say(METHOD.restore(self.job(progress=progress)).sentence)
        compared = METHOD.compare(self.job())
        for check in compared.checks:
            say(f"{check.name}: {check.found}", "green" if check.outcome is Outcome.PASSED else "yellow")
        wrong = [check for check in METHOD.question(self.job()) if check.outcome is not Outcome.PASSED]
        problem = compared.problem or "; ".join(f"{check.name}: found {check.found}" for check in wrong)
        if problem:
            raise NotIdentical(
                f"{self.plan.system}/{self.planned.source}: {problem}; the old cluster is in its place, stopped: bring "
                f"it back with: lifeboat replace-cluster {self.plan.system} --run {self.plan.run} --put-back"
            )

    @property
    def _where(self) -> str:
        return self.planned.cluster.data_directory if self.planned.cluster else ""

    def _clear(self, facts: ClusterFacts, scratch: ScratchCluster | None) -> ClusterClearance:
        return check_cluster(
            self.plan, self.planned, facts, self.folder.approvals(), scratch=scratch, **self._approval_facts()
        )

    def _require_approval(self) -> None:
        try:
            interlock.check_approved(self.plan, self.folder.approvals(), **self._approval_facts())
        except ApprovalMissing as error:
            raise ApprovalMissing(
                f"{error}; the plan waits: somebody else approves it with: lifeboat replace-cluster {self.plan.system} "
                f"--run {self.plan.run} --approve PERSON"
            ) from None

    def _approval_facts(self) -> dict[str, Any]:
        desk, plan = self.desk, self.plan
        policy = desk.workspace.system(plan.system)
        return {
            "requester": plan.requester,
            "people_needed": policy.scenario(plan.scenario).approval.people,
            "now": desk.now(),
            "verifier": desk.workspace.signer().verifier,
            "approvers": policy.people(plan.approval.role),
            "begun": self.folder.begun(plan),
        }
