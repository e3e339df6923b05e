"""Histories of backups: some by hand for the rules, and any that hypothesis can think of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.recovery.retention.model import Row

NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)


def backup(taken_at: datetime, **facts: Any) -> Row:
    """A backup of tier ``daily``, whose id sorts by its time."""
    values: dict[str, Any] = {
        "id": f"{taken_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-0000",
        "kind": "postgres",
        "tier": "daily",
        "taken_at": taken_at,
        "finished_at": taken_at + timedelta(minutes=10),
    }
    return Row(**(values | facts))


@pytest.fixture
def daily() -> Callable[..., list[Row]]:
    """One backup a day before now, newest first."""

    def daily(count: int, **facts: Any) -> list[Row]:
        return [backup(NOW - timedelta(days=n, hours=4), **facts) for n in range(count)]

    return daily
