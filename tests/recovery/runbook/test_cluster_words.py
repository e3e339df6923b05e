"""What an approver reads before a whole cluster is replaced."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.recovery.runbook.cluster_target import ClusterFacts
from include.recovery.runbook.physical_plan import KnownMoment, PhysicalRecovery
from include.recovery.runbook.plan import Mode
from tests.recovery.runbook.conftest import NOW

DATA = "/var/lib/postgresql/15/main"


@pytest.fixture
def words(plan):
    def make(*, mode=Mode.INCIDENT, target="newest", **found):
        facts = {"host": "db-1", "port": 5432, "data_directory": DATA, "directory_id": "7", "taken_at": NOW,
                 "system_identifier": "7300000000000000001", "size": 3 * 1024**3} | found  # fmt: skip
        recovery = PhysicalRecovery(
            label="20261121-020000F", target=target, words="the newest archived state",
            based_at=NOW - timedelta(hours=1), kept_until=NOW - timedelta(minutes=1), exact=False, segments=12,
            cluster_bytes=2 * 1024**3,
        )  # fmt: skip
        source = plan().sources[0].model_copy(update={
            "method": "whole_cluster", "kind": "pgbackrest", "cluster": ClusterFacts(**facts), "recovery": recovery,
            "safety_copy": f"{DATA}.before-20261121t021200z", "loss_seconds": 60.0,
        })  # fmt: skip
        return plan(sources=(source,), scenario="whole_cluster", mode=mode).in_words()

    return make


def test_a_cluster_that_is_down(words):
    said = words(state="in production", unarchived=2)
    assert f"the whole cluster `{DATA}` on db-1 (system identifier 7300000000000000001): 3.0 GiB, its server is" in said
    assert "its server is down" in said
    assert "**2 WAL segments not archived**" in said
    assert "**its server is stopped**" in said
    assert f"renamed to `{DATA}.before-20261121t021200z`; nothing is deleted" in said
    assert "restored beside the old one and checked there; then the two change places" in said
    assert "archives its last segment" not in said


def test_a_server_that_still_answers_loses_less(words):
    said = words(running=True, answers=True, databases=("labdojo", "postgres"))
    assert "its server answers, 2 databases: labdojo, postgres" in said
    assert "1 min at most when this plan was made (objective 15 min): the server still answers, and archives" in said
    assert "isolated" in words(running=True, answers=True, target="lsn:0/1")


def test_a_directory_that_is_gone_and_a_rehearsal(words):
    said = words(directory_id="", system_identifier="", size=0, mode=Mode.REHEARSAL)
    assert f"would be: the whole cluster `{DATA}` on db-1, which does not exist now" in said
    assert "main-db: there is nothing to keep" in said


def test_only_a_verifiable_point_knows_the_rows_of_a_cluster(plan):
    dump = plan().sources[0]
    known = KnownMoment(name="lifeboat_p", kind="verifiable", at=NOW)
    newest = PhysicalRecovery(
        label="20261121-020000F", target="newest", words="the newest archived state", based_at=NOW, kept_until=NOW,
        known=known,
    )  # fmt: skip
    point = newest.model_copy(update={"target": "name:lifeboat_p", "point": "lifeboat_p"})
    weak = point.model_copy(update={"known": known.model_copy(update={"kind": "heartbeat"})})
    assert dump.rows_known
    assert dump.model_copy(update={"method": "point_in_time", "recovery": newest}).rows_known
    for recovery, expected in ((newest, False), (point, True), (weak, False)):
        assert dump.model_copy(update={"method": "whole_cluster", "recovery": recovery}).rows_known is expected
