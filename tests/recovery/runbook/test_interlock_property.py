"""Whatever the facts, answers, modes and times are: what passes has been approved, and only that passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from include.recovery.errors import Refused
from include.recovery.evidence.records import canonical
from include.recovery.evidence.signing import Signer
from include.recovery.runbook.approval import PURPOSE, ApprovalRecord, Decision, SignedApproval
from include.recovery.runbook.interlock import check
from include.recovery.runbook.plan import ApprovalRule, Mode, PlannedSource, RecoveryPlan
from include.recovery.runbook.target import ScratchTarget, Session, TargetFacts

NOW = datetime(2026, 11, 21, 2, 12, tzinfo=UTC)
OURS, FORGER = Signer.generate(), Signer.generate()
SCRATCH = ScratchTarget(directory="/scratch/1", system_identifier="99")
PEOPLE = ("ada", "grace", "eve", "mallory")
LIVE: dict[str, Any] = {
    "host": "db", "port": 5432, "system_identifier": "1", "database": "labdojo", "login_role": "restore",
    "server_role": "primary", "writes": 10, "tables": 3, "size": 100, "taken_at": NOW,
}  # fmt: skip
CHANGES: list[dict[str, Any]] = [
    *[{}] * 30,
    {"host": "other"}, {"port": 1}, {"system_identifier": "2"}, {"database": "other"}, {"login_role": "root"},
    {"server_role": "standby"}, {"writes": 11}, {"sessions": (Session(pid=1, user="app"),)},
    {"sessions": (Session(pid=1, user="own", application="lifeboat"),)}, {"scope": ("public.t",)},
    {"empty": True, "writes": 77}, {"exists": False}, {"taken_at": NOW - timedelta(hours=1)},
    {"host": SCRATCH.directory}, *[{"host": SCRATCH.directory, "system_identifier": SCRATCH.system_identifier}] * 9,
]  # fmt: skip

mostly = st.sampled_from([True] * 19 + [False])
"""True nineteen times of twenty: combinations that almost pass are where a hole would be."""


@st.composite
def plans(draw: st.DrawFn) -> RecoveryPlan:
    source = PlannedSource(
        source="main-db", backup="b", snapshot_at=NOW, target=TargetFacts(**LIVE), safety_copy="s", loss_seconds=0
    )
    return RecoveryPlan(
        system="labdojo",
        title="LabDojo",
        scenario="database_corruption",
        mode=draw(st.sampled_from(Mode)),
        run="run",
        made_at=NOW,
        requester=draw(st.sampled_from(["grace", None])),
        sources=(source,),
        approval=ApprovalRule(role="ic", people=draw(st.integers(1, 2)), approvers=PEOPLE[:3], expires_seconds=1800),
    )


@st.composite
def answers(draw: st.DrawFn, plan: RecoveryPlan) -> SignedApproval:
    record = ApprovalRecord(
        system="labdojo",
        run="run" if draw(mostly) else "other",
        plan=plan.digest if draw(mostly) else "0" * 64,
        person=draw(st.sampled_from(["ada", "ada", "eve", "eve", "grace", "mallory"])),
        role="ic",
        decision=Decision.APPROVE if draw(mostly) else Decision.REJECT,
        at=NOW - timedelta(minutes=draw(st.sampled_from([*[1] * 15, 0, 29, 30, 31, -5]))),
        expires=NOW + timedelta(minutes=draw(st.sampled_from([*[30] * 10, -1, 0, 1]))),
        via=draw(st.sampled_from([*["airflow"] * 8, "command line", "rehearsal"])),
    )
    signed = SignedApproval(
        approval=record, signature=(OURS if draw(mostly) else FORGER).sign(PURPOSE, canonical(record))
    )
    if draw(mostly):
        return signed
    return signed.model_copy(update={"approval": record.model_copy(update={"person": "ada", "via": "airflow"})})


def counts(signed: SignedApproval, plan: RecoveryPlan, requester: str | None, holders: set[str]) -> bool:
    """The rule in other words than the code's."""
    answer = signed.approval
    if not OURS.verifier.holds(PURPOSE, canonical(answer), signed.signature):
        return False
    if answer.run != "run" or answer.plan != plan.digest or answer.at > NOW:
        return False
    if answer.decision is Decision.APPROVE and not (answer.expires > NOW and NOW - answer.at < timedelta(minutes=30)):
        return False
    if plan.mode is Mode.REHEARSAL:
        return True
    return answer.via != "rehearsal" and answer.person in holders - {requester, plan.requester}


def target_is_right(plan: RecoveryPlan, facts: TargetFacts, scratch: ScratchTarget | None) -> bool:
    if facts.taken_at != NOW or facts.database != "labdojo":
        return False
    if plan.mode is Mode.REHEARSAL:
        return scratch is not None and (facts.host, facts.system_identifier) == (SCRATCH.directory, "99")
    same = (facts.host, facts.port, facts.system_identifier, facts.server_role, facts.login_role)
    quiet = not facts.strangers and facts.writes == 10 and facts.scope == ()
    return same == ("db", 5432, "1", "primary", "restore") and (quiet or not facts.occupied)


@settings(max_examples=600, deadline=None, database=None)
@given(st.data())
def test_what_passes_is_approved_and_what_is_approved_passes(data: st.DataObject) -> None:
    plan = data.draw(plans())
    changes = data.draw(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=2))
    facts = TargetFacts(**(LIVE | changes[0] | changes[-1]))
    given_answers = data.draw(st.lists(answers(plan), min_size=data.draw(st.integers(0, 2)), max_size=4))
    requester = data.draw(st.sampled_from(["grace", "grace", "ada", None]))
    needed = data.draw(st.integers(0, 2))
    approvers = data.draw(st.sampled_from([None, ("ada", "eve", "mallory"), PEOPLE]))
    scratch = data.draw(st.sampled_from([None, SCRATCH]))

    holders = set(PEOPLE[:3]) & set(approvers or PEOPLE)
    valid = [a.approval for a in given_answers if counts(a, plan, requester, holders)]
    wanted = 1 if plan.mode is Mode.REHEARSAL else max(1, needed, plan.approval.people)
    allowed = (
        target_is_right(plan, facts, scratch)
        and not any(answer.decision is Decision.REJECT for answer in valid)
        and len({answer.person for answer in valid}) >= wanted
    )
    try:
        check(
            plan, facts, given_answers, requester=requester, people_needed=needed, now=NOW, verifier=OURS.verifier,
            approvers=approvers, scratch=scratch,
        )  # fmt: skip
        passed = True
    except Refused:
        passed = False
    event(f"{plan.mode}: {'passed' if passed else 'refused'}")
    assert passed == allowed
