"""Which recovery points go together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.recovery.catalog.model import Backup, Proof, ProofLevel, Summary
from include.recovery.errors import BackupNotFound
from include.recovery.sets.bind import Candidates, bind
from include.recovery.sets.model import RecoverySet

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def backup(source: str, minutes: int, *, damaged: bool = False, kind: str = "files") -> Backup:
    """Of so many minutes after noon."""
    at = NOON + timedelta(minutes=minutes)
    facts = Summary(
        system="shop", source=source, kind=kind, id=f"{at:%Y%m%dT%H%M%SZ}-0000", started_by="t", started_at=at,
        snapshot_at=at, finished_at=at, server_version="", tool_versions={}, compression="zstd-3", fence=1,
        stored_size=1, tables=0,
    )  # fmt: skip
    failed = Proof(level=ProofLevel.STORED, ok=False, at=at, by="t", store="primary", detail="damaged")
    return Backup(manifest=facts, proofs=(failed,) if damaged else (), store="primary")


def bound(*sources: Candidates, before: int = 600) -> RecoverySet:
    moment = NOON + timedelta(minutes=before)
    return bind("shop", "primary", sources, before=moment, now=NOON + timedelta(days=1), by="t")


def minutes(made: RecoverySet) -> dict[str, tuple[str, float]]:
    return {each.source: (each.how, (each.at - NOON) / timedelta(minutes=1)) for each in made.members}


def database(*points: int) -> Candidates:
    return Candidates("db", [backup("db", each, kind="postgres") for each in points], anchor=True)


def test_everything_comes_back_as_of_the_database() -> None:
    made = bound(
        database(0, 60),
        Candidates("uploads", [backup("uploads", 5), backup("uploads", 90)], continuous=True),
        Candidates("etc", [backup("etc", 10), backup("etc", 70)]),
    )
    assert minutes(made) == {"db": ("backup", 60), "uploads": ("moment", 60), "etc": ("backup", 10)}
    assert made.member("uploads").backup.startswith("20261121T133000Z"), "the youngest knows most versions"  # type: ignore[union-attr]
    assert (made.whole, made.skew) == (True, timedelta(minutes=50))


def test_a_source_that_was_seen_unchanged_is_as_young_as_the_look() -> None:
    etc = backup("etc", 10)
    seen = {etc.manifest.id: NOON + timedelta(minutes=55)}
    made = bound(database(50), Candidates("etc", [etc], unchanged=seen))
    assert minutes(made)["etc"] == ("unchanged", 50)


def test_damaged_backups_are_passed_over() -> None:
    made = bound(database(60), Candidates("etc", [backup("etc", 10), backup("etc", 50, damaged=True)]))
    assert minutes(made)["etc"] == ("backup", 10)


def test_a_source_without_a_backup_is_lacking_and_the_others_are_bound() -> None:
    made = bound(database(60), Candidates("etc", []), Candidates("late", [backup("late", 70)]))
    assert made.lacking == {
        "etc": "it has no backup", "late": "its oldest undamaged backup is 10 min younger than the set"
    }  # fmt: skip
    assert not made.whole


def test_a_member_that_is_older_than_its_rpo_is_told() -> None:
    old = Candidates("etc", [backup("etc", 0)], rpo=timedelta(minutes=15))
    (note,) = bound(database(60), old).notes
    assert note.startswith("etc comes back as of 1 h before the others")


def test_before_a_moment() -> None:
    made = bound(database(0, 60), Candidates("etc", [backup("etc", 0)]), before=30)
    assert minutes(made)["db"] == ("backup", 0)
    with pytest.raises(BackupNotFound, match="no source has an undamaged backup"):
        bound(database(60), before=30)


def test_several_databases_go_by_the_older_one() -> None:
    other = Candidates("db2", [backup("db2", 20), backup("db2", 80)], anchor=True)
    assert minutes(bound(database(0, 60), other)) == {"db": ("backup", 60), "db2": ("backup", 20)}
