"""A whole cluster is replaced in its own place: rows until the last archived WAL, the old one kept, a way back."""

from __future__ import annotations

import os
import pickle
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.lab.postgres import SUPERUSER
from include.recovery.connections import ConnectionInfo
from include.recovery.errors import BackupCorrupt, LeaseHeld, NotIdentical, Refused, SourceUnavailable
from include.recovery.pgbackrest.configuration import S3Repository
from include.recovery.pgbackrest.target import Target
from include.recovery.postgres.point_proof import compare_with_point
from include.recovery.postgres.prepare import prepare
from include.recovery.postgres.recovery_point import make_point
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.replacement.checks import check_archiving, check_in_service
from include.recovery.replacement.control import ServerControl
from include.recovery.replacement.found import find_cluster
from include.recovery.replacement.place import Place
from include.recovery.replacement.restore import Origin, open_privately, ready, restore_beside
from include.recovery.replacement.service import changed_settings, enter_service, put_back
from tests.fixtures.servers import ObjectStores
from tests.fixtures.shared import SharedServers
from tests.integration.pgbackrest.conftest import World, make_world, wal_file

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def control_of(world: World) -> ServerControl:
    return ServerControl.from_connection(ConnectionInfo("shop_cluster", extra=world.cluster.control))


def origin_of(world: World, target: Target | None = None) -> Origin:
    wish, facts = target or Target.newest(), world.tool.info(repository=1)
    choice = world.choose(wish)
    return Origin(
        world.configuration, 1, choice.backup.label, wish,
        system_identifier=facts.system_identifier(choice.backup.database_id, 1), size=choice.backup.size, major=15,
        superuser=SUPERUSER, at_least=choice.reach.last,
    )


def texts(world: World) -> list[str]:
    with world.server.connect() as connection:
        return [row[0] for row in connection.execute("SELECT text FROM public.notes ORDER BY id")]


def lived_in(world: World) -> None:
    """A backup and a row after it that only the archived WAL has."""
    prepare(world.server, backup_password="b", restore_password="r")
    world.note("in the backup")
    world.back_up()
    world.note("only in the archive")
    world.archive_all()


def damage(world: World) -> None:
    """What a broken disk leaves: no control file, a table's pages gone; the server has noticed."""
    os.kill(int((world.cluster.data / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
    end = time.monotonic() + 20
    while control_of(world).processes() and time.monotonic() < end:
        time.sleep(0.1)
    (world.cluster.data / "global" / "pg_control").unlink()
    shutil.rmtree(world.cluster.data / "base")


@pytest.fixture
def s3_world(shared_servers: SharedServers, object_stores: ObjectStores) -> Iterator[World]:
    """Archiving to S3 over TLS, for the way from the disaster to the new timeline."""
    repository = S3Repository.from_connection(
        1, object_stores.primary.bucket, object_stores.connections["primary"], cipher_pass="a pass",
        path=f"/repository-{secrets.token_hex(3)}",
    )
    world = make_world(shared_servers.registry, [repository])
    with world.ends:
        yield world


@pytest.mark.demand("R6")
def test_a_destroyed_cluster_is_back_in_its_place_and_archives_on(s3_world: World) -> None:
    world = s3_world
    lived_in(world)
    damage(world)
    control, planned_at = control_of(world), datetime.now(UTC)
    facts = find_cluster(control, world.server, now=planned_at)
    assert (facts.exists, facts.running, facts.answers) == (True, False, False)
    assert facts.system_identifier == ""
    assert "cannot be read" in facts.in_words()
    place, origin = Place.of(control.data, planned_at), origin_of(world)

    assert control.stop() is False
    copy = restore_beside(place, origin)
    with open_privately(place).connect() as connection:
        assert connection.execute("SHOW archive_command").fetchone() == ("",)
        assert connection.execute("SELECT count(*) FROM public.notes").fetchone() == (2,)
    before = world.tool.info(repository=1).archive(1)
    assert before is not None
    assert before.last is not None
    assert before.last.startswith("00000001"), "nothing is archived on the new timeline before it is in service"

    enter_service(place, control, world.server, expected=facts.directory_id)
    cluster = check_in_service(place, world.server, system_identifier=origin.system_identifier)
    assert cluster.archive_command
    arrived = check_archiving(world.tool, (1,), timeline=copy.timeline)
    assert copy.timeline == 2
    assert arrived[1].startswith("00000002")
    assert world.wal().problems == ()
    assert texts(world) == ["in the backup", "only in the archive"]

    # The old one is kept as it was, with what was wrong with it; the new one keeps no trace of its recovery.
    assert place.kept == place.aside
    assert not (place.aside / "base").exists()
    assert "restore_command" not in (place.data / "postgresql.auto.conf").read_text()
    assert not (place.work / "pgbackrest").exists()
    assert changed_settings(place) == ()

    # The lab's record has the new server, and everything is protected again.
    assert world.cluster.registry.alive(world.cluster.name)
    world.note("after the recovery")
    assert world.back_up("incr").physical.timeline == 2
    enter_service(place, control, world.server, expected=facts.directory_id)
    with pytest.raises(Refused, match="is in service"):
        put_back(place, control, world.server)


def test_a_running_cluster_goes_back_to_a_point_row_by_row(small_world: World) -> None:
    world = small_world
    lived_in(world)
    point = make_point(world.server, "shop", "main-db")
    world.note("a mistake")
    world.archive_all()
    control = control_of(world)
    facts = find_cluster(control, world.server, now=datetime.now(UTC))
    assert facts.system_identifier == world.facts.system_identifier
    assert facts.answers
    assert facts.databases == ("postgres",)
    place = Place.of(control.data, facts.taken_at)
    target = Target.point(point.name, lsn=point.lsn, at=point.at)
    assert control.stop() is True
    restore_beside(place, origin_of(world, target))
    assert compare_with_point(point, open_privately(place)).identical
    enter_service(place, control, world.server, expected=facts.directory_id)
    assert texts(world) == ["in the backup", "only in the archive"]
    with pytest.raises(NotIdentical, match="its system identifier is"):
        check_in_service(place, world.server, system_identifier="1")


def test_nothing_is_exchanged_under_a_running_server_or_for_another_directory(small_world: World) -> None:
    world = small_world
    lived_in(world)
    control = control_of(world)
    facts = find_cluster(control, world.server, now=datetime.now(UTC))
    place = Place.of(control.data, facts.taken_at)
    restore_beside(place, origin_of(world))
    with pytest.raises(Refused, match="a server still works in"):
        enter_service(place, control, world.server, expected=facts.directory_id)
    assert texts(world)
    control.stop()
    with pytest.raises(Refused, match="another directory than the one that was approved"):
        enter_service(place, control, world.server, expected="12345")
    with place.locked(), pytest.raises(LeaseHeld, match="another process is replacing"):
        enter_service(place, control, world.server, expected=facts.directory_id)

    # The way back: the old cluster was never moved, and serves again.
    assert "was never moved" in put_back(place, control, world.server)
    assert texts(world) == ["in the backup", "only in the archive"]


def test_a_server_that_does_not_start_gives_the_old_one_its_place_back(small_world: World) -> None:
    world = small_world
    lived_in(world)
    control = control_of(world)
    facts = find_cluster(control, world.server, now=datetime.now(UTC))
    place = Place.of(control.data, facts.taken_at)
    control.stop()
    restore_beside(place, origin_of(world))
    broken = ServerControl(control.connection, control.data, control.stop_command, ("/bin/false",))
    with pytest.raises(Exception, match="does not start: the command"):
        enter_service(place, broken, world.server, expected=facts.directory_id)
    assert place.in_place
    assert "is the old cluster again" in put_back(place, control, world.server)
    assert find_cluster(control, world.server, now=datetime.now(UTC)).directory_id == facts.directory_id
    archive = world.tool.info(repository=1).archive(1)
    assert archive is not None
    assert archive.last is not None
    assert archive.last.startswith("00000001")


def test_wal_that_cannot_be_fetched_stops_it_before_anything_is_exchanged(small_world: World) -> None:
    world = small_world
    lived_in(world)
    origin = origin_of(world)
    wal_file(world, world.archive_all()).unlink()
    segment = world.wal().archive.newest
    assert segment is not None
    control = control_of(world)
    place = Place.of(control.data, datetime.now(UTC))
    with pytest.raises(BackupCorrupt, match="could not be fetched"):
        restore_beside(place, Origin(**{**origin.__dict__, "at_least": segment.__class__(1, segment.number + 5)}))
    assert ready(place) is None
    with pytest.raises(SourceUnavailable, match="is not there yet"):
        open_privately(place)
    assert texts(world)


_RESTORE = """
import pickle, sys
from include.recovery.replacement.restore import restore_beside
restore_beside(*pickle.loads(bytes.fromhex(sys.argv[1])))
"""


@pytest.mark.parametrize("moment", ["copying", "recovering"])
def test_a_killed_restore_goes_on(small_world: World, moment: str) -> None:
    world = small_world
    lived_in(world)
    damage(world)
    control = control_of(world)
    facts = find_cluster(control, world.server, now=datetime.now(UTC))
    place, origin = Place.of(control.data, facts.taken_at), origin_of(world)
    words = pickle.dumps((place, origin)).hex()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([sys.executable, "-c", _RESTORE, words], env=env)
    awaited = place.new / ("base" if moment == "copying" else "postmaster.pid")
    end = time.monotonic() + 60
    while not awaited.exists() and time.monotonic() < end:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert ready(place) is None
    copy = restore_beside(place, origin)
    assert copy.timeline == 2
    enter_service(place, control, world.server, expected=facts.directory_id)
    assert texts(world) == ["in the backup", "only in the archive"]


def test_a_killed_exchange_goes_on(small_world: World) -> None:
    world = small_world
    lived_in(world)
    control = control_of(world)
    facts = find_cluster(control, world.server, now=datetime.now(UTC))
    place = Place.of(control.data, facts.taken_at)
    control.stop()
    restore_beside(place, origin_of(world))
    ScratchServer.end(place.work)
    # Killed between the two renames: nothing is at the cluster's place.
    place.data.rename(place.aside)
    assert not find_cluster(control, world.server, now=datetime.now(UTC)).exists
    enter_service(place, control, world.server, expected=facts.directory_id)
    assert texts(world) == ["in the backup", "only in the archive"]
    assert place.kept == place.aside
