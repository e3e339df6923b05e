"""Approvals: who agreed to exactly which plan, signed, and stored write-once beside the backups.

A green task proves nothing, since people may set tasks to success. What counts is the object that this module writes:
``<system>/approvals/<run>/<n>.json``. The interlock reads it and checks its signature.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import ValidationError

from include.recovery.errors import ApprovalMissing, LifeboatError
from include.recovery.evidence.once import read_once, write_once, written_once
from include.recovery.evidence.records import Instant, Record, canonical, key_text, pretty
from include.recovery.evidence.signing import Signature, Signer, Verifier
from include.recovery.runbook.plan import Mode, RecoveryPlan
from include.recovery.stores.port import ObjectStore

__all__ = [
    "ApprovalRecord",
    "Begun",
    "Decision",
    "SignedApproval",
    "SignedBegun",
    "Signer",
    "Verifier",
    "approve",
    "automatic",
    "begin",
    "read_approvals",
    "write_approval",
]

PURPOSE = "approval"
BEGUN_PURPOSE = "begun"
REHEARSAL_PERSON = "rehearsal"


class Decision(StrEnum):
    """What somebody answered."""

    APPROVE = "approve"
    REJECT = "reject"


class ApprovalRecord(Record):
    """One person's answer to one plan.

    :param plan: digest of the plan.
    :param role: the role in which the person answered.
    :param via: where it was given; an answer of a rehearsal never counts in an incident.
    :param comment: what the person added.
    """

    schema_version: Literal[1] = 1
    system: str
    run: str
    plan: str
    person: str
    role: str
    decision: Decision
    at: Instant
    expires: Instant
    via: Literal["airflow", "command line", "rehearsal"]
    comment: str | None = None


class SignedApproval(Record):
    """An answer as it is stored."""

    approval: ApprovalRecord
    signature: Signature

    def genuine(self, verifier: Verifier) -> bool:
        """Whether a trusted key signed exactly this answer."""
        return verifier.holds(PURPOSE, canonical(self.approval), self.signature)


class Begun(Record):
    """The moment at which a run first passed the interlock and began: its approvals do not expire under its hands."""

    schema_version: Literal[1] = 1
    system: str
    run: str
    plan: str
    at: Instant


class SignedBegun(Record):
    """A beginning as it is stored."""

    begun: Begun
    signature: Signature

    def genuine(self, verifier: Verifier) -> bool:
        """Whether a trusted key signed exactly this beginning."""
        return verifier.holds(BEGUN_PURPOSE, canonical(self.begun), self.signature)


def begin(plan: RecoveryPlan, signer: Signer, now: datetime) -> SignedBegun:
    """Sign that a plan's run begins now. Only for a run that the interlock has just let pass."""
    begun = Begun(system=plan.system, run=plan.run, plan=plan.digest, at=now)
    return SignedBegun(begun=begun, signature=signer.sign(BEGUN_PURPOSE, canonical(begun)))


def approve(
    plan: RecoveryPlan,
    person: str,
    now: datetime,
    *,
    decision: Decision = Decision.APPROVE,
    via: Literal["airflow", "command line"] = "airflow",
    comment: str | None = None,
) -> ApprovalRecord:
    """A person's answer to a plan, refused when that person has no say in it.

    :raises ApprovalMissing: when the person asked for the plan, or does not hold the role.
    """
    rule = plan.approval
    if person == plan.requester:
        raise ApprovalMissing(
            f"{person} asked for this recovery of {plan.system} and may not approve it; "
            f"somebody else with the role {rule.role} has to: {_others(plan)}"
        )
    if person not in rule.approvers:
        raise ApprovalMissing(
            f"{person} does not hold the role {rule.role} of {plan.system}; it is held by {_others(plan)}"
        )
    return ApprovalRecord(
        system=plan.system, run=plan.run, plan=plan.digest, person=person, role=rule.role, decision=decision,
        at=now, expires=now + rule.expires, via=via, comment=comment,
    )  # fmt: skip


def automatic(plan: RecoveryPlan, now: datetime) -> ApprovalRecord:
    """The approval that a rehearsal gives itself, so that it too reads, signs and verifies one.

    :raises ApprovalMissing: for an incident, which people approve.
    """
    if plan.mode is not Mode.REHEARSAL:
        raise ApprovalMissing(f"only a rehearsal approves itself; this plan for {plan.system} is an {plan.mode.value}")
    rule = plan.approval
    return ApprovalRecord(
        system=plan.system, run=plan.run, plan=plan.digest, person=REHEARSAL_PERSON, role=rule.role,
        decision=Decision.APPROVE, at=now, expires=now + rule.expires, via="rehearsal",
    )  # fmt: skip


def write_approval(store: ObjectStore, signer: Signer, approval: ApprovalRecord) -> str:
    """Sign an answer, store it under the next free number, and return its key. Nothing is ever overwritten."""
    signed = SignedApproval(approval=approval, signature=signer.sign(PURPOSE, canonical(approval)))
    prefix = approvals_prefix(approval.system, approval.run)
    number = len(written_once(store, prefix)) + 1
    while not write_once(store, f"{prefix}{number:04d}.json", pretty(signed)):
        number += 1
    return f"{prefix}{number:04d}.json"


def read_approvals(store: ObjectStore, system: str, run: str) -> tuple[SignedApproval, ...]:
    """All answers of a run in the order they were given. Signatures are checked by whoever uses them.

    :raises LifeboatError: when an object there is not an approval at all: somebody has been writing to the store.
    """
    found = []
    for key in written_once(store, approvals_prefix(system, run)):
        try:
            found.append(SignedApproval.model_validate_json(read_once(store, key)))
        except ValidationError as error:
            raise LifeboatError(
                f"store {store.name}: {key} is not an approval ({first_problem(error)}); "
                "find out who wrote it before recovering anything"
            ) from None
    return tuple(found)


def approvals_prefix(system: str, run: str) -> str:
    """Where the answers of a run are."""
    return f"{system}/approvals/{key_text(run)}/"


def first_problem(error: ValidationError) -> str:
    """A short description of what does not validate, without quoting the content."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the document"
    return f"{where}: {first['msg']}"


def _others(plan: RecoveryPlan) -> str:
    return ", ".join(person for person in plan.approval.approvers if person != plan.requester) or "nobody else"
