"""From a wish to a backup, past what is damaged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.catalog.model import Backup, Proof, ProofLevel, Summary
from include.recovery.catalog.picker import choose, pick
from include.recovery.errors import BackupNotFound

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def row(hours_ago: float, *proofs: tuple[ProofLevel, bool]) -> Backup:
    at = NOW - timedelta(hours=hours_ago)
    summary = Summary(
        system="labdojo",
        source="main-db",
        kind="postgres",
        id=f"{at:%Y%m%dT%H%M%SZ}-0a1b",
        started_by="ada",
        started_at=at,
        snapshot_at=at,
        finished_at=at,
        server_version="15",
        tool_versions={},
        compression="zstd-3",
        fence=1,
        stored_size=1,
        tables=1,
    )
    made = tuple(
        Proof(level=level, ok=ok, at=at + timedelta(minutes=n), by="drill", store="primary", detail="users differ")
        for n, (level, ok) in enumerate(proofs)
    )
    return Backup(manifest=summary, proofs=made, store="primary")


GOOD = (ProofLevel.IDENTICAL, True)
BAD = (ProofLevel.IDENTICAL, False)
ROWS = [row(4, GOOD), row(3), row(2, GOOD), row(1, BAD)]


@pytest.mark.demand("K4")
def test_the_newest_that_is_not_damaged_and_why_another_was_skipped() -> None:
    choice = choose(ROWS, "newest", NOW)
    assert choice.backup is ROWS[2]
    (reason,) = choice.skipped
    assert reason == f"{ROWS[3].manifest.id}: its copy in primary is damaged (users differ, found 2026-11-21 11:00 UTC)"


@pytest.mark.demand("K4")
def test_the_newest_proven_one() -> None:
    assert pick([*ROWS, row(0.5)], "newest identical", NOW) is ROWS[2]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("newest before 2026-11-21T09:30:00Z", 1),
        ("newest before 2026-11-21T10:00+01:00", 1),
        ("newest at or before 2026-11-21T09:00:00Z", 1),
        ("newest  identical before 2026-11-21T09:30:00Z", 0),
        ("newest stored before 2026-11-21T11:30:00+00:00", 2),
        (ROWS[0].manifest.id, 0),
        (f"  {ROWS[1].manifest.id} ", 1),
    ],
)
def test_wishes(wish: str, expected: int) -> None:
    assert pick(ROWS, wish, NOW) is ROWS[expected]


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ("newest validated", "no backup that is 'newest validated'; skipped .*-0a1b: its copy in primary is damaged"),
        ("newest before 2026-11-01T00:00:00Z", "no backup from 2026-11-01T00:00:00.* the oldest is from 2026-11-21T08"),
        ("newest before yesterday", "'yesterday' is no time; write it like"),
        ("newest before 2026-11-21T09:30:00", "has no time zone"),
        ("newest perfect", "levels are stored, replicated, restored, identical, validated"),
        ("oldest", "no backup 'oldest'; ask for an id from the list, 'newest'"),
        (ROWS[3].manifest.id, "is unfit: its copy in primary is damaged"),
    ],
)
def test_what_cannot_be_had_is_explained(wish: str, sentence: str) -> None:
    with pytest.raises(BackupNotFound, match=sentence):
        pick(ROWS, wish, NOW)


def test_an_empty_catalog() -> None:
    with pytest.raises(BackupNotFound, match="has no backups; run one first"):
        pick([], "newest", NOW)


def test_backups_from_the_future_do_not_count() -> None:
    assert pick([*ROWS, row(-1)], "newest", NOW) is ROWS[2]


outcome = st.tuples(st.sampled_from(list(ProofLevel)), st.booleans())
rows = st.lists(st.builds(lambda h, p: row(h / 60, *p), st.integers(-60, 10_000), st.lists(outcome, max_size=4)))


@given(rows, st.sampled_from(list(ProofLevel)), st.integers(0, 10_000))
def test_whatever_the_history(history: list[Backup], level: ProofLevel, minutes: int) -> None:
    moment = NOW - timedelta(minutes=minutes)
    fit = [b for b in history if not b.damaged and b.level.rank >= level.rank and b.manifest.snapshot_at <= moment]
    try:
        found = pick(history, f"newest {level} before {moment.isoformat()}", NOW)
    except BackupNotFound:
        assert fit == []
    else:
        assert found.manifest.snapshot_at == max(b.manifest.snapshot_at for b in fit)
        assert not found.damaged
