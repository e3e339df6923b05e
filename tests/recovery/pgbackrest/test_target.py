"""What people type, and what it means; clock changes above all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.errors import BackupNotFound
from include.recovery.pgbackrest.target import Target, parse_target

LOCAL_TIMES = st.datetimes(datetime.fromisoformat("2020-01-01"), datetime.fromisoformat("2030-01-01"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-21 07:00:05", "2026-11-21 06:00:05.000000+00"),
        ("2026-11-21T07:00:05.5+03:00", "2026-11-21 04:00:05.500000+00"),
        ("2026-11-21T07:00:05Z", "2026-11-21 07:00:05.000000+00"),
        ("lsn:0/3000abc", "0/3000ABC"),
        ("name:before the import", "before the import"),
        ("xid: 4711", "4711"),
        (" newest ", ""),
    ],
)
def test_targets_are_understood(text: str, value: str) -> None:
    assert parse_target(text, "Europe/Berlin").value == value


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01 00:00:00", "lsn:3000028", "lsn:0/XYZ", "xid:-1", "name:", "name:" + "x" * 64,
             "2026-11-21", "20261121"],
)
def test_what_is_malformed_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(BackupNotFound, match="allowed are newest, a time such as"):
        parse_target(text)


def test_an_hour_that_was_twice_must_be_named() -> None:
    with pytest.raises(BackupNotFound, match=r"was twice .* 2026-10-25T02:30:00\+02:00 and 2026-10-25T02:30:00\+01:00"):
        parse_target("2026-10-25 02:30:00", "Europe/Berlin")
    assert parse_target("2026-10-25T02:30:00+01:00", "Europe/Berlin").at == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_an_hour_that_never_was_is_refused() -> None:
    with pytest.raises(BackupNotFound, match="never was in Europe/Berlin"):
        parse_target("2026-03-29 02:30:00", "Europe/Berlin")


@given(LOCAL_TIMES, st.sampled_from(["Europe/Berlin", "America/New_York"]))
def test_a_local_time_is_one_moment_or_refused(at: datetime, zone: str) -> None:
    moments = {
        (at - timedelta(seconds=offset)).replace(tzinfo=UTC)
        for offset in range(-12 * 3600, 14 * 3600, 1800)
        if (at - timedelta(seconds=offset)).replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == at
    }
    try:
        found = parse_target(at.isoformat(" "), zone).at
    except BackupNotFound:
        assert len(moments) != 1
    else:
        assert moments == {found}


def test_a_time_without_a_zone_is_no_moment() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Target.time(datetime(2026, 11, 21))  # noqa: DTZ001
