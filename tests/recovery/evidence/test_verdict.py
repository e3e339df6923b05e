"""A failed or missing check is never green; what was skipped is never passed."""

from __future__ import annotations

import pytest

from include.recovery.catalog.model import ProofLevel
from include.recovery.evidence.model import Check, Measured, Outcome
from include.recovery.evidence.verdict import ProofFailed, missed, require_green, verdict
from include.recovery.fingerprint.model import Comparison, Difference


def test_a_green_report_has_no_failures(drill, incident):
    assert verdict(drill()) == verdict(incident()) == ()
    require_green(drill())


def test_a_phase_that_never_ran_or_failed_or_was_skipped(drill, phase):
    report = drill(
        phases=(phase("provision", 0, 5, Outcome.SKIPPED), phase("restore", 5, 9, Outcome.FAILED, note="part 3"))
    )
    assert verdict(report) == (
        "phase verify never ran",
        "phase provision was skipped",
        "phase restore failed: part 3",
    )


def test_the_last_attempt_of_a_phase_counts(drill, phase):
    phases = (
        phase("provision", 0, 5),
        phase("restore", 5, 9, Outcome.FAILED, note="network"),
        phase("restore", 9, 45, attempt=2),
        phase("verify", 45, 60),
    )
    assert verdict(drill(phases=phases)) == ()


def test_an_unexpected_phase_may_be_skipped(drill, phase):
    report = drill()
    assert verdict(drill(phases=(*report.phases, phase("cleanse", 60, 60, Outcome.SKIPPED)))) == ()


@pytest.mark.parametrize(
    ("outcome", "required", "failures"),
    [
        (Outcome.FAILED, True, ("main-db: check 'no orphans' failed: found 3, expected 0",)),
        (Outcome.FAILED, False, ("main-db: check 'no orphans' failed: found 3, expected 0",)),
        (Outcome.SKIPPED, True, ("main-db: check 'no orphans' was skipped: 3",)),
        (Outcome.SKIPPED, False, ()),
        (Outcome.PASSED, True, ()),
    ],
)
def test_checks(drill, outcome, required, failures):
    check = Check(
        name="no orphans", source="main-db", outcome=outcome, required=required, expected="0", found="3", output=""
    )
    assert verdict(drill(checks=(check,))) == failures


def test_nothing_restored_is_not_green(drill):
    assert verdict(drill(sources=())) == ("no source was restored",)


def test_differences_are_named(drill, evidence):
    differences = tuple(
        Difference(object=f"public.t{n}", kind="rows", message=f"public.t{n}: 10 rows expected, 9 found")
        for n in range(5)
    )
    comparison = Comparison(
        identical=False, compared_tables=5, compared_rows=45, differences=differences, not_compared=()
    )
    source = evidence(comparison=comparison, level=ProofLevel.RESTORED)
    (failure,) = verdict(drill(sources=(source,)))
    assert failure.startswith(
        "main-db: backup 20261122T030000Z-1 is not identical: public.t0: 10 rows expected, 9 found"
    )
    assert failure.endswith("and 2 more")


def test_less_proof_than_required_is_not_green(drill, evidence):
    source = evidence(level=ProofLevel.RESTORED, comparison=None)
    assert verdict(drill(sources=(source,))) == (
        "main-db: backup 20261122T030000Z-1 was proven restored only, identical was required",
    )
    with pytest.raises(ProofFailed, match="1 check failed or missing: main-db: backup"):
        require_green(drill(sources=(source,)))


def test_missed_objectives_are_told_apart(drill, evidence):
    late = drill(
        rto=Measured(seconds=4000, objective_seconds=3600),
        sources=(evidence(rpo=Measured(seconds=5400, objective_seconds=900)),),
    )
    assert verdict(late) == ()
    assert missed(late) == (
        "RTO missed: the recovery took 1 h 6 min, the objective is 1 h",
        "main-db: RPO missed: the recovery point was this old: 1 h 30 min, the objective is 15 min",
    )
    assert missed(drill(rto=Measured(seconds=None, objective_seconds=3600))) == ()
