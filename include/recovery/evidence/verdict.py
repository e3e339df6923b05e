"""The verdict over a report: everything in it that failed or is missing, one sentence each. Empty means green.

Missed objectives are not failures of the proof: what was restored is the data, only late or old. They are told apart,
so that they raise their own alerts.
"""

from __future__ import annotations

from include.recovery.errors import LifeboatError
from include.recovery.evidence.model import Check, Measured, Outcome, Report, SourceEvidence
from include.recovery.evidence.words import duration, plural


class ProofFailed(LifeboatError):
    """A drill, rehearsal or incident has ended with failed or missing checks.

    :param failures: one sentence each.
    """

    def __init__(self, what: str, failures: tuple[str, ...]) -> None:
        self.failures = failures
        super().__init__(f"{what}: {plural(len(failures), 'check')} failed or missing: " + "; ".join(failures))


def verdict(report: Report) -> tuple[str, ...]:
    """What failed or is missing. A skipped check counts as missing when it is required."""
    return (*_phases(report), *_sources(report), *_checks(report))


def missed(report: Report) -> tuple[str, ...]:
    """The objectives that were measured and not met."""
    late = (_missed("RTO", "the recovery took", report.rto),) if report.rto.met is False else ()
    old = (
        _missed(f"{source.source}: RPO", "the recovery point was this old:", source.rpo)
        for source in report.sources
        if source.rpo.met is False
    )
    return (*late, *old)


def require_green(report: Report) -> None:
    """Raise unless everything passed.

    :raises ProofFailed: naming every failure.
    """
    failures = verdict(report)
    if failures:
        raise ProofFailed(f"{report.system}, run {report.run}", failures)


def _phases(report: Report) -> list[str]:
    last = {phase.name: phase for phase in report.phases}
    failures = [f"phase {name} never ran" for name in report.expected_phases if name not in last]
    for phase in last.values():
        note = f": {phase.note}" if phase.note else ""
        if phase.outcome is Outcome.FAILED:
            failures.append(f"phase {phase.name} failed{note}")
        elif phase.outcome is Outcome.SKIPPED and phase.name in report.expected_phases:
            failures.append(f"phase {phase.name} was skipped{note}")
    return failures


def _sources(report: Report) -> list[str]:
    if not report.sources:
        return ["no source was restored"]
    return [failure for source in report.sources for failure in _source(source)]


def _source(source: SourceEvidence) -> list[str]:
    failures = []
    comparison = source.comparison
    if comparison is not None and comparison.differences:
        differences = comparison.differences
        named = "; ".join(difference.message for difference in differences[:3])
        more = f"; and {len(differences) - 3} more" if len(differences) > 3 else ""
        failures.append(f"{source.source}: backup {source.backup} is not identical: {named}{more}")
    elif source.required_level.rank > source.level.rank:
        failures.append(
            f"{source.source}: backup {source.backup} was proven {source.level.value} only, "
            f"{source.required_level.value} was required"
        )
    return failures


def _checks(report: Report) -> list[str]:
    return [_failed(check) for check in report.checks if _counts(check)]


def _counts(check: Check) -> bool:
    return check.outcome is Outcome.FAILED or (check.outcome is Outcome.SKIPPED and check.required)


def _failed(check: Check) -> str:
    where = f"{check.source}: " if check.source else ""
    if check.outcome is Outcome.SKIPPED:
        return f"{where}check {check.name!r} was skipped: {check.found or 'no reason given'}"
    wanted = f", expected {check.expected}" if check.expected else ""
    return f"{where}check {check.name!r} failed: found {check.found or 'nothing'}{wanted}"


def _missed(name: str, what: str, measured: Measured) -> str:
    took, objective = duration(measured.seconds), duration(measured.objective_seconds)
    return f"{name} missed: {what} {took}, the objective is {objective}"
