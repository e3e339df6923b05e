"""Backups of every type to S3 over TLS, and recovery to a time and a point: the row before, not the one after."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.recovery.errors import BackupNotFound, LifeboatError, Refused
from include.recovery.pgbackrest.backup import ensure_stanza
from include.recovery.pgbackrest.check import check
from include.recovery.pgbackrest.restore import restore_cluster
from include.recovery.pgbackrest.target import Target
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


def test_the_second_region_is_enough(world: World) -> None:
    world.back_up("full", 2)
    world.note("in the second region")
    world.archive_all()
    copy = world.restore(Target.newest(), repository=2)
    assert notes(copy)[-1] == "in the second region"
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
