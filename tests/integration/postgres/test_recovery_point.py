"""Recovery points under a real write load: how long writers wait, and that a recovered copy is what the point says."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.recovery.catalog.points import LARGE_OBJECTS
from include.recovery.errors import InsufficientRights, SourceError
from include.recovery.postgres import point_attempt, recovery_point
from include.recovery.postgres.heartbeat import beat, measured_loss, read_heartbeat
from include.recovery.postgres.point_attempt import Tries, held_moment
from include.recovery.postgres.point_proof import compare_with_point
from include.recovery.postgres.recovery_point import PointOptions, make_point, point_name
from tests.integration.postgres.archiving_primary import (
    BALANCE,
    ORPHANS,
    TOTAL,
    Primary,
    primary,
    recovered,
    value,
    write_load,
)

__all__ = ["primary"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

def test_a_copy_recovered_to_a_point_made_under_load_is_identical(primary: Primary, tmp_path: Path) -> None:
    with write_load(primary):
        beat(primary.reader)
        first = make_point(primary.reader, "shop", "main-db")
        time.sleep(1)
        beat(primary.reader)
        second = make_point(primary.reader, "shop", "main-db")
        time.sleep(0.5)
    primary.archived()
    assert [first.kind, second.kind] == ["verifiable", "verifiable"], (first.note, second.note)
    for number, (point, other) in enumerate(((first, second), (second, first))):
        with recovered(primary, point, tmp_path / str(number)) as copy:
            found = compare_with_point(point, copy)
            assert found.identical, found.differences
            assert point.fingerprint is not None
            assert found.compared_tables == len(point.fingerprint.tables) == 10
            assert not compare_with_point(other, copy).identical
            named = {entry.object: entry.why for entry in found.not_compared}
            assert {"sequences", "lifeboat.heartbeat", "shop.cache"} <= named.keys()
            assert "unlogged" in named["shop.cache"]
            newest = read_heartbeat(copy)
            assert newest == point.heartbeat
            assert newest is not None
            assert measured_loss(newest, point.at) < 30
            with copy.connect() as connection:
                assert value(connection, BALANCE) == TOTAL
                connection.execute("UPDATE shop.ledger_a SET amount = amount + 1 WHERE id = 1")
                connection.execute("UPDATE shop.ledger_a SET amount = amount - 1 WHERE id = 2")
            (difference,) = compare_with_point(point, copy).differences
            assert difference.object == "shop.ledger_a"


def test_a_copy_that_waits_at_the_point_is_compared_before_it_takes_writes(primary: Primary, tmp_path: Path) -> None:
    point = make_point(primary.reader, "shop", "main-db")
    primary.execute("INSERT INTO shop.ledger_b VALUES (-2, 0)")
    primary.archived()
    with recovered(primary, point, tmp_path, action="pause") as copy:
        found = compare_with_point(point, copy)
    assert found.identical, found.differences


def test_writers_hardly_wait(primary: Primary) -> None:
    with write_load(primary):
        points = [make_point(primary.reader, "shop", "main-db") for _ in range(11)]
    verifiable = [point for point in points if point.kind == "verifiable"]
    assert len(verifiable) >= 9, [point.note for point in points]
    waits = sorted(point.waited_ms for point in verifiable)
    assert statistics.median(waits) < 50, waits


def test_the_snapshot_is_one_moment_of_all_tables(primary: Primary) -> None:
    """Many times, since a snapshot that is older or younger than the locks is wrong only now and then."""
    made = 0
    with write_load(primary):
        for _ in range(25):
            try:
                with held_moment(primary.reader, point_name(), 500, Tries()) as moment:
                    assert value(moment.keeper, BALANCE) == TOTAL
                    assert value(moment.keeper, ORPHANS) == 0
                    made += 1
            except point_attempt.Retry:
                continue
    assert made >= 15


def test_a_snapshot_older_than_the_locks_is_refused(primary: Primary) -> None:
    with primary.reader.connect() as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="in a READ COMMITTED transaction"):
            connection.execute("SELECT lifeboat.recovery_point('lifeboat_x', 200)")


@contextmanager
def held(primary: Primary, statement: str, seconds: float = 60) -> Iterator[Callable[[], None]]:
    """A transaction that does something and stays open, for so long at most; call the result to end it."""
    connection = primary.admin.connect(autocommit=False)
    connection.execute(statement.encode())
    timer = threading.Timer(seconds, connection.commit)
    timer.start()
    try:
        yield connection.commit
    finally:
        timer.cancel()
        timer.join()
        connection.close()


def test_where_a_table_stays_in_use_the_point_has_only_a_heartbeat(primary: Primary, tmp_path: Path) -> None:
    pauses: list[float] = []
    with held(primary, "UPDATE shop.item SET of = of; INSERT INTO shop.ledger_b VALUES (-1, 0)"):
        point = make_point(
            primary.reader, "shop", "main-db", PointOptions(lock_timeout_ms=100, attempts=3), pause=pauses.append
        )
    assert (point.kind, point.attempts, point.fingerprint) == ("heartbeat", 3, None)
    assert point.note is not None
    assert point.note.startswith("only a heartbeat: no moment without writers in 3 attempts: shop.item was in use by")
    assert "a session of postgres" in point.note
    assert len(pauses) == 2
    assert 90 <= point.waited_ms < 1000
    primary.archived()
    with recovered(primary, point, tmp_path, action="pause") as copy:
        found = compare_with_point(point, copy)
        assert not found.identical
        assert found.equal_as_far_as_compared
        assert read_heartbeat(copy) == point.heartbeat
        with pytest.raises(SourceError, match="this server is a standby, .* name the primary"):
            make_point(copy, "shop", "main-db")
        with pytest.raises(SourceError, match="this server takes no writes .* name the primary"):
            beat(copy)


def test_the_next_attempt_succeeds_once_the_table_is_free(primary: Primary) -> None:
    with held(primary, "DELETE FROM shop.item WHERE false") as end:
        point = make_point(
            primary.reader, "shop", "main-db", PointOptions(lock_timeout_ms=100), pause=lambda _seconds: end()
        )
    assert (point.kind, point.attempts) == ("verifiable", 2)
    assert point.note is not None
    assert "shop.item was in use" in point.note


def test_all_waits_share_one_budget(primary: Primary) -> None:
    """Writers of the first table wait as long as we wait for the last."""
    touch = "DELETE FROM {} WHERE false".format
    with held(primary, touch("shop.item"), 0.3), held(primary, touch("shop.z_events")):
        tries = Tries()
        with pytest.raises(point_attempt.Retry), held_moment(primary.reader, point_name(), 400, tries):
            pass
    assert tries.waited_ms < 700


def test_a_caller_that_goes_quiet_does_not_keep_writers_out(primary: Primary) -> None:
    with primary.reader.connect() as quiet:
        quiet.execute("BEGIN")
        quiet.execute("SELECT lifeboat.recovery_point('lifeboat_quiet', 500)")
        began = time.monotonic()
        primary.execute("UPDATE shop.ledger_a SET amount = amount WHERE id = 1")
        assert time.monotonic() - began < 5
        with pytest.raises(psycopg.Error, match="idle-in-transaction timeout"):
            quiet.execute("SELECT 1")


def test_a_table_made_meanwhile_is_noticed(primary: Primary, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, made = point_attempt._lock_weakly, []

    def late(keeper: Any, names: Any) -> None:
        lock(keeper, names)
        if not made:
            made.append(primary.execute("CREATE TABLE public.newcomer AS SELECT 1 AS a"))

    monkeypatch.setattr(point_attempt, "_lock_weakly", late)
    try:
        point = make_point(primary.reader, "shop", "main-db", pause=lambda _seconds: None)
    finally:
        primary.execute("DROP TABLE public.newcomer")
    assert (point.kind, point.attempts) == ("verifiable", 2)
    assert point.fingerprint is not None
    assert "public.newcomer" in point.fingerprint.tables


def test_large_objects_that_may_be_changing_are_named_as_not_compared(
    primary: Primary, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = make_point(primary.reader, "shop", "main-db")
    assert quiet.fingerprint is not None
    assert quiet.fingerprint.large_objects is not None
    monkeypatch.setattr(recovery_point, "_IN_FLIGHT_WAIT", 0.3)
    with held(primary, "SELECT lo_put(min(oid), 0, 'L') FROM pg_largeobject_metadata"):
        point = make_point(primary.reader, "shop", "main-db")
    assert point.fingerprint is not None
    assert point.fingerprint.large_objects is None
    assert LARGE_OBJECTS in {entry.object for entry in point.not_compared}


def test_a_lock_timeout_at_which_applications_would_be_ended_is_refused(primary: Primary) -> None:
    with pytest.raises(SourceError, match=r"1000 ms is not below .* deadlock_timeout of 1s; set restore_points"):
        make_point(primary.reader, "shop", "main-db", PointOptions(lock_timeout_ms=1000))


def test_without_rights_there_is_one_sentence(primary: Primary) -> None:
    primary.execute("DROP ROLE IF EXISTS nobody", "CREATE ROLE nobody LOGIN PASSWORD 'n' IN ROLE pg_read_all_data")
    nobody = replace(primary.admin, user="nobody", password="n")
    for call in (lambda: make_point(nobody, "shop", "main-db"), lambda: beat(nobody)):
        with pytest.raises(InsufficientRights, match="run `lifeboat prepare` for this database") as caught:
            call()
        assert "\n" not in str(caught.value)
    with pytest.raises(InsufficientRights, match=r"there is no lifeboat\.recovery_point\(\) in this database"):
        make_point(primary.admin.with_database("postgres"), "shop", "main-db")


def test_the_backup_role_changes_nothing_but_the_heartbeat(primary: Primary) -> None:
    with primary.reader.connect() as connection:
        for statement in (
            "UPDATE lifeboat.heartbeat SET beat = 0", "DELETE FROM shop.item",
            "DO $$ BEGIN LOCK TABLE shop.item IN SHARE MODE; END $$", "SELECT pg_create_restore_point('mine')",
            "SET ROLE lifeboat_functions", "DROP FUNCTION lifeboat.beat()",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        for name in ("x'; DROP TABLE shop.item; --", "daily", "lifeboat_" + "x" * 60):
            with pytest.raises(psycopg.errors.InvalidParameterValue, match="is no name of a recovery point"):
                connection.execute("SELECT lifeboat.recovery_point(%s, 0)", (name,))
    assert beat(primary.reader).beat + 1 == beat(primary.reader).beat
