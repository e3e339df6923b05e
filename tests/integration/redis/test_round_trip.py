"""Fill, back up, damage, restore, compare: everything that a Redis can hold."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from include.recovery.catalog.model import ProofLevel
from include.recovery.content import scratch_server
from include.recovery.content.port import Selection
from include.recovery.errors import CopyLost
from include.recovery.evidence.model import Outcome
from include.recovery.redis.connect import Link
from include.recovery.redis.scratch import EXPIRES
from tests.fixtures.content import ContentPlace
from tests.integration.redis.conftest import Live, place_of, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
LIBRARY = "#!lua name=todo\nredis.register_function('twice', function(keys, args) return args[1] * 2 end)"


def fill(live: Live) -> None:
    """State and actors as Dapr keeps them, and a key of every type: small, large, binary, with and without expiry."""
    with live.client() as db:
        for number in range(300):
            db.hset(f"todo||task-{number}", mapping={"data": json.dumps({"n": number}), "version": "1"})
            db.hset(f"todo||Actor||{number}||snapshot", mapping={"data": os.urandom(30), "version": number})
        db.set("text", "ü" * 100)
        db.set(b"\x00\xff\nbinary/key", b"\xff\xfe")
        db.set("large text", os.urandom(3_000_000))
        db.set("empty", "")
        db.set("session", "s", px=3_600_000)
        db.setbit("bits", 100, 1)
        db.pfadd("visitors", *range(500))
        db.rpush("list", *range(20))
        db.rpush("long list", *(f"element {number}" * 4 for number in range(5000)))
        db.sadd("numbers", *range(100))
        db.sadd("set", *(f"member {number}" for number in range(50)))
        db.sadd("large set", *(f"member {number}" for number in range(5000)))
        db.hset("large hash", mapping={f"field {number}": number for number in range(5000)})
        db.zadd("scores", {"a": 1.5, "b": float("inf"), "c": -0.1, "d": 1e300})
        db.zadd("large scores", {f"member {number}": number / 7 for number in range(5000)})
        for number in range(20):
            db.xadd("stream", {"n": number, "what": "x"}, id=f"{number + 1}-1")
        db.xgroup_create("stream", "workers", id="0")
        db.xreadgroup("workers", "one", {"stream": ">"}, count=5)
        db.xack("stream", "workers", "1-1")
        db.xdel("stream", "3-1")
        db.geoadd("places", (13.4, 52.5, "berlin"))
        db.function_load(LIBRARY)
    with live.client(7) as db:
        db.set("elsewhere", "in database 7")
        db.set("elsewhere for a while", "x", ex=1000)


@pytest.mark.demand("D5")
def test_every_key_comes_back(live: Live, content_place: Callable[..., ContentPlace]) -> None:
    place = place_of(live, content_place, questions=[
        {"name": "actors have snapshots", "keys": "todo||Actor||*", "at_least": 300},
        {"name": "database 7 has two keys", "keys": "*", "database": 7, "expect": 2},
        {"name": "there is a lock", "keys": "lock", "expect": 1},
    ])  # fmt: skip
    fill(live)
    assert "can be copied" in place.verbs.precheck(place.workspace, place.system, place.source)
    backup = place.back_up()
    content = backup.manifest.content
    assert content is not None
    with live.client() as zero, live.client(7) as seven:
        assert content.items == zero.dbsize() + seven.dbsize() + 1  # and a library of functions
        zero.delete("text", "stream", "todo||task-3")
        zero.hset("todo||task-4", "version", 2)
        zero.function_flush()
        seven.delete("elsewhere")
    left_out = " ".join(each.what for each in backup.manifest.left_out)
    assert "cached scripts" in left_out
    assert "access control list" in left_out
    folder = place.copy(backup)
    found = place.compare(backup, folder)
    assert found.identical, found.differences
    assert place.again(backup.manifest.id).level is ProofLevel.IDENTICAL
    assert {"pending entries of streams: time of the last delivery"} < {each.object for each in found.not_compared}

    checks = place.verbs.validate(place.workspace, backup, folder)
    assert [check.outcome for check in checks] == [Outcome.PASSED, Outcome.PASSED, Outcome.FAILED]
    place.verbs.discard(folder)
    assert not folder.exists()


@pytest.mark.demand("D5")
def test_keys_that_expired_since_are_still_compared(live: Live, place: ContentPlace) -> None:
    with live.client() as db:
        db.set("soon", "x", px=1200)
        db.set("later", "y", px=60_000)
        db.set("never", "z")
    backup = place.back_up()
    with live.client() as db:
        until(lambda: db.get("soon") is None)
    folder = place.copy(backup)
    time.sleep(0.3)  # more than the tenth of a second after which a server looks for what has expired
    assert place.compare(backup, folder).identical
    with Link.local(scratch_server.running(folder).address) as copy:
        assert copy.call("GET", "soon") == b"x"
        assert copy.call("HLEN", EXPIRES) == 2
        copy.call("HINCRBY", EXPIRES, "later", 1)
    found = place.compare(backup, folder)
    assert [each.object for each in found.differences] == ["db0/later"]


def test_a_copy_that_was_changed_is_told_by_key(live: Live, place: ContentPlace) -> None:
    fill(live)
    backup = place.back_up()
    folder = place.copy(backup)
    with Link.local(scratch_server.running(folder).address) as copy:
        copy.call("DEL", "text", "todo||task-3")
        copy.call("SET", "new", "x")
        copy.call("LSET", "long list", 4000, "y")
        copy.call("SREM", "large set", "member 77")
        copy.call("HSET", "large hash", "field 9", "8")
        copy.call("ZADD", "large scores", "7.000001", "member 49")
        copy.call("SETRANGE", "large text", 2_000_000, b"\x00\x01\x02")
        copy.call("RENAME", "numbers", "number")
        copy.call("XACK", "stream", "workers", "2-1")
        copy.call("FUNCTION", "DELETE", "todo")
    found = place.compare(backup, folder)
    assert {(each.object, each.kind) for each in found.differences} == {
        ("db0/text", "missing"), ("db0/todo||task-3", "missing"), ("db0/new", "unexpected"),
        ("db0/long list", "content"), ("db0/large set", "content"), ("db0/large hash", "content"),
        ("db0/large scores", "content"), ("db0/large text", "content"), ("db0/numbers", "missing"),
        ("db0/number", "unexpected"), ("db0/stream", "content"), ("functions/todo", "missing"),
    }  # fmt: skip


def test_a_backup_is_of_one_moment_whatever_is_written_meanwhile(live: Live, place: ContentPlace) -> None:
    stop = threading.Event()
    fill(live)

    def write() -> None:
        with live.client() as one, one.pipeline(transaction=True) as both:
            while not stop.is_set():
                both.incr("left").incr("right")
                both.execute()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with live.client() as db:
            until(lambda: int(db.get("left") or 0) > 50)
        backup = place.back_up()
    finally:
        stop.set()
        writer.join()
    folder = place.copy(backup)
    assert place.compare(backup, folder).identical
    with Link.local(scratch_server.running(folder).address) as copy:
        assert copy.call("GET", "left") == copy.call("GET", "right")


def test_some_keys_can_be_compared_alone(live: Live, place: ContentPlace) -> None:
    fill(live)
    backup = place.back_up()
    only = Selection(("db0/todo||Actor||", "db7/"))
    found = place.compare(backup, place.copy(backup, only), only)
    assert found.identical
    assert found.compared_rows == 302


def test_what_did_not_change_needs_no_new_backup(live: Live, place: ContentPlace) -> None:
    fill(live)
    backup = place.back_up()
    same: Any = place.verbs.unchanged(place.workspace, place.system, place.source)
    assert same.backup.manifest.id == backup.manifest.id
    with live.client() as db:
        db.pexpire("session", 1_800_000)
    assert place.verbs.unchanged(place.workspace, place.system, place.source) is None


def test_a_copy_whose_server_died_is_lost_not_different(live: Live, place: ContentPlace) -> None:
    backup = place.back_up()
    folder = place.copy(backup)
    scratch_server.end(scratch_server.running(folder))
    with pytest.raises(CopyLost, match="restore the backup again"):
        place.compare(backup, folder)
