"""Identifiers and tags: by them a retry finds its own snapshot, and nothing of anybody else's is ever removed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from include.recovery.rds.names import (
    BEGUN,
    RUN,
    SYSTEM,
    begun_at,
    is_ours,
    own_tags,
    scratch_identifier,
    snapshot_identifier,
    snapshot_tags,
    tier_of,
)

NOW = datetime(2026, 11, 21, 12, 0, 5, 250000, tzinfo=UTC)
SLUG = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,8}){0,3}", fullmatch=True)
_IDENTIFIER = re.compile(r"[a-z](-?[a-z0-9])*")


@given(system=SLUG, source=SLUG, tier=st.none() | SLUG, run=st.text(max_size=300))
def test_for_any_run_the_identifier_is_one_that_the_service_takes(
    system: str, source: str, tier: str | None, run: str
) -> None:
    snapshot, scratch = snapshot_identifier(system, source, tier, run), scratch_identifier(f"{system}/x", source, run)
    assert _IDENTIFIER.fullmatch(snapshot)
    assert _IDENTIFIER.fullmatch(scratch)
    assert len(snapshot) <= 255
    assert len(scratch) <= 63


def test_each_try_of_a_run_names_the_same_snapshot_and_each_run_another() -> None:
    one = snapshot_identifier("ksrce-lab", "managed-db", "daily", "scheduled__2026-11-21T02:00:00+00:00")
    assert one == snapshot_identifier("ksrce-lab", "managed-db", "daily", "scheduled__2026-11-21T02:00:00+00:00")
    others = {
        snapshot_identifier("ksrce-lab", "managed-db", "daily", "scheduled__2026-11-22T02:00:00+00:00"),
        snapshot_identifier("ksrce-lab", "managed-db", "weekly", "scheduled__2026-11-21T02:00:00+00:00"),
        snapshot_identifier("ksrce", "lab-managed-db", "daily", "scheduled__2026-11-21T02:00:00+00:00"),
    }
    assert one not in others
    assert len(others) == 3


@given(run=st.text(max_size=400))
def test_for_any_run_the_tags_are_ones_that_the_service_takes(run: str) -> None:
    tags = snapshot_tags("shop", "main", None, run, NOW, {"team": "data"})
    assert all(len(value) <= 256 and re.fullmatch(r"[A-Za-z0-9 +\-=._:/@]*", value) for value in tags.values())
    assert (is_ours(tags, "shop", "main"), tier_of(tags), begun_at(tags)) == (True, None, NOW)


def test_the_policys_own_tags_cannot_stand_in_for_lifeboats() -> None:
    tags = snapshot_tags("shop", "main", "daily", "r", NOW, {SYSTEM: "other", "team": "data"})
    assert is_ours(tags, "shop", "main")
    assert not is_ours(tags, "other", "main")
    assert (tags["team"], tier_of(tags)) == ("data", "daily")


def test_a_time_without_a_zone_or_none_at_all_is_no_time() -> None:
    assert begun_at({BEGUN: "2026-11-21T12:00:00"}) is None
    assert begun_at({RUN: "x"}) is None
    there = NOW.astimezone(timezone(timedelta(hours=9)))
    assert begun_at(snapshot_tags("s", "m", None, "r", there, {})) == NOW


def test_the_services_own_tags_are_not_set_on_a_copy() -> None:
    assert own_tags({"aws:backup:x": "1", "lifeboat-run": "r"}) == {"lifeboat-run": "r"}
