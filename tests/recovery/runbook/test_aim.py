"""What people type becomes one recovery target, or one sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.recovery.catalog.points import RecoveryPoint, RecoveryPoints
from include.recovery.errors import BackupNotFound
from include.recovery.fingerprint.model import DatabaseFingerprint
from include.recovery.runbook.aim import Aim, aim
from include.recovery.stores.folder import FolderStore

NOW = datetime(2026, 11, 21, 15, tzinfo=UTC)
EMPTY = DatabaseFingerprint(
    server_version="15", tables={}, definitions={}, sequences={}, large_objects=None, roles=None, grants=None,
    extensions={},
)  # fmt: skip


def point(minutes_ago: int, *, verifiable: bool = True) -> RecoveryPoint:
    return RecoveryPoint(
        system="shop", source="main-db", name=f"lifeboat_{minutes_ago}",
        kind="verifiable" if verifiable else "heartbeat", at=NOW - timedelta(minutes=minutes_ago),
        lsn=f"0/{100 - minutes_ago:X}000100", timeline=1,
        system_identifier="1", waited_ms=1, attempts=1, fingerprint=EMPTY if verifiable else None,
    )  # fmt: skip


@pytest.fixture
def aimed(tmp_path: Path):
    points = RecoveryPoints(FolderStore("primary", tmp_path))
    for each in (point(5, verifiable=False), point(10), point(20)):
        points.record(each)

    def make(wish: str, zone: str = "Europe/Berlin") -> Aim:
        return aim(points, "shop", "main-db", wish, zone=zone, now=NOW)

    return make


@pytest.mark.demand("L15")
@pytest.mark.parametrize(
    ("wish", "at"),
    [
        ("2026-11-21 14:03:07", "2026-11-21T13:03:07+00:00"),
        ("  2026-11-21   14:03:07.25 ", "2026-11-21T13:03:07.250000+00:00"),
        ("2026-11-21T14:03:07Z", "2026-11-21T14:03:07+00:00"),
        ("2026-11-21T14:03:07-05:00", "2026-11-21T19:03:07+00:00"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00+00:00"),
    ],
)
def test_a_second_is_in_the_systems_time_zone_unless_it_says_its_own(aimed, wish: str, at: str) -> None:
    found = aimed(wish)
    assert found.point is None
    assert found.target.at is not None
    assert found.target.at.astimezone(UTC).isoformat() == at


def test_points_by_wish_and_by_name_know_their_place(aimed) -> None:
    for wish, name in (
        ("newest point", "lifeboat_10"),
        ("newest point before 2026-11-21T14:45:00Z", "lifeboat_20"),
        ("lifeboat_5", "lifeboat_5"),
        ("name:lifeboat_20", "lifeboat_20"),
    ):
        found = aimed(wish)
        assert found.point is not None
        assert (found.target.kind, found.target.value, found.point.name) == ("name", name, name)
        assert (found.target.at, found.target.lsn) == (found.point.at, found.point.lsn)


def test_a_position_and_all_there_is(aimed) -> None:
    assert (aimed("lsn:0/3000028").target.kind, aimed("lsn:0/3000028").target.lsn) == ("lsn", "0/3000028")
    assert aimed("newest").target.kind == "newest"


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("yesterday at noon", "recovery target 'yesterday at noon' is malformed; allowed are a time such as"),
        ("2026-11-21", "is a day and no moment"),
        ("lsn:nowhere", "is malformed"),
        ("newest identical", "'newest identical' names a dump, and this is a recovery of the cluster to a moment"),
        ("newest before 2026-11-21T08:00:00Z", "names a dump"),
        ("newest point before noon", "'noon' is no time"),
        ("newest point before 2026-11-21T10:00:00Z", "no point from 2026-11-21T10:00:00"),
        ("name:before_the_upgrade", "shop/main-db has no recovery point 'before_the_upgrade'; allowed are"),
        ("xid:4711", "is a transaction, and nobody can say beforehand when it happened"),
        ("2026-10-25 02:30:00", "was twice in Europe/Berlin, when the clock was put back: 2026-10-25T02:30:00+02:00"),
        ("2026-03-29 02:30:00", "never was in Europe/Berlin"),
    ],
)
def test_one_sentence_for_what_is_no_target(aimed, wish: str, said: str) -> None:
    with pytest.raises(BackupNotFound) as caught:
        aimed(wish)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
