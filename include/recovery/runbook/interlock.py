"""The last word before anything is overwritten. It trusts no task state, only facts and signatures.

Every function here is pure: facts are taken just before, approvals are read from the store just before, and the
signatures are checked here and not by the caller.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.recovery.errors import ApprovalMissing, Refused
from include.recovery.evidence.signing import Verifier
from include.recovery.evidence.words import duration, listed, moment, plural, size
from include.recovery.runbook.approval import ApprovalRecord, Decision, SignedApproval, SignedBegun
from include.recovery.runbook.cluster_target import ClusterFacts
from include.recovery.runbook.plan import Mode, PlannedSource, RecoveryPlan
from include.recovery.runbook.target import ScratchTarget, TargetFacts

FACTS_HOLD = timedelta(minutes=2)
"""Older facts say nothing about a target any more."""
CLOCKS_DIFFER = timedelta(minutes=1)
"""How far the clocks of two of our own machines may differ."""
BEGUN_HOLDS = timedelta(hours=24)
"""How long a begun run may go on under the approvals that it began with."""


@dataclass(frozen=True)
class Clearance:
    """The interlock's yes, for the log and the evidence.

    :param people: who approved.
    """

    source: PlannedSource
    facts: TargetFacts
    people: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.facts} may be overwritten by backup {self.source.backup}, approved by {listed(self.people)}"


def check(
    plan: RecoveryPlan,
    facts: TargetFacts,
    approvals: Sequence[SignedApproval],
    *,
    requester: str | None,
    people_needed: int,
    now: datetime,
    verifier: Verifier,
    approvers: Collection[str] | None = None,
    baseline: TargetFacts | None = None,
    scratch: ScratchTarget | None = None,
    begun: SignedBegun | None = None,
) -> Clearance:
    """Let an overwrite pass, or refuse it with one sentence.

    :param facts: of the very database about to be overwritten, taken now.
    :param requester: who started the run; neither they nor the plan's requester count as approvers.
    :param people_needed: what the policy asks for now; the stricter of this and the plan holds.
    :param verifier: the public keys whose signatures count.
    :param approvers: who holds the role now; a person must be among these and those of the plan.
    :param baseline: facts taken right after the target was isolated; what is written after them would be lost
        without being in any copy. Without it the facts of the plan are the baseline.
    :param scratch: the scratch server of a rehearsal, which may write nowhere else.
    :param begun: when this run passed the interlock for the first time. A restore may take longer than an approval
        holds, so one that held then holds on, for ``BEGUN_HOLDS``; a rejection counts whenever it comes.
    :raises Refused: when the target is not what the plan names, or somebody still uses it.
    :raises ApprovalMissing: when not enough people have validly approved exactly this plan.
    """
    require_fresh(facts, now)
    if plan.mode is Mode.REHEARSAL:
        source = _scratch_source(plan, facts, scratch)
    else:
        source = _live_source(plan, facts)
        _require_quiet(source, facts, baseline or source.target, plan.time_zone)
    people = check_approved(
        plan,
        approvals,
        requester=requester,
        people_needed=people_needed,
        now=now,
        verifier=verifier,
        approvers=approvers,
        begun=begun,
    )
    return Clearance(source, facts, people)


def check_approved(
    plan: RecoveryPlan,
    approvals: Sequence[SignedApproval],
    *,
    requester: str | None,
    people_needed: int,
    now: datetime,
    verifier: Verifier,
    approvers: Collection[str] | None = None,
    begun: SignedBegun | None = None,
) -> tuple[str, ...]:
    """Let a step pass that changes no data yet, such as taking the target out of use: the approvals of ``check`` alone.

    :returns: who approved.
    :raises Refused: when somebody rejected the plan.
    :raises ApprovalMissing: when not enough people have validly approved exactly this plan.
    """
    held_at = _held_at(plan, begun, now, verifier)
    answers = _Answers(plan, plan.digest, requester, now, held_at, verifier, approvers)
    return _approving(answers, approvals, people_needed)


def check_unoccupied(facts: TargetFacts) -> None:
    """Let a plain restore pass: its target must not hold anything yet.

    :raises ApprovalMissing: when it does.
    """
    if facts.occupied:
        raise ApprovalMissing(
            f"{facts} is not empty: it holds {plural(facts.tables, 'table')}, {size(facts.size)}; "
            "restore into a new name, or have a plan approved that names this database"
        )


def require_fresh(facts: TargetFacts | ClusterFacts, now: datetime) -> None:
    """Let facts pass that were taken just now.

    :raises Refused: when they are older than ``FACTS_HOLD``.
    """
    age = now - facts.taken_at
    if age > FACTS_HOLD or age < -CLOCKS_DIFFER:
        raise Refused(
            f"what is known about {facts} was found {duration(age)} ago, which must be at most {duration(FACTS_HOLD)}; "
            "look again"
        )


def _scratch_source(plan: RecoveryPlan, facts: TargetFacts, scratch: ScratchTarget | None) -> PlannedSource:
    if scratch is None:
        raise Refused(f"a rehearsal of {plan.system} writes only to a scratch server of its own, and none was given")
    live = {source.target.system_identifier for source in plan.sources}
    if not scratch.holds(facts) or facts.system_identifier in live:
        raise Refused(
            f"a rehearsal may not touch {facts}: only the scratch server in {scratch.directory} "
            f"(system identifier {scratch.system_identifier}) may be written to"
        )
    source = next((s for s in plan.sources if s.target.database == facts.database), None)
    if source is None:
        raise Refused(f"the plan of {plan.system} does not name {facts.database}; it names {_named(plan)}")
    return source


def _live_source(plan: RecoveryPlan, facts: TargetFacts) -> PlannedSource:
    for source in plan.sources:
        if source.target.database == facts.database:
            expected = source.target
            for what, wanted, found in (
                ("system identifier", expected.system_identifier, facts.system_identifier),
                ("host", expected.where, facts.where),
                ("server role", expected.server_role, facts.server_role),
                ("login role", expected.login_role, facts.login_role),
            ):
                if wanted != found:
                    raise Refused(
                        f"{facts}: the plan that was approved names {what} {wanted or 'none'}, "
                        f"found is {found or 'none'}; this is another target, so make a new plan"
                    )
            if facts.occupied and not expected.occupied:
                raise Refused(f"{facts} was empty when the plan was made and is not any more; make a new plan")
            return source
    raise Refused(f"the plan of {plan.system} does not name {facts}; it names {_named(plan)}")


def _require_quiet(source: PlannedSource, facts: TargetFacts, baseline: TargetFacts, zone: str) -> None:
    if not facts.occupied:
        return
    if (baseline.system_identifier, baseline.where, baseline.database) != (
        source.target.system_identifier, source.target.where, source.target.database,
    ):  # fmt: skip
        raise Refused(f"the facts taken when isolating are about {baseline}, the plan is about {source.target}")
    if facts.scope != baseline.scope or set(facts.scope) != set(source.tables):
        raise Refused(
            f"{facts}: the plan is about {listed(source.tables, empty='the whole database')}, "
            f"the facts about {listed(facts.scope, empty='the whole database')}; look again"
        )
    if facts.strangers:
        raise Refused(
            f"{facts} still has {plural(len(facts.strangers), 'live session')}, such as {facts.strangers[0]}; "
            "isolate it first, so that nothing is written after the safety copy"
        )
    if facts.writes != baseline.writes:
        raise Refused(
            f"{facts} was written to after {moment(baseline.taken_at, zone)} "
            f"({plural(abs(facts.writes - baseline.writes), 'row')}); isolate it, then take its facts again"
        )


@dataclass(frozen=True)
class _Answers:
    """Which answers count for a plan.

    :param held_at: the moment at which an approval must not have expired.
    """

    plan: RecoveryPlan
    digest: str
    requester: str | None
    now: datetime
    held_at: datetime
    verifier: Verifier
    approvers: Collection[str] | None

    def discounted(self, signed: SignedApproval) -> str | None:
        """Why an answer does not count; None when it does.

        The signature comes first: nothing else in a forged answer can be believed.
        """
        answer = signed.approval
        if not signed.genuine(self.verifier):
            return "forged, the signature does not hold"
        if (answer.system, answer.run, answer.plan) != (self.plan.system, self.plan.run, self.digest):
            return "for another plan"
        if answer.at > self.now + CLOCKS_DIFFER:
            return "dated in the future"
        return self._expired(answer) or self._not_entitled(answer)

    def _expired(self, answer: ApprovalRecord) -> str | None:
        if answer.decision is Decision.REJECT:
            return None
        expires = min(answer.expires, answer.at + self.plan.approval.expires)
        # An approval that came after the beginning has to hold now; one from before it, at the beginning.
        moment_that_counts = self.held_at if answer.at <= self.held_at else self.now
        return f"expired at {moment(expires, self.plan.time_zone)}" if expires <= moment_that_counts else None

    def _not_entitled(self, answer: ApprovalRecord) -> str | None:
        if self.plan.mode is Mode.REHEARSAL:
            return None
        if answer.via == "rehearsal":
            return "given by a rehearsal"
        if answer.person in (self.requester, self.plan.requester):
            return "asked for the recovery"
        holders = set(self.plan.approval.approvers)
        if self.approvers is not None:
            holders &= set(self.approvers)
        return None if answer.person in holders else f"does not hold the role {self.plan.approval.role}"


def _held_at(plan: RecoveryPlan, begun: SignedBegun | None, now: datetime, verifier: Verifier) -> datetime:
    """The moment at which approvals have to hold: the signed beginning of this very plan, or else now."""
    if begun is None:
        return now
    said = begun.begun
    if not begun.genuine(verifier):
        raise Refused(f"the marker that the run of {plan.system} has begun is forged: its signature does not hold")
    if (said.system, said.run, said.plan) != (plan.system, plan.run, plan.digest):
        return now
    return said.at if timedelta() <= now - said.at <= BEGUN_HOLDS else now


def _approving(answers: _Answers, approvals: Sequence[SignedApproval], people_needed: int) -> tuple[str, ...]:
    """The distinct people whose approval counts.

    :raises Refused: when one of them rejected.
    :raises ApprovalMissing: when they are too few, with the reason for each answer that does not count.
    """
    plan = answers.plan
    needed = 1 if plan.mode is Mode.REHEARSAL else max(1, people_needed, plan.approval.people)
    people: dict[str, None] = {}
    reasons: list[str] = []
    for signed in approvals:
        answer = signed.approval
        reason = answers.discounted(signed)
        if reason is not None:
            reasons.append(f"{answer.person}: {reason}")
        elif answer.decision is Decision.REJECT:
            raise Refused(f"{answer.person} rejected this plan for {plan.system}; nothing was touched, make a new plan")
        else:
            people[answer.person] = None
    if len(people) < needed:
        why = f" ({listed(reasons)})" if reasons else ""
        raise ApprovalMissing(
            f"overwriting {listed([str(s.target) for s in plan.sources])} needs the signed approval of "
            f"{plural(needed, 'person', 'people')} with the role {plan.approval.role}; "
            f"valid for this plan {'is' if len(people) == 1 else 'are'} {len(people) or 'none'}{why}"
        )
    return tuple(people)


def _named(plan: RecoveryPlan) -> str:
    return listed([str(source.target) for source in plan.sources])
