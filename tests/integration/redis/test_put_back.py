"""Putting back on the live server: only what differs, behind a backup of what is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from include.recovery.content import scratch_server
from include.recovery.content.model import Item
from include.recovery.content.port import Selection
from include.recovery.errors import Refused
from include.recovery.parts.progress import NO_PROGRESS
from include.recovery.redis.put_back import Work
from tests.fixtures.content import ContentPlace
from tests.integration.redis.conftest import Live, place_of
from tests.integration.redis.test_round_trip import fill

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def _damage(live: Live) -> None:
    with live.client() as db:
        db.delete("list", "large set")
        db.hset("todo||task-4", "version", 2)
        db.set("text", "another", ex=500)
        db.persist("session")
        db.set("new", "x")
        db.function_delete("todo")
    with live.client(7) as db:
        db.delete("elsewhere")
        db.set("new too", "y")


DAMAGED = {
    "db0/list": "missing", "db0/large set": "missing", "db0/todo||task-4": "content", "db0/text": "content",
    "db0/session": "content", "db0/new": "unexpected", "functions/todo": "missing", "db7/elsewhere": "missing",
    "db7/new too": "unexpected",
}  # fmt: skip


def test_the_server_holds_the_backup_again_and_there_is_a_way_back(live: Live, place: ContentPlace) -> None:
    fill(live)
    backup = place.back_up()
    _damage(live)
    assert {each.name: each.how for each in place.verbs.preview(place.workspace, backup)} == DAMAGED
    with live.client() as db:
        before = db.info("stats")["total_commands_processed"]

    done = place.verbs.put_back(place.workspace, backup, leave="depot/state")
    assert done.changed == len(DAMAGED)
    assert [*place.verbs.preview(place.workspace, backup)] == []
    with live.client() as db:
        assert 0 < db.pttl("session") <= 3_600_000
        assert db.get("lifeboat:probe") is None
        assert db.info("commandstats").get("cmdstat_flushall") is None
        assert db.info("commandstats").get("cmdstat_flushdb") is None
        assert db.info("stats")["total_commands_processed"] - before < 500  # what is equal was left alone

    (kept,) = (each for each in place.backups() if each.manifest.id != backup.manifest.id)
    assert kept.manifest.hold
    assert kept.manifest.id in done.aside
    place.verbs.put_back(place.workspace, place.again(kept.manifest.id), leave="depot/state")
    assert {each.name: each.how for each in place.verbs.preview(place.workspace, backup)} == DAMAGED


def test_some_keys_alone(live: Live, place: ContentPlace) -> None:
    fill(live)
    backup = place.back_up()
    _damage(live)
    only = Selection(("db0/todo||", "db7/"))
    done = place.verbs.put_back(place.workspace, backup, leave="depot/state", only=only)
    assert done.changed == 3
    left = {each.name for each in place.verbs.preview(place.workspace, backup)}
    assert left == {name for name in DAMAGED if not only.wants(name)}


def test_what_has_expired_since_is_not_put_back(live: Live, place: ContentPlace) -> None:
    with live.client() as db:
        db.set("soon", "x", px=300)
        db.set("text", "x")
        backup = place.back_up()
        time.sleep(0.4)
        db.delete("text")
        done = place.verbs.put_back(place.workspace, backup, leave="depot/state")
        assert done.changed == 1
        assert done.notes == ("1 keys of the backup have expired since and were not put back",)
        assert db.keys() == [b"text"]


def test_a_key_that_is_written_meanwhile_is_left_alone(live: Live, place: ContentPlace) -> None:
    """The write comes after the present state was kept: it is in no backup, so it must not be lost."""
    with live.client() as db:
        db.mset({"one": "1", "two": "2", "three": "3"})
        backup = place.back_up()
        db.mset({"one": "a", "two": "b", "three": "c"})
        present = place.back_up()
        folder = place.copy(backup)
        work = Work(
            place.workspace.connections("state_restore"), scratch_server.running(folder).address, "depot/state",
            lambda: int(time.time() * 1000),
        )  # fmt: skip

        def items(which: str) -> Iterator[Item]:
            one = place.again(which)
            with place.verbs._stored(place.workspace, one, "primary", None, NO_PROGRESS) as stored:
                yield from stored.items()

        db.set("two", "written meanwhile")
        work.carry_out(items(backup.manifest.id), items(present.manifest.id))
        assert db.mget("one", "two", "three") == [b"1", b"written meanwhile", b"3"]
        assert (work.changed, work.written) == (2, ["db0/two"])


def test_without_a_login_that_may_write_nothing_is_touched(
    live: Live, content_place: Callable[..., ContentPlace]
) -> None:
    place = place_of(live, content_place, restore_connection=None)
    fill(live)
    backup = place.back_up()
    _damage(live)
    with pytest.raises(Refused, match="names no 'restore_connection'"):
        place.verbs.put_back(place.workspace, backup, leave="depot/state")
    assert {each.name for each in place.verbs.preview(place.workspace, backup)} == set(DAMAGED)
