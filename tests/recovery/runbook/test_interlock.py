"""The interlock: no combination of facts and approvals lets an unapproved overwrite pass."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.recovery.errors import ApprovalMissing, Refused
from include.recovery.evidence.records import canonical
from include.recovery.runbook.approval import PURPOSE, Decision, SignedApproval, Signer, automatic, begin
from include.recovery.runbook.interlock import check, check_unoccupied
from include.recovery.runbook.plan import ApprovalRule, Mode
from include.recovery.runbook.target import ScratchTarget, Session

SCRATCH = ScratchTarget(directory="/scratch/lifeboat-1", system_identifier="7300000000000000099")
COUSIN = Session(pid=7, user="app", application="labdojo-web", client="10.0.0.9")


@pytest.fixture
def ask(now, signer):
    """``check`` with everything in order, apart from what a test changes."""

    def make(plan, facts, approvals, **changes):
        values = {"requester": "grace", "people_needed": 1, "now": now, "verifier": signer.verifier}
        return check(plan, facts, approvals, **(values | changes))

    return make


def test_an_approved_overwrite_passes(plan, facts, signed, ask):
    clearance = ask(plan(), facts(), [signed(plan())])
    assert clearance.people == ("ada",)
    assert "may be overwritten by backup 20261121T020000Z-1, approved by ada" in str(clearance)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"system_identifier": "1"}, "names system identifier 7300000000000000001, found is 1"),
        ({"host": "other.example"}, "names host db.example:5432, found is other.example:5432"),
        ({"port": 5433}, "names host db.example:5432, found is db.example:5433"),
        ({"database": "rylie_ai"}, "does not name database rylie_ai"),
        ({"server_role": "standby"}, "names server role primary, found is standby"),
        ({"login_role": "postgres"}, "names login role labdojo_restore, found is postgres"),
        ({"writes": 1003}, "was written to after 2026-11-21 03:12:00 CET (3 rows)"),
        ({"writes": 0}, "was written to"),
        ({"sessions": (COUSIN,)}, "still has 1 live session, such as app (labdojo-web) from 10.0.0.9"),
        ({"scope": ("public.users",)}, "the plan is about the whole database, the facts about public.users"),
    ],
)
def test_another_or_busy_target_is_refused(plan, facts, signed, ask, change, sentence):
    with pytest.raises(Refused) as refused:
        ask(plan(), facts(**change), [signed(plan())])
    assert sentence in str(refused.value)
    assert not isinstance(refused.value, ApprovalMissing)


def test_lifeboats_own_sessions_do_not_count(plan, facts, signed, ask):
    assert ask(plan(), facts(sessions=(Session(pid=1, user="r", application="lifeboat restore"),)), [signed(plan())])


def test_old_facts_are_refused(plan, facts, signed, ask, now):
    for taken_at in (now - timedelta(minutes=3), now + timedelta(minutes=3)):
        with pytest.raises(Refused, match="look again"):
            ask(plan(), facts(taken_at=taken_at), [signed(plan())])


def test_writes_before_isolation_are_the_approved_loss(plan, facts, signed, ask, now):
    isolated = facts(writes=5000)
    assert ask(plan(), facts(writes=5000), [signed(plan())], baseline=isolated)
    with pytest.raises(Refused, match="was written to"):
        ask(plan(), facts(writes=5001), [signed(plan())], baseline=isolated)
    with pytest.raises(Refused, match="facts taken when isolating are about"):
        ask(plan(), facts(writes=5000), [signed(plan())], baseline=facts(writes=5000, system_identifier="2"))


def test_a_target_that_was_empty_must_still_be(plan, facts, signed, ask):
    approved = plan(target=facts(empty=True, tables=0, size=0, writes=0))
    assert ask(approved, facts(empty=True, writes=0), [signed(approved)])
    with pytest.raises(Refused, match="was empty when the plan was made"):
        ask(approved, facts(), [signed(approved)])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"person": "grace"}, "grace: asked for the recovery"),
        ({"person": "mallory"}, "mallory: does not hold the role incident_commander"),
        ({"by": Signer.generate()}, "ada: forged"),
        ({"plan": "0" * 64}, "ada: for another plan"),
        ({"run": "another"}, "ada: for another plan"),
        ({"system": "aiaas"}, "ada: for another plan"),
        ({"via": "rehearsal"}, "ada: given by a rehearsal"),
    ],
)
def test_an_answer_that_does_not_count(plan, facts, signed, ask, answer, reason):
    with pytest.raises(ApprovalMissing) as missing:
        ask(plan(), facts(), [signed(plan(), **answer)])
    assert reason in str(missing.value)
    assert "needs the signed approval of 1 person with the role incident_commander" in str(missing.value)


def test_an_expired_or_future_answer_does_not_count(plan, facts, signed, ask, now):
    later = now + timedelta(minutes=30)
    with pytest.raises(ApprovalMissing, match="ada: expired at 2026-11-21 03:42:00 CET"):
        ask(plan(), facts(taken_at=later), [signed(plan())], now=later)
    forever = signed(plan(), expires=now + timedelta(days=999))
    with pytest.raises(ApprovalMissing, match="ada: expired at 2026-11-21 03:42:00 CET"):
        ask(plan(), facts(taken_at=later), [forever], now=later)
    with pytest.raises(ApprovalMissing, match="dated in the future"):
        ask(plan(), facts(), [signed(plan(), at=now + timedelta(minutes=5))])


def test_a_begun_run_goes_on_under_its_approvals(plan, facts, signed, ask, now, signer):
    later = now + timedelta(hours=2)
    begun = begin(plan(), signer, now + timedelta(minutes=1))
    assert ask(plan(), facts(taken_at=later), [signed(plan())], now=later, begun=begun)
    with pytest.raises(Refused, match="forged"):
        ask(plan(), facts(taken_at=later), [signed(plan())], now=later, begun=begin(plan(), Signer.generate(), now))
    other = plan(made_at=now + timedelta(seconds=1))
    with pytest.raises(ApprovalMissing, match="for another plan"):
        ask(other, facts(taken_at=later), [signed(plan())], now=later, begun=begun)
    with pytest.raises(ApprovalMissing, match="expired"):
        ask(other, facts(taken_at=later), [signed(other)], now=later, begun=begun)
    next_week = now + timedelta(days=7)
    with pytest.raises(ApprovalMissing, match="expired"):
        ask(plan(), facts(taken_at=next_week), [signed(plan())], now=next_week, begun=begun)


def test_a_rejection_counts_even_beside_an_approval(plan, facts, signed, ask, now, signer):
    answers = [signed(plan()), signed(plan(), "eve", decision=Decision.REJECT)]
    with pytest.raises(Refused, match="eve rejected this plan"):
        ask(plan(), facts(), answers)
    with pytest.raises(Refused, match="eve rejected this plan"):
        ask(plan(), facts(), answers, begun=begin(plan(), signer, now))


def test_a_strangers_rejection_stops_nothing(plan, facts, signed, ask):
    assert ask(plan(), facts(), [signed(plan()), signed(plan(), "mallory", decision=Decision.REJECT)])


def test_two_people_are_two_people(plan, facts, signed, ask):
    rule = ApprovalRule(role="incident_commander", people=2, approvers=("ada", "grace", "eve"))
    both = plan(approval=rule)
    with pytest.raises(ApprovalMissing, match="valid for this plan is 1"):
        ask(both, facts(), [signed(both), signed(both)])
    assert ask(both, facts(), [signed(both), signed(both, "eve")]).people == ("ada", "eve")
    with pytest.raises(ApprovalMissing, match="2 people"):
        ask(plan(), facts(), [signed(plan())], people_needed=2)


def test_the_policys_people_of_today_count_too(plan, facts, signed, ask):
    with pytest.raises(ApprovalMissing, match="ada: does not hold the role"):
        ask(plan(), facts(), [signed(plan())], approvers=("eve",))


def test_a_rehearsal_touches_scratch_only(plan, facts, signer, now, ask):
    rehearsal = plan(mode=Mode.REHEARSAL)
    record = automatic(rehearsal, now)
    answers = [SignedApproval(approval=record, signature=signer.sign(PURPOSE, canonical(record)))]
    there = facts(host=SCRATCH.directory, system_identifier=SCRATCH.system_identifier)
    assert ask(rehearsal, there, answers, scratch=SCRATCH)
    with pytest.raises(Refused, match="none was given"):
        ask(rehearsal, there, answers)
    with pytest.raises(Refused, match="may not touch"):
        ask(rehearsal, facts(), answers, scratch=SCRATCH)
    live = facts(host=SCRATCH.directory)
    claimed = SCRATCH.model_copy(update={"system_identifier": live.system_identifier})
    with pytest.raises(Refused, match="may not touch"):
        ask(rehearsal, live, answers, scratch=claimed)
    with pytest.raises(ApprovalMissing):
        ask(rehearsal, there, [], scratch=SCRATCH)


def test_a_rehearsals_approval_is_worth_nothing_in_an_incident(plan, now):
    with pytest.raises(ApprovalMissing, match="only a rehearsal approves itself"):
        automatic(plan(), now)


def test_a_plain_restore_needs_an_empty_target(facts):
    check_unoccupied(facts(exists=False))
    check_unoccupied(facts(empty=True))
    with pytest.raises(ApprovalMissing, match="is not empty: it holds 23 tables, 214 MiB"):
        check_unoccupied(facts())
