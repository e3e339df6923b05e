"""The interlock of whole clusters: only the directory, the cluster and the users that the plan names."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.errors import ApprovalMissing, Refused
from include.recovery.runbook.approval import Signer
from include.recovery.runbook.cluster_interlock import (
    ScratchCluster,
    _require_scratch,
    check_cluster,
    require_own,
)
from include.recovery.runbook.cluster_target import ClusterFacts, ClusterSession
from include.recovery.runbook.plan import Mode
from tests.recovery.runbook.conftest import NOW

WEB = ClusterSession(pid=7, user="app", application="web", client="10.0.0.9", database="labdojo")
COUSIN = ClusterSession(pid=8, user="eve", application="psql", client="10.0.0.66", database="labdojo")
SCRATCH = ScratchCluster(folder="/scratch/run-1", system_identifier="7300000000000000099")


def cluster(**changes):
    values = {
        "host": "db-1", "port": 5432, "data_directory": "/var/lib/postgresql/15/main", "directory_id": "4711",
        "system_identifier": "7300000000000000001", "state": "in production", "version": "15", "running": True,
        "answers": True, "size": 10**9, "databases": ("labdojo", "postgres"), "sessions": (WEB,), "taken_at": NOW,
    }  # fmt: skip
    return ClusterFacts(**(values | changes))


@pytest.fixture
def planned_cluster(plan):
    def make(found=None, **changes):
        first = plan()
        source = first.sources[0].model_copy(update={"cluster": found or cluster()})
        return plan(sources=(source,), scenario="whole_cluster", **changes)

    return make


@pytest.fixture
def ask(now, signer):
    def make(plan, facts, approvals, **changes):
        values = {"requester": "grace", "people_needed": 1, "now": now, "verifier": signer.verifier}
        return check_cluster(plan, plan.sources[0], facts, approvals, **(values | changes))

    return make


def test_the_approved_cluster_passes_as_it_was_found_or_stopped_or_damaged_before(planned_cluster, signed, ask):
    plan = planned_cluster()
    clearance = ask(plan, cluster(), [signed(plan)])
    assert "/var/lib/postgresql/15/main on db-1" in str(clearance)
    assert "approved by ada" in str(clearance)
    assert ask(plan, cluster(answers=False, running=False, databases=(), sessions=()), [signed(plan)])
    other_process = WEB.model_copy(update={"pid": 99})
    assert ask(plan, cluster(sessions=(other_process,)), [signed(plan)])
    damaged = planned_cluster(cluster(system_identifier="", state="", answers=False))
    assert ask(damaged, cluster(system_identifier="", answers=False), [signed(damaged)])


def test_a_cluster_that_is_gone_since_is_no_obstacle_and_one_that_appeared_is(planned_cluster, signed, ask):
    gone = cluster(directory_id="", system_identifier="", answers=False, databases=(), sessions=())
    plan = planned_cluster()
    assert ask(plan, gone, [signed(plan)])
    plan = planned_cluster(gone)
    assert ask(plan, gone, [signed(plan)])
    with pytest.raises(Refused, match="was missing when the plan was made and is there now"):
        ask(plan, cluster(), [signed(plan)])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"system_identifier": "1"}, "names system identifier 7300000000000000001, found is 1"),
        ({"system_identifier": ""}, "names system identifier 7300000000000000001, found is none"),
        ({"host": "db-2"}, "names host db-1, found is db-2"),
        ({"port": 5433}, "names port 5432, found is 5433"),
        ({"data_directory": "/elsewhere"}, "names data directory /var/lib/postgresql/15/main, found is /elsewhere"),
        ({"directory_id": "1"}, "names directory identity 4711, found is 1"),
        ({"databases": ("labdojo", "payroll", "postgres")}, "has 1 database that the plan did not name: payroll"),
        ({"sessions": (WEB, COUSIN)}, "has 1 live session that the plan did not name, such as eve (psql) from"),
    ],
)
def test_another_cluster_or_a_stranger_is_refused(planned_cluster, signed, ask, change, sentence):
    plan = planned_cluster()
    with pytest.raises(Refused) as refused:
        ask(plan, cluster(**change), [signed(plan)])
    assert sentence in str(refused.value)
    assert not isinstance(refused.value, ApprovalMissing)


def test_no_approval_no_plan_or_old_facts_pass_nothing(planned_cluster, plan, signed, ask, now):
    approved = planned_cluster()
    with pytest.raises(ApprovalMissing):
        ask(approved, cluster(), [])
    with pytest.raises(ApprovalMissing, match="forged"):
        ask(approved, cluster(), [signed(approved, "ada", Signer.generate())])
    with pytest.raises(ApprovalMissing, match="asked for the recovery"):
        ask(approved, cluster(), [signed(approved, "grace")])
    with pytest.raises(Refused, match="look again"):
        ask(approved, cluster(), [signed(approved)], now=now + timedelta(minutes=3))
    without = plan()
    with pytest.raises(Refused, match="does not name a whole cluster"):
        ask(without, cluster(), [signed(without)])


@given(
    directory=st.sampled_from(["/scratch/run-1/cluster", "/scratch/run-2/cluster", "/scratch/run-1",
                               "/var/lib/postgresql/15/main", "/scratch/run-1x/cluster"]),
    identifier=st.sampled_from(["7300000000000000099", "7300000000000000001", ""]),
)
def test_a_rehearsal_replaces_nothing_but_its_stand_in(directory, identifier):
    facts = cluster(data_directory=directory, system_identifier=identifier)
    allowed = directory == "/scratch/run-1/cluster" and identifier == SCRATCH.system_identifier
    with nullcontext() if allowed else pytest.raises(Refused, match="a rehearsal may not touch"):
        _require_scratch(_Rehearsal, cluster(), facts, SCRATCH)


class _Rehearsal:
    system, mode = "labdojo", Mode.REHEARSAL


def test_a_rehearsal_without_a_stand_in_is_refused(planned_cluster, signed, ask):
    plan = planned_cluster(mode=Mode.REHEARSAL)
    with pytest.raises(Refused, match="replaces only a stand-in of its own"):
        ask(plan, cluster(), [signed(plan)])


def test_another_clusters_directory_is_found_out_before_a_plan_is_made():
    require_own(cluster(), "7300000000000000001")
    require_own(cluster(system_identifier=""), "7300000000000000001")
    with pytest.raises(Refused, match="is not the cluster that was backed up"):
        require_own(cluster(), "42")


def test_the_words_name_what_an_approver_has_to_know():
    words = cluster(unarchived=3, system_identifier="", answers=False, running=False).in_words()
    assert "cannot be read" in words
    assert "its server is down" in words
    assert "3 WAL segments not archived" in words
    assert "does not exist now" in cluster(directory_id="").in_words()
