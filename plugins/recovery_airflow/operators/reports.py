"""The reports of drills and runbooks: written whatever happened, signed, and told to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from include.recovery import messages
from include.recovery.errors import LifeboatError
from include.recovery.evidence.model import (
    Approver,
    Check,
    DrillReport,
    IncidentReport,
    Measured,
    Phase,
    PointInTime,
    SourceEvidence,
)
from include.recovery.evidence.report import store_report
from include.recovery.evidence.verdict import missed, verdict
from include.recovery.evidence.words import duration
from include.recovery.policy.models import PostgresSource
from include.recovery.policy.source_kinds.rds import RdsSource
from recovery_airflow.notifications.slack_alerts import send_notice
from recovery_airflow.operators.step import RunFacts, StepOperator, now
from recovery_airflow.results import (
    CompareResult,
    RestoreResult,
    StepResult,
    SwapResult,
    ValidationResult,
    evidence_of,
    kept,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.catalog.model import Backup
    from include.recovery.policy.models import Drill, Source
    from include.recovery.runbook.plan import PlannedSource

NOT_MEASURED = ("stage.", "close.", "pages.", "second.", "report")
"""Steps that only rehearsals and drills need, or that come after the system is back: they do not count for the RTO."""


class ReportOperator(StepOperator):
    """Base of the reports: gathers timeline and results from the store, writes JSON and page, tells the team.

    It runs whatever happened and is not the run's last word: that is the verdict's.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trigger_rule", "all_done")
        super().__init__(**kwargs)

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        report = self.report(run, context)
        stored = store_report(self.workspace.store("primary"), self.workspace.signer(), report, now())
        failures, late = verdict(report), missed(report)
        summary = "; ".join((*failures, *late)) or f"everything passed in {duration(report.rto.seconds)}"
        send_notice(
            self.workspace,
            messages.notice(
                system=report.title,
                title=f"{report.name} {'failed' if failures else 'passed'}",
                summary=summary,
                facts={"Took": duration(report.rto.seconds), "RTO": duration(report.rto.objective_seconds)},
                url=run.url,
                good=not failures and not late,
            ),
            self.log,
        )
        self.log.info("report: %s", stored.page)
        return {"report": stored.key, "page": stored.page, "failures": list(failures), "sentence": summary}

    def report(self, run: RunFacts, context: Context) -> DrillReport | IncidentReport:
        """The report of this run."""
        raise NotImplementedError

    def common(
        self, run: RunFacts, context: Context, sources: Sequence[SourceEvidence], checks: Sequence[Check]
    ) -> dict[str, Any]:
        """What both kinds of report hold."""
        system = self.workspace.system(self.system)
        phases = self.folder(run).timeline()
        return {
            "system": self.system,
            "title": system.title,
            "time_zone": system.time_zone,
            "run": run.run_key,
            "url": run.url,
            "attempt": run.try_number,
            "started_by": run.started_by,
            "started_at": run.started_at,
            "finished_at": now(),
            "expected_phases": tuple(
                task_id
                for task_id in context["dag"].task_ids
                if getattr(context["dag"].get_task(task_id), "evidence", None) and "stand_in" not in task_id
            ),
            "phases": phases,
            "sources": tuple(sources),
            "checks": tuple(checks),
        }

    def results(self, context: Context, verb: str, model: type[StepResult]) -> Mapping[str, Any]:
        """The results of every task with this verb, by source."""
        tasks = [task_id for task_id in context["dag"].task_ids if f".{verb}__" in task_id]
        return kept(self.workspace.store("primary"), context, tasks, model)


class DrillReportOperator(ReportOperator):
    """The report of a drill.

    :param cadence: name of the drill in the policy.
    :param store: where the drill restores from.
    """

    folder_kind = "drills"

    def __init__(self, *, cadence: str, store: str = "primary", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cadence = cadence
        self.store = store

    def report(self, run: RunFacts, context: Context) -> DrillReport:
        system = self.workspace.system(self.system)
        sources, checks = self.found(run, context)
        objective = max(system.objective(source).rto for source in system.sources_of(self.drill))
        return DrillReport(
            drill=self.cadence,
            rto=Measured(seconds=seconds_of(self.folder(run).timeline()), objective_seconds=objective.total_seconds()),
            profile="drill",
            **self.common(run, context, sources, checks),
        )

    def found(self, run: RunFacts, context: Context) -> tuple[list[SourceEvidence], list[Check]]:
        """What the steps have found out about each source."""
        validated = self.results(context, "query", ValidationResult)
        checks = [check for result in validated.values() for check in result.checks]
        return self.restored(run, context, self.workspace.system(self.system).sources_of(self.drill)), checks

    def restored(self, run: RunFacts, context: Context, wanted: Sequence[Source]) -> list[SourceEvidence]:
        """What was shown about the backups that were picked; a source without one is absent."""
        system = self.workspace.system(self.system)
        restored = self.results(context, "load", RestoreResult)
        compared = self.results(context, "compare", CompareResult)
        validated = self.results(context, "query", ValidationResult)
        sources = []
        for source in wanted:
            backup = self.picked(context, source)
            if backup is not None:
                name = source.name
                sources.append(
                    evidence_of(
                        system, backup, self.store, restored=restored.get(name), compared=compared.get(name),
                        validated=validated.get(name), rows_known=not isinstance(source, RdsSource),
                        began=run.started_at,
                    )
                )  # fmt: skip
        return sources

    @property
    def drill(self) -> Drill:
        """What the policy says of it."""
        return self.workspace.system(self.system).drills[self.cadence]  # type: ignore[index]

    def picked(self, context: Context, source: Source) -> Backup | None:
        """The backup that the drill has chosen for a source; None when it found none."""
        group = "choose" if isinstance(source, PostgresSource) else "copies"
        reference = context["ti"].xcom_pull(task_ids=f"{group}.pick__{source.name}")
        if not reference:
            return None
        catalog = self.workspace.catalog(self.store)
        return catalog.backup(self.system, source.name, source.kind, reference["backup"])


class RunbookReportOperator(ReportOperator):
    """The report of an incident or a rehearsal.

    :param scenario: a scenario of the policy.
    :param mode: ``rehearsal`` or ``incident``.
    """

    template_fields: Sequence[str] = ("system", "scenario", "mode")

    def __init__(self, *, scenario: str, mode: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scenario = scenario
        self.mode = mode

    def report(self, run: RunFacts, context: Context) -> IncidentReport:
        system = self.workspace.system(self.system)
        folder = self.folder(run)
        try:
            plan = folder.plan()
        except LifeboatError:
            plan = None
        restored = self.results(context, "load", RestoreResult)
        compared = self.results(context, "compare", CompareResult)
        validated = self.results(context, "query", ValidationResult)
        swapped = self.results(context, "swap_in", SwapResult)
        logins = self.results(context, "log_in", ValidationResult)
        sources = []
        for planned in plan.sources if plan else ():
            backup = self.workspace.catalog(planned.store).backup(
                self.system, planned.source, planned.kind, planned.backup
            )
            name = planned.source
            sources.append(
                evidence_of(
                    system, backup, planned.store, restored=restored.get(name), compared=compared.get(name),
                    validated=validated.get(name), swapped=swapped.get(name), tables=planned.tables,
                    kept_until=planned.snapshot_at, point_in_time=aimed_at(planned, run), rows_known=planned.rows_known,
                    began=run.started_at,
                )
            )  # fmt: skip
        scenario = system.scenario(self.scenario)
        phases = folder.timeline()
        approvals = tuple(
            Approver(
                person=signed.approval.person,
                role=signed.approval.role,
                decision=signed.approval.decision.value,
                at=signed.approval.at,
                via=signed.approval.via,
            )
            for signed in folder.approvals()
        )
        return IncidentReport(
            scenario=self.scenario,
            mode="incident" if self.mode == "incident" else "rehearsal",
            requester=run.requester,
            plan=plan.digest if plan else None,
            plan_in_words=plan.in_words() if plan else "",
            approvals=approvals,
            profile="stock" if self.mode == "rehearsal" else "production",
            rto=Measured(
                seconds=seconds_of(phases),
                objective_seconds=scenario.rto.total_seconds(),
                assumed="rto" in scenario.assumed,
            ),
            **self.common(
                run, context, sources,
                [check for v in (*compared.values(), *validated.values(), *logins.values()) for check in v.checks],
            ),
        )


def aimed_at(planned: PlannedSource, run: RunFacts) -> PointInTime | None:
    """To where the log was replayed; None for a dump."""
    to = planned.recovery
    if to is None:
        return None
    arrived = to.archived_until
    return PointInTime(
        to=to.words,
        point=to.point or "",
        base=to.label,
        archive_age_seconds=None if arrived is None else max(0.0, (run.started_at - arrived).total_seconds()),
    )


def seconds_of(phases: Sequence[Phase]) -> float | None:
    """How long the recovery took, from its first step to its last, gaps between steps included.

    Waiting for people does not count, nor do the steps that only a rehearsal needs, nor those after the system is back.
    """
    counted = [phase for phase in phases if not phase.name.startswith(NOT_MEASURED)]
    if not counted:
        return None
    took = (max(phase.finished_at for phase in counted) - min(phase.started_at for phase in counted)).total_seconds()
    extra = seconds_without(counted, [phase for phase in phases if phase.name.startswith(NOT_MEASURED)])
    waited = sum(phase.waited_seconds for phase in phases)
    return round(max(0.0, took - extra - waited), 3)


def seconds_without(counted: Sequence[Phase], others: Sequence[Phase]) -> float:
    """How long nothing but other steps were at work, from the first of the counted ones to the last."""
    moments = sorted({edge for phase in (*counted, *others) for edge in (phase.started_at, phase.finished_at)})
    first, last = min(phase.started_at for phase in counted), max(phase.finished_at for phase in counted)
    alone = 0.0
    for begin, end in pairwise(moment for moment in moments if first <= moment <= last):
        needed, other = (
            any(phase.started_at <= begin and end <= phase.finished_at for phase in phases)
            for phases in (counted, others)
        )
        if other and not needed:
            alone += (end - begin).total_seconds()
    return alone
