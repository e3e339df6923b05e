"""What goes wrong with a Redis backup, and that each is red for its own reason."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from include.recovery.content import scratch_server
from include.recovery.errors import (
    InsufficientRights,
    LifeboatError,
    PartDamaged,
    PartMissing,
    SourceError,
    SourceUnavailable,
    WrongKey,
)
from include.recovery.parts.progress import NO_PROGRESS
from include.recovery.redis import scratch
from include.recovery.sources.run_info import RunInfo
from tests.fixtures.content import ContentPlace
from tests.fixtures.sabotage import Meanwhile, flip, other_keyring, truncate, volume_of
from tests.integration.redis.conftest import PASSWORD, Live, place_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
RUN = RunInfo(run_id="run-1", started_by="a test")


@pytest.mark.parametrize(("spoil", "error"), [(flip, PartDamaged), (truncate, PartDamaged), (Path.unlink, PartMissing)])
def test_an_rdb_that_is_damaged_or_gone(
    live: Live, place: ContentPlace, spoil: Callable[[Path], None], error: type[Exception]
) -> None:
    with live.client() as db:
        db.set("text", os.urandom(1000))
    backup = place.back_up()
    spoil(volume_of(place, backup, "rdb"))
    with pytest.raises(error, match="rdb"):
        place.verbs.verify(place.workspace, backup)
    with pytest.raises(error, match="rdb"):
        place.copy(backup)
    assert place.again(backup.manifest.id).damaged


def test_the_wrong_key(live: Live, place: ContentPlace) -> None:
    backup = place.back_up()
    place.workspace.ring = other_keyring()
    with pytest.raises(WrongKey):
        place.copy(backup)


@pytest.mark.parametrize("spoil", [flip, truncate])
def test_an_rdb_that_was_damaged_before_it_was_stored(
    live: Live, place: ContentPlace, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """The server that measures it refuses it, by Redis's own checksum."""
    with live.client() as db:
        db.set("text", os.urandom(10_000))
    backup = place.back_up()
    folder = tmp_path / "by-hand"
    folder.mkdir()
    rdb = scratch.place_for_rdb(folder)
    with (
        place.verbs._stored(place.workspace, backup, "primary", None, NO_PROGRESS) as stored,
        stored.open("rdb") as stream,
    ):
        rdb.write_bytes(stream.read())
    with scratch.running(folder):
        pass
    spoil(rdb)
    with pytest.raises(LifeboatError, match="redis-server did not start"), scratch.running(folder):
        pass


def test_a_server_that_goes_in_the_middle(
    start: Callable[..., Live], tmp_path: Path, content_place: Callable[..., ContentPlace]
) -> None:
    live = start("rdb-key-save-delay 50", "rdbcompression no")
    place = place_of(live, content_place)
    with live.client() as db, db.pipeline(transaction=False) as pipe:
        for number in range(20_000):
            pipe.set(f"key {number}", os.urandom(1000))
        pipe.execute()
    gone = Meanwhile(lambda: os.kill(live.server.pid, signal.SIGKILL), part="rdb", after=2_000_000)
    with pytest.raises(SourceUnavailable, match="went away") as caught:
        place.verbs.backup(place.workspace, place.system, place.source, None, run=RUN, progress=gone)
    assert gone.done
    assert "depot/state" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert place.backups() == []
    assert [path for path in (tmp_path / "primary").rglob("*") if "parts" in path.parts and path.is_file()] == []


@pytest.mark.parametrize("connection", ["state_nosy", "state_wrong"])
def test_a_login_that_may_not_copy(live: Live, content_place: Callable[..., ContentPlace], connection: str) -> None:
    place = place_of(live, content_place, connection=connection)
    for attempt in (lambda: place.verbs.precheck(place.workspace, place.system, place.source), place.back_up):
        with pytest.raises(InsufficientRights, match=r"depot/state: the Redis login may not") as caught:
            attempt()
        assert "secret" not in str(caught.value)
    assert place.backups() == []


def test_a_node_of_a_cluster_is_refused(start: Callable[..., Live], content_place: Callable[..., ContentPlace]) -> None:
    live = start("cluster-enabled yes")
    with pytest.raises(SourceError, match="holds only some of its keys"):
        place_of(live, content_place).back_up()


def test_a_server_that_is_not_there(content_place: Callable[..., ContentPlace]) -> None:
    place = content_place(
        {"kind": "redis", "connection": "state"},
        connections={"state": {"host": "127.0.0.1", "port": scratch_server.free_port(), "password": PASSWORD}},
    )
    with pytest.raises(SourceUnavailable, match="cannot be reached") as caught:
        place.back_up()
    assert PASSWORD not in str(caught.value)


def test_no_scratch_server_stays_behind_when_measuring_fails(live: Live, place: ContentPlace) -> None:
    with live.client() as db:
        for number in range(100):
            db.set(f"key {number}", "x")
    items = place.impl.live_items(place.site)
    next(items)
    (inside,) = _servers_of_ours(live)
    items.close()  # whoever asked has failed
    assert inside not in _servers_of_ours(live)


def _servers_of_ours(live: Live) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"redis-server" in (entry / "cmdline").read_bytes():
                status = (entry / "status").read_text()
                if f"PPid:\t{os.getpid()}\n" in status and "State:\tZ" not in status:
                    found.add(int(entry.name))
        except OSError:
            continue
    return found - {live.server.pid}
