"""lifeboat retention: shows by default, removes only when told to."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def weekly(make_backup):
    return [make_backup(NOW - timedelta(weeks=8 - week, hours=1), stores=("primary", "offsite")) for week in range(9)]


def listed(lifeboat, store):
    return [row["id"] for row in json.loads(lifeboat("list", "labdojo", "--store", store, "--json").stdout)["backups"]]


def test_a_dry_run_shows_every_reason_and_changes_nothing(lifeboat, weekly):
    result = lifeboat("retention", "labdojo")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 1 + 18
    assert "the newest good backup of kind postgres" in lines[1]
    assert "no line of weekly-full wants it (newest 1, 4 weeks)" in lines[9]
    assert "would go" in lines[9]
    assert "nothing was removed: add --apply to remove" in result.stderr
    assert len(listed(lifeboat, "primary")) == len(listed(lifeboat, "offsite")) == 9


def test_apply_removes_in_one_store(lifeboat, weekly):
    found = json.loads(lifeboat("retention", "labdojo", "--store", "offsite", "--json").stdout)
    (made,) = found
    kept = [backup["id"] for backup in made["backups"] if backup["keep"]]
    result = lifeboat("retention", "labdojo", "--store", "offsite", "--apply")
    assert result.exit_code == 0, result.stderr
    assert f"main-db in offsite: {9 - len(kept)} removed; {len(kept)} backups kept" in result.stderr
    assert listed(lifeboat, "offsite") == kept[::-1]
    assert len(listed(lifeboat, "primary")) == 9
    again = lifeboat("retention", "labdojo", "--source", "main-db", "--store", "offsite", "--apply", "--json")
    assert [record["done"] for record in json.loads(again.stdout)] == [[]]


def test_a_wrong_clock_is_exit_code_4(lifeboat, weekly, make_backup):
    make_backup(NOW + timedelta(days=2))
    for arguments in ((), ("--apply",)):
        result = lifeboat("retention", "labdojo", "--store", "primary", *arguments)
        assert result.exit_code == 4
        assert "the clock is behind now, or was ahead then" in result.stderr
    assert len(listed(lifeboat, "primary")) == 10
