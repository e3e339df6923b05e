"""Backups of every type to S3 over TLS, and recovery to a time and a point: the row before, not the one after."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from include.recovery.errors import BackupNotFound, LifeboatError, Refused
from include.recovery.pgbackrest.backup import ensure_stanza
from include.recovery.pgbackrest.check import check
from include.recovery.pgbackrest.restore import restore_cluster
from include.recovery.pgbackrest.target import Target
from include.recovery.postgres.scratch_process import wait_until
from tests.integration.pgbackrest.conftest import World, notes

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_archiving_reaches_both_repositories(world: World) -> None:
    assert ensure_stanza(world.tool) is False
    assert check(world.tool).problems == tuple(
        f"stanza shop-main-db: repository {number}: no valid backups; take a full backup" for number in (1, 2)
    )


def test_every_type_of_backup_says_what_it_stands_on(world: World) -> None:
    full = world.back_up("incr", annotations={"run": "run-1"})
    assert full.physical.type == "full"
    assert full.parent is None
    assert "this is a full one" in full.notes[0]
    world.note("between")
    incr, diff = world.back_up("incr"), world.back_up("diff")
    assert (incr.physical.type, diff.physical.type) == ("incr", "diff")
    assert incr.parent == diff.parent == full.physical.label
    assert incr.physical.reference == (full.physical.label,)
    assert full.physical.databases == ("postgres",)
    assert full.physical.system_identifier == world.facts.system_identifier
    assert 0 < full.physical.repository_size < full.physical.database_size
    assert full.compression == "zst-3"
    info = world.tool.info(repository=1)
    assert info.backup(full.physical.label, 1).annotations == {"run": "run-1"}
    assert info.dependants(full.physical.label, 1) == (diff.physical.label, incr.physical.label)
    assert world.tool.info(repository=2).in_repository(2) == ()
    assert world.wal().problems == ()


def test_a_moment_a_point_and_a_position(world: World) -> None:
    before = world.note("before")
    world.sql("SELECT pg_sleep(0.2)")
    world.note("after")
    lsn = world.sql("SELECT pg_create_restore_point('the_point')::text")
    world.note("after the point")
    world.archive_all()

    copy = world.restore(Target.time(before))
    assert "before" in notes(copy)
    assert "after" not in notes(copy)
    assert copy.at is not None
    assert copy.at <= before
    with copy.server.server().connect() as connection:
        assert connection.execute("SHOW archive_mode").fetchone() == ("off",)
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)

    folder = copy.server.directory
    copy.server.halt()
    again = world.restore(Target.point("the_point", lsn=lsn), folder=folder, delta=True)
    assert notes(again)[-1] == "after"

    with pytest.raises(Refused, match="a server runs in the folder"):
        world.restore(Target.newest(), folder=folder, delta=True)
    again.server.stop()

    everything = world.restore(Target.newest())
    assert notes(everything)[-1] == "after the point"
    everything.server.stop()


@pytest.mark.demand("R2")
def test_wal_goes_to_both_regions_by_itself_and_each_alone_leads_to_the_last_row(world: World) -> None:
    """Nobody closes a segment here: the server does, by ``archive_timeout``. What arrives is what it wrote."""
    world.back_up("full", 2)
    world.sql("ALTER SYSTEM SET archive_timeout = '1s'", "SELECT pg_reload_conf()")
    written: dict[str, str] = {}
    for number in range(3):
        world.note(f"copied to both {number}")
        name = world.sql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
        wait_until(lambda name=name: (world.sql("SELECT last_archived_wal FROM pg_stat_archiver") or "") >= name, 60)
        written[name] = hashlib.sha1((world.cluster.data / "pg_wal" / name).read_bytes()).hexdigest()  # noqa: S324
    world.sql("ALTER SYSTEM RESET archive_timeout", "SELECT pg_reload_conf()")
    assert len(written) == 3
    for repository in (1, 2):
        report = world.wal(repository)
        assert report.problems == ()
        held = {segment.name(): [file.sha1 for file in files] for segment, files in report.archive.segments.items()}
        assert {name: held[name] for name in written} == {name: [sha1] for name, sha1 in written.items()}
        copy = world.restore(Target.newest(), repository=repository)
        assert notes(copy)[-3:] == [f"copied to both {number}" for number in range(3)]
        copy.server.stop()


def test_targets_that_nothing_reaches_are_named_before_anything_is_copied(world: World) -> None:
    first = world.tool.info(repository=1).in_repository(1)[0]
    with pytest.raises(BackupNotFound, match="before the end of the first backup"):
        world.choose(Target.time(first.stopped_at - timedelta(seconds=5)))
    with pytest.raises(BackupNotFound, match="after the last archived WAL"):
        world.choose(Target.time(world.now() + timedelta(hours=1)))
    with pytest.raises(BackupNotFound, match="its WAL ends at LSN"):
        world.choose(Target.position("FF/0"))


def test_the_original_is_never_restored_over(world: World) -> None:
    with pytest.raises(Refused, match="is the data directory of the original"):
        restore_cluster(
            world.configuration, world.cluster.directory, Target.newest(), label="latest", repository=1, delta=True
        )


def test_one_database_alone(world: World) -> None:
    for name in ("shop", "other"):
        world.sql(f"CREATE DATABASE {name}")
        with world.server.with_database(name).connect() as connection:
            connection.execute("CREATE TABLE public.here AS SELECT 1 AS n")
    taken = world.back_up("incr")
    assert set(taken.physical.databases) == {"postgres", "shop", "other"}
    world.archive_all()
    copy = world.restore(Target.newest(), databases=["shop"])
    with copy.server.server("shop").connect() as connection:
        assert connection.execute("SELECT n FROM public.here").fetchone() == (1,)
    with pytest.raises(LifeboatError, match="other"):
        copy.server.server("other").connect()
    copy.server.stop()
