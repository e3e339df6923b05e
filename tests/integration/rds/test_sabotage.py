"""Whatever goes wrong between Lifeboat and RDS is red for the right reason, and nothing looks like a backup."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from include.recovery.catalog.model import Manifest, ProofLevel
from include.recovery.concerns import Severity
from include.recovery.errors import (
    BackupCorrupt,
    InsufficientRights,
    KeyUnavailable,
    Refused,
    SourceError,
    SourceUnavailable,
)
from include.recovery.rds import scratch
from include.recovery.rds.place import place_of
from include.recovery.sources import rds
from tests.integration.rds.conftest import HOME, PAUSE, SECOND, Rds
from tests.integration.rds.test_snapshots import CREATING, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

DENIED = (403, "AccessDenied", "User is not authorized to perform this action")


def identifier(manifest: Manifest) -> str:
    assert manifest.managed is not None
    return manifest.managed.copies[0].identifier


def nothing_counts(depot: Rds) -> None:
    """No catalog lists anything, and no store holds anything that looks like a backup."""
    assert depot.listed() == []
    assert [info.key for info in depot.workspace.store("primary").list("depot/") if "manifest" in info.key] == []


def test_an_instance_that_is_gone(depot: Rds) -> None:
    depot.real[HOME].delete_db_instance(DBInstanceIdentifier=depot.instance, SkipFinalSnapshot=True)
    for attempt in (lambda: rds.precheck(depot.workspace, depot.system, depot.source), depot.back_up):
        missing = rf"RDS in us-east-1 \(connection rds_east\) has no instance {depot.instance}"
        with pytest.raises(SourceError, match=missing):
            attempt()
    nothing_counts(depot)


def test_a_snapshot_that_failed_is_named_and_made_anew_by_the_next_try(depot: Rds) -> None:
    depot.proxy.rewrite.append((r"<Status>available</Status>", "<Status>failed</Status>"))
    with pytest.raises(SourceError, match=r"RDS snapshot lifeboat-depot-\S+ in us-east-1 is failed, nothing was"):
        depot.back_up(depot.run("nightly"))
    nothing_counts(depot)
    (failed,) = depot.snapshots(HOME)
    depot.proxy.calls.clear()
    with pytest.raises(SourceError, match="is failed"):
        depot.back_up(depot.run("nightly", try_number=2))
    assert ("DeleteDBSnapshot", HOME) in depot.proxy.calls
    (again,) = depot.snapshots(HOME)
    assert again["SnapshotCreateTime"] > failed["SnapshotCreateTime"]
    depot.proxy.rewrite.clear()
    depot.back_up(depot.run("nightly", try_number=3))
    assert len(depot.snapshots(HOME)) == 1


def test_a_snapshot_that_is_stuck_is_named(depot: Rds) -> None:
    depot.proxy.rewrite.append(CREATING)
    hasty = depot.source.model_copy(update={"patience": timedelta(seconds=0.3)})
    with pytest.raises(SourceUnavailable, match="is still creating after 0s, nothing was entered in the catalog"):
        depot.back_up(source=hasty)
    nothing_counts(depot)


def test_a_snapshot_that_vanishes_while_it_is_made(depot: Rds) -> None:
    depot.proxy.rewrite.append(CREATING)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(depot.back_up)
        wait_until(lambda: depot.snapshots(HOME))
        depot.real[HOME].delete_db_snapshot(DBSnapshotIdentifier=depot.snapshots(HOME)[0]["DBSnapshotIdentifier"])
        with pytest.raises(SourceError, match="is gone, nothing was entered in the catalog"):
            running.result(timeout=30)
    nothing_counts(depot)


def test_a_service_that_fails_in_the_middle_is_worth_another_try(depot: Rds) -> None:
    depot.proxy.rewrite.append(CREATING)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(depot.back_up, depot.run("nightly"))
        wait_until(lambda: depot.snapshots(HOME))
        depot.proxy.refuse["DescribeDBSnapshots", HOME] = (503, "ServiceUnavailable", "come back later")
        with pytest.raises(SourceUnavailable, match=r"cannot do rds:DescribeDBSnapshots now \(ServiceUnavailable"):
            running.result(timeout=60)
    nothing_counts(depot)
    depot.proxy.reset()
    depot.back_up(depot.run("nightly", try_number=2))
    assert len(depot.snapshots(HOME)) == 1


def test_a_copy_that_is_refused_leaves_no_entry(depot: Rds) -> None:
    depot.proxy.refuse["CopyDBSnapshot", SECOND] = DENIED
    with pytest.raises(InsufficientRights, match=r"RDS in us-west-2 .* refuses rds:CopyDBSnapshot \(AccessDenied"):
        depot.back_up(depot.run("nightly"))
    nothing_counts(depot)
    depot.proxy.refuse.clear()
    depot.back_up(depot.run("nightly", try_number=2))
    assert len(depot.snapshots(HOME)) == 1


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        ((403, "InvalidClientTokenId", "The security token included in the request is invalid."), InsufficientRights),
        ((403, "SignatureDoesNotMatch", "The request signature does not match."), InsufficientRights),
        ((400, "InvalidDBInstanceState", "Instance is currently backing up."), SourceUnavailable),
        ((400, "SnapshotQuotaExceeded", "Cannot create more than 100 manual snapshots"), SourceError),
    ],
)
def test_each_refusal_is_what_it_is(depot: Rds, refusal: tuple[int, str, str], error: type[Exception]) -> None:
    depot.proxy.refuse["CreateDBSnapshot", HOME] = refusal
    with pytest.raises(error, match=refusal[1] if error is not SourceError else "takes no more snapshots") as raised:
        depot.back_up()
    assert type(raised.value) is error
    assert "the secret" not in str(raised.value)
    nothing_counts(depot)


def test_wrong_credentials_are_told_before_anything_is_made(depot: Rds) -> None:
    depot.proxy.refuse["*", HOME] = (403, "InvalidClientTokenId", "The security token is invalid.")
    with pytest.raises(InsufficientRights, match=r"refuses rds:DescribeDBInstances .*correct the connection's keys"):
        rds.precheck(depot.workspace, depot.system, depot.source)


def test_a_service_that_does_not_answer_is_worth_another_try(make_rds: Callable[..., Rds]) -> None:
    closed = {"login": "a", "password": "b", "extra": {"endpoint_url": "http://127.0.0.1:1"}}
    depot = make_rds(rds_east=closed)
    with pytest.raises(SourceUnavailable, match="does not answer to rds:DescribeDBInstances"):
        rds.precheck(depot.workspace, depot.system, depot.source)


def test_an_answer_that_is_none_of_the_service_is_worth_another_try(depot: Rds) -> None:
    depot.proxy.rewrite.append((r"(?s)^.+$", "<!doctype html><h1>Bad Gateway</h1>"))
    with pytest.raises(SourceUnavailable, match="with something that RDS does not say"):
        rds.precheck(depot.workspace, depot.system, depot.source)


def test_a_connection_of_another_region_is_refused(make_rds: Callable[..., Rds]) -> None:
    depot = make_rds(rds_west={"extra": {"region_name": "eu-central-1"}})
    with pytest.raises(SourceError, match="connection rds_west is for region eu-central-1, and the policy"):
        rds.precheck(depot.workspace, depot.system, depot.source)


def test_a_snapshot_removed_behind_our_back_is_damage_and_cannot_be_restored(depot: Rds) -> None:
    manifest = depot.back_up()
    depot.real[HOME].delete_db_snapshot(DBSnapshotIdentifier=identifier(manifest))
    seen = rds.check_catalog(depot.workspace, depot.system, depot.source)
    assert [row.manifest.id for row in seen.gone] == [manifest.id]
    (concern,) = depot.concerns()
    assert concern.severity is Severity.CRITICAL
    assert f"backup {manifest.name} has no snapshot in us-east-1 any more" in concern.sentence
    assert depot.entry(manifest).damaged
    proofs = len(depot.entry(manifest).proofs)
    rds.check_catalog(depot.workspace, depot.system, depot.source)
    assert len(depot.entry(manifest).proofs) == proofs, "told once"
    with pytest.raises(BackupCorrupt, match="in us-east-1 is gone: somebody removed it behind Lifeboat's back"):
        rds.verify(depot.workspace, depot.entry(manifest))
    with pytest.raises(BackupCorrupt, match="is gone, so nothing can be restored from it"):
        rds.restore(depot.workspace, depot.entry(manifest), run=depot.run(), pause=PAUSE)
    assert depot.entry(manifest).damage_in("offsite") is None, "the other region still has it"


def test_a_copy_missing_in_the_second_region_is_found_by_verify_and_before_its_entry_is_made(depot: Rds) -> None:
    manifest = depot.back_up()
    depot.real[SECOND].delete_db_snapshot(DBSnapshotIdentifier=identifier(manifest))
    with pytest.raises(BackupCorrupt, match="in us-west-2 is gone"):
        rds.verify(depot.workspace, depot.entry(manifest))
    entry = depot.entry(manifest)
    assert (entry.damaged, entry.level_in("primary")) == (False, ProofLevel.STORED), "here it is whole"
    assert entry.damage_in("offsite") is not None
    with pytest.raises(BackupCorrupt, match="in us-west-2 is gone"):
        depot.replicate()
    assert depot.listed("offsite") == []


def test_another_snapshot_under_the_same_name_is_neither_taken_for_the_first_nor_removed(depot: Rds) -> None:
    manifest = depot.back_up()
    name = identifier(manifest)
    (made,) = depot.snapshots(HOME)
    depot.real[HOME].delete_db_snapshot(DBSnapshotIdentifier=name)
    depot.real[HOME].create_db_snapshot(
        DBInstanceIdentifier=depot.instance, DBSnapshotIdentifier=name, Tags=made["TagList"]
    )
    with pytest.raises(BackupCorrupt, match="is another one than was recorded: time is "):
        rds.verify(depot.workspace, depot.entry(manifest))
    with pytest.raises(Refused, match="nothing is removed, find out who made it"):
        rds.expire(depot.workspace, depot.entry(manifest), why="a test")
    assert len(depot.snapshots(HOME)) == 1
    assert [row.manifest.id for row in depot.listed()] == [manifest.id], "what is refused stays listed"


def test_a_snapshot_without_our_tags_is_not_removed(depot: Rds) -> None:
    manifest = depot.back_up()
    (made,) = depot.snapshots(HOME)
    depot.real[HOME].remove_tags_from_resource(ResourceName=made["DBSnapshotArn"], TagKeys=["lifeboat-source"])
    with pytest.raises(Refused, match="does not carry the tags of depot/"):
        rds.expire(depot.workspace, depot.entry(manifest), why="a test")
    assert len(depot.snapshots(HOME)) == 1


def test_somebody_elses_snapshot_of_our_name_is_left_alone(depot: Rds) -> None:
    run = depot.run("nightly")
    asked = rds.begin(depot.workspace, depot.system, depot.source, depot.system.tier("daily"), run=run)
    depot.real[HOME].create_db_snapshot(
        DBInstanceIdentifier=depot.instance, DBSnapshotIdentifier=asked.identifier, Tags=[{"Key": "team", "Value": "x"}]
    )
    with pytest.raises(Refused, match="nothing is done with it: find out whose it is"):
        depot.back_up(run)
    with pytest.raises(Refused, match="nothing is done with it: find out whose it is"):
        rds.record(depot.workspace, depot.system, depot.source, depot.system.tier("daily"), run=run)
    nothing_counts(depot)


def test_what_a_graph_did_not_copy_is_not_entered(depot: Rds) -> None:
    run, tier = depot.run("graph"), depot.system.tier("daily")
    asked = rds.begin(depot.workspace, depot.system, depot.source, tier, run=run)
    depot.real[HOME].create_db_snapshot(
        DBInstanceIdentifier=depot.instance, DBSnapshotIdentifier=asked.identifier,
        Tags=[{"Key": key, "Value": value} for key, value in asked.tags.items()],
    )  # fmt: skip
    with pytest.raises(SourceError, match="is not in us-west-2, so it is not entered in the catalog"):
        rds.record(depot.workspace, depot.system, depot.source, tier, run=run)
    nothing_counts(depot)


def test_an_encrypted_instance_needs_a_key_in_the_second_region(make_rds: Callable[..., Rds]) -> None:
    depot = make_rds(kms_key=None)
    with pytest.raises(SourceError, match=r"it is encrypted, and 'second.kms_key' names no key of us-west-2"):
        depot.back_up()
    assert depot.snapshots(HOME) == []


def test_a_key_that_is_not_there_is_named(make_rds: Callable[..., Rds]) -> None:
    depot = make_rds(kms_key=f"arn:aws:kms:{HOME}:123456789012:key/11111111-2222-3333-4444-555555555555")
    with pytest.raises(KeyUnavailable, match=r"RDS in us-west-2 .* cannot use the KMS key of rds:CopyDBSnapshot"):
        depot.back_up()
    nothing_counts(depot)


def test_an_unencrypted_instance_is_copied_without_a_key(make_rds: Callable[..., Rds]) -> None:
    depot = make_rds(encrypted=False, kms_key=None)
    manifest = depot.back_up()
    assert manifest.managed is not None
    assert [copy.encrypted for copy in manifest.managed.copies] == [False, False]


def test_a_copy_that_came_out_unencrypted_is_no_backup(make_rds: Callable[..., Rds]) -> None:
    depot = make_rds()
    depot.proxy.rewrite.append((r"(?s)<Encrypted>true(?=.*us-west-2)", "<Encrypted>false"))
    with pytest.raises(SourceError, match=r"is no copy of .*: it is not encrypted"):
        depot.back_up()
    nothing_counts(depot)


def test_no_instance_without_the_scratch_tag_is_ever_removed(depot: Rds) -> None:
    home = place_of(depot.workspace, depot.system, depot.source).home
    with pytest.raises(Refused, match="it is no scratch instance of Lifeboat; it is left alone"):
        scratch.discard(home, depot.instance)
    arn = f"arn:aws:rds:{HOME}:123456789012:db:{depot.instance}"
    copied = [{"Key": "lifeboat-scratch", "Value": "lifeboat-scratch-of-another"}]
    depot.real[HOME].add_tags_to_resource(ResourceName=arn, Tags=copied)
    with pytest.raises(Refused, match="left alone"):
        scratch.discard(home, depot.instance)
    assert depot.instance in depot.instances(HOME)


def test_an_instance_that_came_up_public_is_removed_at_once(depot: Rds) -> None:
    manifest = depot.back_up()
    depot.proxy.rewrite.append(
        (r"<PubliclyAccessible>false</PubliclyAccessible>", "<PubliclyAccessible>true</PubliclyAccessible>")
    )
    with pytest.raises(SourceError, match="came up open to the public, so it was removed at once"):
        rds.restore(depot.workspace, depot.entry(manifest), run=depot.run("drill"), pause=PAUSE)
    # Others drill at the same service meanwhile: what counts is what carries this source's tags.
    assert rds.check_catalog(depot.workspace, depot.system, depot.source).scratch == ()


def test_a_forgotten_scratch_instance_is_named(depot: Rds) -> None:
    manifest = depot.back_up()
    run = depot.run("drill")
    restored = rds.restore(depot.workspace, depot.entry(manifest), run=run, pause=PAUSE)
    seen = rds.check_catalog(depot.workspace, depot.system, depot.source)
    assert [found.identifier for found in seen.scratch] == [restored.identifier]
    rds.discard(depot.workspace, depot.entry(manifest), run=run)
    assert rds.check_catalog(depot.workspace, depot.system, depot.source).scratch == ()


def test_no_secret_is_stored(depot: Rds) -> None:
    depot.back_up()
    store = depot.workspace.store("primary")
    everything = b"".join(store.get(info.key)[0] for info in store.list("depot/"))
    assert b"the secret" not in everything
    assert json.loads(store.get(depot.listed()[0].manifest.prefix + "manifest.json")[0])["manifest"]["parts"] == []
