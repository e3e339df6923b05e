"""The whole cluster, as the runbook replaces it: under the interlock, in its place, and rehearsed beside it."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from include.recovery.cli.app import app
from include.recovery.cli.desk import Desk
from include.recovery.connections import ConnectionInfo
from include.recovery.errors import ApprovalMissing, PolicyError, Refused
from include.recovery.evidence.model import Outcome
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.replacement.site import build_stand_in
from include.recovery.runbook.approval import approve, automatic, write_approval
from include.recovery.runbook.cluster_interlock import ClusterClearance, ScratchCluster, check_cluster
from include.recovery.runbook.cluster_target import ClusterFacts
from include.recovery.runbook.folder import RunFolder
from include.recovery.runbook.methods import whole_cluster
from include.recovery.runbook.methods.port import Job, Wanted
from include.recovery.runbook.plan import Mode, RecoveryPlan
from include.recovery.runbook.planning import Choice, draft_plan
from include.recovery.workspace import Workspace
from tests.integration.runbook.conftest import Quay, notes, run_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
METHOD = whole_cluster.METHOD


def now() -> datetime:
    return datetime.now(UTC)


def choose(quay: Quay, wish: str = "newest") -> Choice:
    return METHOD.choose(Wanted(quay.workspace, quay.system, quay.source, wish, (), now, lambda _: None))


def planned(quay: Quay, mode: Mode, wish: str = "newest") -> RecoveryPlan:
    run = f"run-{now().timestamp()}"
    plan = draft_plan(
        quay.system, "whole_cluster", mode, [choose(quay, wish)], run=run, requester="grace", now=now()
    )
    return folder_of(quay, plan).save_plan(plan)


def folder_of(quay: Quay, plan: RecoveryPlan) -> RunFolder:
    return RunFolder(quay.workspace.store("primary"), quay.name, plan.run)


def job_of(quay: Quay, plan: RecoveryPlan, scratch: Path | None = None) -> Job:
    return Job(
        quay.workspace, plan, plan.sources[0], quay.database, scratch or quay.scratch(), run_of(), threading.Event(),
        now,
    )  # fmt: skip


def approved(quay: Quay, plan: RecoveryPlan) -> None:
    answer = automatic(plan, now()) if plan.mode is Mode.REHEARSAL else approve(plan, "ada", now())
    write_approval(quay.workspace.store("primary"), quay.workspace.signer(), answer)


def interlock(quay: Quay, plan: RecoveryPlan) -> whole_cluster.Clear:
    def clear(facts: ClusterFacts, scratch: ScratchCluster | None) -> ClusterClearance:
        return check_cluster(
            plan, plan.sources[0], facts, folder_of(quay, plan).approvals(), requester="grace", people_needed=1,
            now=now(), verifier=quay.workspace.signer().verifier, scratch=scratch,
        )  # fmt: skip

    return clear


@pytest.fixture(scope="module")
def lived(quay: Quay) -> Quay:
    with quay.beating():
        quay.back_up()
        quay.note("only in the archive")
        time.sleep(1)
    quay.archive_all()
    return quay


@pytest.mark.demand("R6")
def test_a_rehearsal_replaces_a_stand_in_in_the_very_same_way(lived: Quay) -> None:
    quay, before = lived, lived.sql("SELECT pg_current_wal_lsn()")
    directory = quay.cluster.data.stat().st_ino
    plan = planned(quay, Mode.REHEARSAL)
    approved(quay, plan)
    assert "would be: the whole cluster" in plan.in_words()
    job, clear = job_of(quay, plan), interlock(quay, plan)
    with pytest.raises(Exception, match="there is no stand-in"):
        METHOD.stop_server(job, clear)
    site = build_stand_in(job.scratch, quay.system.stanza(quay.source), superuser="postgres", major=15)
    assert "was stopped" in METHOD.stop_server(job, clear)
    assert "will be kept as" in METHOD.safety_copy(job)
    assert "has room for" in METHOD.make_room(job)
    assert "cluster of backup" in METHOD.restore(job).sentence
    compared = METHOD.compare(job)
    assert compared.problem is None
    assert [(check.name, check.outcome) for check in compared.checks] == [
        ("databases of the cluster", Outcome.PASSED), ("newest heartbeat", Outcome.PASSED)
    ]
    assert [check.outcome for check in METHOD.question(job)] == [Outcome.PASSED]
    done = METHOD.exchange(job, clear)
    assert done.kept_as is not None
    assert METHOD.exchange(job, clear).kept_as == done.kept_as
    assert "timeline 2; WAL arrives: 00000002" in METHOD.check(job)
    assert notes(site.server.with_database("quay")) == ["only in the archive"]

    # The live cluster and its archive are as they were.
    assert quay.cluster.data.stat().st_ino == directory
    assert quay.sql("SELECT pg_current_wal_lsn()") >= before
    assert quay.archive_all().startswith("00000001")
    ScratchServer.remove(job.scratch)
    assert site.control.processes() == []
    assert not job.scratch.exists()


def test_nothing_is_stopped_without_an_approval_for_another_cluster_or_under_a_stranger(lived: Quay) -> None:
    quay, plan = lived, planned(lived, Mode.INCIDENT)
    job, clear = job_of(quay, plan), interlock(lived, plan)
    with pytest.raises(ApprovalMissing, match="needs the signed approval of 1 person"):
        METHOD.stop_server(job, clear)
    approved(quay, plan)
    with quay.workspace.cluster(quay.source).connect() as connection:
        connection.execute("SET application_name = 'a stranger'")
        with pytest.raises(Refused, match="1 live session that the plan did not name, such as postgres .a stranger"):
            METHOD.stop_server(job, clear)
    found = METHOD.facts(job)
    for change, sentence in (({"system_identifier": "42"}, "names system identifier"), ({"host": "x"}, "names host")):
        with pytest.raises(Refused, match=sentence):
            clear(found.model_copy(update=change), None)
    assert notes(quay.database)
    # Somebody else's directory in the connection: the plan is refused already.
    other = quay.place / "other"
    quay.cluster._tool("initdb", "-D", str(other), "-U", "postgres")
    with pytest.raises(Refused, match="works in .* and extra.data_directory of connection quay_cluster says"):
        choose(elsewhere(quay, {"data_directory": str(other)}))
    with pytest.raises(PolicyError, match="connection 'quay_cluster': extra.start is nothing"):
        choose(elsewhere(quay, {"start": None}))
    quay.cluster.stop()
    try:
        with pytest.raises(Refused, match="is not the cluster that was backed up"):
            choose(elsewhere(quay, {"data_directory": str(other)}))
    finally:
        quay.cluster.start()


def elsewhere(quay: Quay, change: dict[str, object]) -> Quay:
    """The same with something else in the extra of its connection."""
    find = quay.workspace.connections

    def changed(name: str) -> ConnectionInfo:
        info = find(name)
        return replace(info, extra={**info.extra, **change}) if name == "quay_cluster" else info

    workspace: Workspace = replace(quay.workspace, connections=changed)
    return replace(quay, workspace=workspace)  # type: ignore[arg-type]


@pytest.mark.demand("R6")
def test_an_incident_brings_a_destroyed_cluster_back_and_it_archives_on(lived: Quay) -> None:
    quay = lived
    os.kill(int((quay.cluster.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    quay.cluster.stop()
    shutil.rmtree(quay.cluster.data / "base")
    plan = planned(quay, Mode.INCIDENT)
    found = plan.sources[0].cluster
    assert found is not None
    assert (found.answers, found.running) == (False, False)
    words = plan.in_words()
    assert "its server is down" in words
    assert f"renamed to `{quay.cluster.data}.before-" in words
    approved(quay, plan)
    job, clear = job_of(quay, plan), interlock(quay, plan)
    assert "was down already" in METHOD.stop_server(job, clear)
    METHOD.restore(job)
    assert METHOD.compare(job).problem is None
    assert "was never moved" in METHOD.put_back(job)

    METHOD.restore(job)
    done = METHOD.exchange(job, clear)
    assert done.clearance is not None
    assert done.clearance.people == ("ada",)
    assert "timeline 2; WAL arrives: 00000002" in METHOD.check(job)
    assert notes(quay.database) == ["only in the archive"]
    assert Path(done.kept_as or "").is_dir()
    quay.note("after")
    assert quay.archive_all().startswith("00000002")
    assert "nothing to do" in METHOD.stop_server(job, clear)


def command(quay: Quay, *words: str, typed: str = "", expect: int = 0) -> str:
    """Run ``lifeboat`` and return what it said."""
    desk = Desk()
    desk.__dict__["workspace"] = quay.workspace
    done = CliRunner().invoke(app, ["replace-cluster", quay.name, *words], obj=desk, input=typed)
    assert done.exit_code == expect, done.output
    return done.output


def test_by_hand_it_needs_somebody_elses_signature_too(lived: Quay) -> None:
    quay, data = lived, str(lived.cluster.data)
    quay.note("before the second time")
    timeline = int(quay.archive_all()[:8], 16)
    waiting = command(quay, "--as", "grace", expect=4)
    assert "the plan waits: somebody else approves it with: lifeboat replace-cluster" in waiting
    run = waiting.partition("--run ")[2].split()[0]
    assert "is not the data directory of this plan" in command(
        quay, "--run", run, "--approve", "ada", typed="quay\n", expect=4
    )
    assert "grace asked for this recovery" in command(quay, "--run", run, "--approve", "grace", expect=4)
    inode = quay.cluster.data.stat().st_ino
    assert "was never moved" in command(quay, "--run", run, "--put-back")
    assert quay.cluster.data.stat().st_ino == inode
    done = command(quay, "--run", run, "--approve", "ada", typed=f"{data}\n")
    assert "may be replaced from backup" in done
    assert f"WAL arrives: {timeline + 1:08X}" in done
    assert notes(quay.database)[-1] == "before the second time"
    assert quay.cluster.data.stat().st_ino != inode
    assert "has been done already" in command(quay, "--run", run, expect=4)
    assert "is in service" in command(quay, "--run", run, "--put-back", expect=4)
