"""restore --over-live: a plan, a signed approval, the interlock, and only then the swap.

The same steps as the runbook's, in the same order, with the same records in the store: plan, approval by somebody else
than the requester, isolation, restore beside, comparison, interlock, swap. What was live is kept as a safety copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import typer
from rich.markdown import Markdown

from include.recovery.catalog.model import CompleteBackup
from include.recovery.cli.desk import Desk
from include.recovery.cli.output import err, say
from include.recovery.cli.proving import compare_with, restore_into
from include.recovery.errors import ApprovalMissing, Refused
from include.recovery.evidence.history import read_reports
from include.recovery.evidence.words import plural
from include.recovery.policy.models import PostgresSource
from include.recovery.postgres.facts import target_facts
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.swap import isolate, release, swap_database
from include.recovery.postgres.swap_table import replace_tables
from include.recovery.runbook import interlock
from include.recovery.runbook.approval import approve, write_approval
from include.recovery.runbook.assess import assess
from include.recovery.runbook.folder import RunFolder
from include.recovery.runbook.plan import Mode, PlannedSource, RecoveryPlan
from include.recovery.runbook.planning import Choice, draft_plan
from include.recovery.runbook.safeguard import staging_database
from include.recovery.runbook.staging import drop_staging
from include.recovery.runbook.target import TargetFacts


@dataclass(frozen=True)
class Request:
    """What was asked for.

    :param run: an earlier run whose plan is to be used.
    :param requester: who asks; None means the operating system's user.
    :param approver: who approves now; None when nobody does.
    """

    system: str
    source: PostgresSource
    store: str
    wish: str
    tables: tuple[str, ...]
    run: str | None
    requester: str | None
    approver: str | None


def overwrite(desk: Desk, request: Request) -> None:
    """Replace live data by a backup's.

    :raises ApprovalMissing: while not enough people have approved; the plan waits in the store.
    """
    server = desk.workspace.server(request.source, "restore")
    records = desk.workspace.store(request.store)
    if request.run is None:
        run = desk.run_id("restore")
        folder = RunFolder(records, request.system, run)
        plan = folder.save_plan(_plan(desk, request, server, run))
    else:
        folder = RunFolder(records, request.system, request.run)
        plan = folder.plan()
    err().print(Markdown(plan.in_words()))
    if request.approver is not None:
        approve_as(desk, plan, request.approver, folder, "database", [each.target.database for each in plan.sources])
    _Overwrite(desk, request, server, folder, plan).run()


def _plan(desk: Desk, request: Request, server: PostgresServer, run: str) -> RecoveryPlan:
    now, kind = desk.now(), request.source.kind
    backup = desk.pick(request.system, request.wish, request.store, request.source.name, kind=kind)
    catalog = desk.catalog(request.store)
    assessment = assess(
        catalog.backups(request.system, kind=kind), system=request.system, source=request.source.name, now=now
    )
    facts = target_facts(server, tables=request.tables, now=now)
    choice = Choice.of(assessment, backup, facts, tables=request.tables, store=request.store)
    return draft_plan(
        desk.workspace.system(request.system),
        "table_corruption" if request.tables else "database_corruption",
        Mode.INCIDENT,
        [choice],
        run=run,
        requester=request.requester or desk.person(),
        now=now,
        history=read_reports(catalog.store, request.system),
    )


def approve_as(
    desk: Desk, plan: RecoveryPlan, person: str, folder: RunFolder, what: str, names: Sequence[str]
) -> None:
    """Sign an approval, after the person has typed what will be overwritten.

    :param what: such as ``database``.
    :param names: of all of them; one, or nobody can type it.
    """
    answer = approve(plan, person, desk.now(), via="command line")
    typed = typer.prompt(f"{person}, to approve type the name of the {what} that will be overwritten", err=True)
    if [typed.strip()] != list(names):
        raise Refused(f"{typed.strip()!r} is not the {what} of this plan; nothing was approved, nothing was touched")
    write_approval(folder.store, desk.workspace.signer(), answer)
    say(f"approved by {person} for {plan.system}, run {plan.run}", "green")


@dataclass(frozen=True)
class _Overwrite:
    """An approved overwrite while it runs."""

    desk: Desk
    request: Request
    server: PostgresServer
    folder: RunFolder
    plan: RecoveryPlan

    def run(self) -> None:
        """All steps."""
        planned = self.plan.source(self.request.source.name)
        if planned is None:
            raise Refused(f"run {self.plan.run} has no plan for {self.request.source.name}")
        if self.folder.done("swap") is not None:
            raise Refused(f"run {self.plan.run} has been done already; begin a new one to recover again")
        self._require_approval()
        self.folder.begin(self.plan, self.desk.workspace.signer(), self.desk.now())
        catalog = self.desk.catalog(planned.store)
        backup = catalog.backup(self.plan.system, planned.source, planned.kind, planned.backup)
        if planned.tables:
            self._tables(planned, backup)
        else:
            self._database(planned, backup)

    def _database(self, planned: PlannedSource, backup: CompleteBackup) -> None:
        staging = self._staged(planned, backup)
        isolated = self._facts(planned).exists
        if isolated:
            isolate(self.server)
        try:
            facts = self._facts(planned)
            self._require_clearance(facts, baseline=facts)
            swap_database(
                self.server, live=planned.target.database, restored=staging.database, keep_as=planned.safety_copy
            )
        except BaseException:
            if isolated:
                release(self.server)
            raise
        self.folder.mark("swap", self.desk.now(), {"safety_copy": planned.safety_copy})
        say(f"{self.server.redacted} is backup {backup.manifest.name} now", "green")
        if isolated:
            say(f"what was live before is kept as {planned.safety_copy}", "green")

    def _tables(self, planned: PlannedSource, backup: CompleteBackup) -> None:
        name = backup.manifest.name
        staging = self._staged(planned, backup)
        facts = self._facts(planned)
        self._require_clearance(facts, baseline=facts)
        replaced = replace_tables(
            self.server, staging, planned.tables, keep_schema=planned.safety_copy, expected=backup.manifest.fingerprint
        )
        self.folder.mark("swap", self.desk.now(), {"safety_copy": planned.safety_copy})
        drop_staging(staging)
        for table in replaced.tables:
            say(f"{table.table} has the {plural(table.after, 'row')} of backup {name} now", "green")
            say(f"the {plural(table.before, 'row')} that it had are kept in {table.kept_as}", "green")

    def _staged(self, planned: PlannedSource, backup: CompleteBackup) -> PostgresServer:
        """The backup, or some of its tables, restored beside the live database and proven there."""
        staging = self.server.with_database(staging_database(planned.target.database, self.plan.made_at))
        drop_staging(staging)
        restore_into(self.desk, backup, planned.store, staging, tables=planned.tables)
        compare_with(self.desk, backup, staging, store=planned.store, tables=planned.tables)
        return staging

    def _facts(self, planned: PlannedSource) -> TargetFacts:
        return target_facts(self.server, tables=planned.tables, now=self.desk.now())

    def _require_approval(self) -> None:
        try:
            interlock.check_approved(
                self.plan, self.folder.approvals(), requester=self.plan.requester, now=self.desk.now(),
                people_needed=self._people_needed(), verifier=self.desk.workspace.signer().verifier,
                approvers=self._approvers(), begun=self.folder.begun(self.plan),
            )  # fmt: skip
        except ApprovalMissing as error:
            raise ApprovalMissing(
                f"{error}; the plan waits: somebody else approves it with: lifeboat restore {self.plan.system} "
                f"--over-live --run {self.plan.run} --approve PERSON"
            ) from None

    def _require_clearance(self, facts: TargetFacts, *, baseline: TargetFacts) -> None:
        clearance = interlock.check(
            self.plan, facts, self.folder.approvals(), requester=self.plan.requester, now=self.desk.now(),
            people_needed=self._people_needed(), verifier=self.desk.workspace.signer().verifier,
            approvers=self._approvers(), baseline=baseline, begun=self.folder.begun(self.plan),
        )  # fmt: skip
        say(str(clearance))

    def _people_needed(self) -> int:
        return self.desk.workspace.system(self.plan.system).scenario(self.plan.scenario).approval.people

    def _approvers(self) -> tuple[str, ...]:
        return self.desk.workspace.system(self.plan.system).people(self.plan.approval.role)
