"""Snapshots on RDS: taken once, copied, proven as far as they can be, kept 30 days, and gone in both regions.

RDS is moto's: what it makes is available at once, holds no rows and takes no logins. What a snapshot of a real
instance holds, how long it takes and what a real service refuses stays unproven here.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from include.recovery.catalog.model import ProofLevel
from include.recovery.concerns import Severity
from include.recovery.copies import missing_copies
from include.recovery.coverage.instances import Instances
from include.recovery.coverage.model import Found, Unseen
from include.recovery.errors import LeaseHeld, SourceError, SourceUnavailable
from include.recovery.evidence.model import Outcome
from include.recovery.evidence.summary import summarise
from include.recovery.postgres.server import PostgresServer
from include.recovery.rds.scratch import ScratchInstance
from include.recovery.retention.carry_out import carry_out
from include.recovery.sources import rds, verbs
from tests.integration.rds.conftest import HOME, PAUSE, SECOND, Rds

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CREATING = (r"<Status>available</Status>", "<Status>creating</Status><PercentProgress>40</PercentProgress>")


def wait_until(there: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not there():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)


@pytest.mark.demand("K1", emulated="RDS by moto")
def test_a_snapshot_is_taken_copied_proven_restored_in_the_other_region_and_expired(depot: Rds) -> None:
    assert verbs("rds") is rds
    assert "is available; the service keeps its own backups 7 days; it has snapshots of Lifeboat: 0 in us-east-1" in (
        rds.precheck(depot.workspace, depot.system, depot.source)
    )
    asked = datetime.now(UTC)
    manifest = depot.back_up()
    assert manifest.managed is not None
    home, second = manifest.managed.copies
    assert (home.region, home.store, second.region, second.store) == (HOME, "primary", SECOND, "offsite")
    assert home.arn != second.arn
    assert second.encrypted
    assert second.kms_key == depot.keys[SECOND]
    assert abs(manifest.snapshot_at - asked) < timedelta(seconds=20)
    (made,), (copied,) = depot.snapshots(HOME), depot.snapshots(SECOND)
    for snapshot in (made, copied):
        tags = {tag["Key"]: tag["Value"] for tag in snapshot["TagList"]}
        told = tags["lifeboat-system"], tags["lifeboat-source"], tags["lifeboat-tier"]
        assert told == ("depot", depot.name, "daily")
        assert tags["team"] == "depot"

    # The catalog of the second store gets the entry, with the proof that the service has the copy.
    assert [copy.to_store for copy in missing_copies(depot.system, depot.workspace.catalog) if copy.kind == "rds"] == [
        "offsite"
    ]
    depot.replicate()
    assert [copy for copy in missing_copies(depot.system, depot.workspace.catalog) if copy.kind == "rds"] == []
    assert depot.entry(manifest).level_in("offsite") is ProofLevel.REPLICATED
    assert depot.entry(manifest, "offsite").level_in("offsite") is ProofLevel.REPLICATED
    assert rds.verify(depot.workspace, depot.entry(manifest)).level is ProofLevel.STORED
    assert rds.verify(depot.workspace, depot.entry(manifest, "offsite"), store="offsite").store == "offsite"

    # The first region is lost: the instance, the snapshot, and with the primary store its catalog.
    depot.real[HOME].delete_db_instance(DBInstanceIdentifier=depot.instance, SkipFinalSnapshot=True)
    entry = depot.entry(manifest, "offsite")
    run = depot.run("drill-1")
    restored = rds.restore(depot.workspace, entry, store="offsite", run=run, pause=PAUSE)
    assert restored.region == SECOND
    (instance,) = depot.real[SECOND].describe_db_instances(DBInstanceIdentifier=restored.identifier)["DBInstances"]
    assert instance["PubliclyAccessible"] is False
    assert {tag["Key"]: tag["Value"] for tag in instance["TagList"]}["lifeboat-scratch"] == restored.identifier
    again = rds.restore(depot.workspace, entry, store="offsite", run=run, pause=PAUSE)
    assert again.identifier == restored.identifier, "a retry finds what it has begun"
    for _ in range(2):
        rds.discard(depot.workspace, entry, store="offsite", run=run)
        assert restored.identifier not in depot.instances(SECOND)


@pytest.mark.demand("K1", emulated="RDS by moto")
def test_snapshots_are_kept_30_days_and_then_removed_in_both_regions(depot: Rds) -> None:
    now = datetime.now(UTC)
    ages = [31, 29, 0]
    old, young, newest = (
        depot.back_up(now=lambda days=days: now - timedelta(days=days)) for days in ages  # type: ignore[misc]
    )
    depot.replicate()
    for manifest in (old, young, newest):
        rds.verify(depot.workspace, depot.entry(manifest))
    for store, region, left in (("primary", HOME, 3), ("offsite", SECOND, 2)):
        done = carry_out(depot.workspace, depot.system, depot.name, store, run=depot.run())
        assert (done.refusal, done.failures) == (None, ())
        assert [each.backup for each in done.done] == [old.name]
        assert {row.manifest.id for row in depot.listed(store)} == {young.id, newest.id}
        assert len(depot.snapshots(region)) == 2
        assert len(depot.snapshots(SECOND)) == left, "each store's retention removes what its own region has"
    assert rds.check_catalog(depot.workspace, depot.system, depot.source).sentences == ()


def test_a_copy_that_no_other_catalog_lists_goes_with_its_original(depot: Rds) -> None:
    manifest = depot.back_up()
    assert rds.expire(depot.workspace, depot.entry(manifest), why="a test").gone
    assert (depot.snapshots(HOME), depot.snapshots(SECOND), depot.listed()) == ([], [], [])


def test_a_killed_run_is_gone_on_with_and_makes_no_second_snapshot(depot: Rds) -> None:
    depot.proxy.rewrite.append(CREATING)
    child = os.fork()
    if child == 0:
        depot.back_up(depot.run("nightly"))
        os._exit(0)
    try:
        wait_until(lambda: depot.snapshots(HOME))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert depot.listed() == []
    depot.proxy.rewrite.clear()
    (begun,) = depot.snapshots(HOME)
    manifest = depot.back_up(depot.run("nightly", try_number=2))
    (made,) = depot.snapshots(HOME)
    assert made["SnapshotCreateTime"] == begun["SnapshotCreateTime"], "it is the first try's"
    assert [len(depot.snapshots(region)) for region in (HOME, SECOND)] == [1, 1]
    assert [row.manifest.id for row in depot.listed()] == [manifest.id]

    # A try that died right behind the manifest, before its row in the index.
    catalog = depot.workspace.catalog()
    catalog._index.update(lambda index: index.without(manifest.prefix))
    assert depot.back_up(depot.run("nightly", try_number=3)).id == manifest.id
    assert [len(depot.snapshots(region)) for region in (HOME, SECOND)] == [1, 1]


def test_of_two_runs_at_once_the_second_is_refused(depot: Rds) -> None:
    depot.proxy.rewrite.append(CREATING)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(depot.back_up)
        wait_until(lambda: depot.snapshots(HOME))
        with pytest.raises(LeaseHeld):
            depot.back_up()
        depot.proxy.rewrite.clear()
        first.result(timeout=30)
    assert [len(depot.snapshots(region)) for region in (HOME, SECOND)] == [1, 1]


def test_whoever_is_told_to_stop_leaves_what_a_retry_goes_on_with(depot: Rds) -> None:
    depot.proxy.rewrite.append(CREATING)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(depot.back_up, depot.run("nightly"), stop=stop)
        wait_until(lambda: depot.snapshots(HOME))
        stop.set()
        with pytest.raises(SourceUnavailable, match="was told to stop, nothing was entered in the catalog"):
            first.result(timeout=30)
    depot.proxy.rewrite.clear()
    depot.back_up(depot.run("nightly", try_number=2))
    assert len(depot.snapshots(HOME)) == 1


def test_a_graph_may_make_and_copy_the_snapshot_itself(depot: Rds) -> None:
    run, tier = depot.run("graph"), depot.system.tier("daily")
    asked = rds.begin(depot.workspace, depot.system, depot.source, tier, run=run)
    assert asked.identifier == rds.begin(depot.workspace, depot.system, depot.source, tier, run=run).identifier
    tags = [{"Key": key, "Value": value} for key, value in asked.tags.items()]
    with pytest.raises(SourceError, match="is not in us-east-1"):
        rds.made(depot.workspace, depot.system, depot.source, tier, run=run)
    depot.real[HOME].create_db_snapshot(
        DBInstanceIdentifier=depot.instance, DBSnapshotIdentifier=asked.identifier, Tags=tags
    )
    made = rds.made(depot.workspace, depot.system, depot.source, tier, run=run)
    depot.real[SECOND].copy_db_snapshot(
        SourceDBSnapshotIdentifier=made.arn, TargetDBSnapshotIdentifier=asked.identifier, Tags=tags,
        KmsKeyId=depot.keys[SECOND],
    )  # fmt: skip
    manifest = rds.record(depot.workspace, depot.system, depot.source, tier, run=run)
    assert rds.record(depot.workspace, depot.system, depot.source, tier, run=run).id == manifest.id
    assert depot.back_up(run).id == manifest.id, "the verb finds what the graph has made"
    assert len(depot.listed()) == 1


def test_a_forgotten_snapshot_is_taken_in_and_then_under_retention(depot: Rds) -> None:
    stop, long_ago = threading.Event(), datetime.now(UTC) - timedelta(days=2)
    stop.set()
    depot.proxy.rewrite.append(CREATING)
    run = depot.run("forgotten")
    with pytest.raises(SourceUnavailable):
        depot.back_up(run, stop=stop, now=lambda: long_ago)
    depot.proxy.rewrite.clear()
    seen = rds.check_catalog(depot.workspace, depot.system, depot.source)
    assert len(seen.unknown) == 1
    (concern,) = depot.concerns()
    assert (concern.severity, "the next backup takes it in" in concern.sentence) == (Severity.WARNING, True)
    half = rds.take_in_forgotten(depot.workspace, depot.system, depot.source, run=depot.run())
    assert half.entered == ()
    assert "is not in us-west-2, so it is not entered in the catalog" in half.left[0]
    (made,) = depot.snapshots(HOME)
    depot.real[SECOND].copy_db_snapshot(
        SourceDBSnapshotIdentifier=made["DBSnapshotArn"], TargetDBSnapshotIdentifier=made["DBSnapshotIdentifier"],
        CopyTags=True, Tags=made["TagList"], KmsKeyId=depot.keys[SECOND],
    )  # fmt: skip
    (manifest,) = rds.take_in_forgotten(depot.workspace, depot.system, depot.source, run=depot.run()).entered
    assert (manifest.tier, manifest.snapshot_at, manifest.started_by) == ("daily", long_ago, "forgotten")
    assert rds.check_catalog(depot.workspace, depot.system, depot.source).unknown == ()
    assert rds.take_in_forgotten(depot.workspace, depot.system, depot.source, run=depot.run()).entered == ()
    depot.replicate()
    assert depot.concerns() == []


def test_a_restored_instance_that_takes_logins_is_asked_and_never_called_identical(
    make_rds: Callable[..., Rds], fresh_database: PostgresServer
) -> None:
    server = fresh_database
    depot = make_rds(depot_backup={"host": "gone.invalid", "login": server.user, "password": server.password})
    manifest = depot.back_up()
    # moto's instances take no logins; a real database stands in the restored one's place.
    restored = ScratchInstance("lifeboat-scratch-x", HOME, "primary", server.host, server.port, 12.5)
    portable = depot.system.database("main-db")
    admin = server.with_database("postgres")
    with admin.connect() as connection:
        connection.execute(f'CREATE DATABASE "{portable.database}"'.encode())
    try:
        with server.with_database(portable.database).connect() as connection:
            connection.execute("CREATE TABLE public.notes (text text)")
        (wrong,) = rds.validate(depot.workspace, depot.entry(manifest), restored)
        assert (wrong.outcome, wrong.found) == (Outcome.FAILED, "0")
        assert depot.entry(manifest).damage_in("primary") is not None
        with server.with_database(portable.database).connect() as connection:
            connection.execute("INSERT INTO public.notes VALUES ('a note')")
        (right,) = rds.validate(depot.workspace, depot.entry(manifest), restored)
        assert right.outcome is Outcome.PASSED
    finally:
        with admin.connect() as connection:
            connection.execute(f'DROP DATABASE "{portable.database}" WITH (FORCE)'.encode())
    entry = depot.entry(manifest)
    assert (entry.level, entry.proven_at, entry.damaged) == (ProofLevel.RESTORED, None, False)
    assert entry.proofs[-1].detail.endswith("1 of 1 questions answered as expected; its rows were not compared")


def test_an_instance_in_no_policy_is_discovered(make_rds: Callable[..., Rds]) -> None:
    depot, other = make_rds(), make_rds()
    manifest = depot.back_up()
    run = depot.run("drill")
    restored = rds.restore(depot.workspace, depot.entry(manifest), run=run, pause=PAUSE)
    found = {each.name: each for each in Instances().discover(depot.workspace) if isinstance(each, Found)}
    rds.discard(depot.workspace, depot.entry(manifest), run=run)
    assert found[depot.instance].covered_by == (f"depot/{depot.name}",)
    assert found[other.instance].alarming
    assert found[restored.identifier].on_purpose == "a drill's scratch instance"
    depot.proxy.refuse["DescribeDBInstances", SECOND] = (403, "AccessDenied", "no")
    assert [each.where for each in Instances().discover(depot.workspace) if isinstance(each, Unseen)] == [
        "RDS us-west-2 (rds_west)"
    ]


@pytest.mark.parametrize("host", [None, "127.0.0.1"])
def test_an_instance_that_nobody_reaches_is_restored_with_the_reason_and_no_more(
    make_rds: Callable[..., Rds], host: str | None
) -> None:
    depot = make_rds()
    manifest = depot.back_up()
    unreachable = ScratchInstance("lifeboat-scratch-x", HOME, "primary", host, 1, 3.0)
    (skipped,) = rds.validate(depot.workspace, depot.entry(manifest), unreachable)
    assert (skipped.outcome, skipped.required) == (Outcome.SKIPPED, False)
    entry = depot.entry(manifest)
    assert (entry.level, entry.proven_at) == (ProofLevel.RESTORED, None)
    assert "nothing could be asked of it: " in entry.proofs[-1].detail
    seen = {each.source: each for each in summarise(depot.workspace, "depot", datetime.now(UTC)).sources}
    assert seen[depot.name].proven_at == entry.proofs[-1].at, "more than a restore cannot be shown of a snapshot"
