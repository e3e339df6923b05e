"""point, points: what a point has cost is said when it is made, and whenever points are listed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.recovery.catalog.points import RecoveryPoint, RecoveryPoints
from include.recovery.cli import pointing
from include.recovery.fingerprint.model import DatabaseFingerprint
from include.recovery.restore_points import KeptPoint
from include.recovery.workspace import Workspace

NOW = datetime.now(UTC).replace(microsecond=0)


def made(name: str = "lifeboat_x", **facts: Any) -> RecoveryPoint:
    values: dict[str, Any] = {
        "system": "labdojo", "source": "main-db", "name": name, "kind": "heartbeat", "at": NOW, "lsn": "0/1",
        "timeline": 1, "system_identifier": "1", "waited_ms": 31.46, "attempts": 2, "fingerprint": None,
    }  # fmt: skip
    return RecoveryPoint(**(values | facts))


def verifiable(name: str, **facts: Any) -> RecoveryPoint:
    rows = DatabaseFingerprint(
        server_version="15.14", tables={}, definitions={}, sequences={}, large_objects=None, roles=None, grants=None,
        extensions={},
    )  # fmt: skip
    return made(name, kind="verifiable", fingerprint=rows, **facts)


def test_a_point_by_hand(lifeboat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pointing, "keep_point", lambda *_: KeptPoint(made(), ("primary",), ("it proves less",)))
    result = lifeboat("point", "labdojo", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["name"], told["waited_ms"], told["stores"]) == ("lifeboat_x", 31.46, ["primary"])
    assert "fingerprint" not in told
    assert "writers waited 31.5 ms at most (2 attempts)" in result.stderr
    assert "it proves less" in result.stderr


def test_points_are_listed_with_what_they_cost(lifeboat: Any, folder_workspace: Workspace) -> None:
    kept = RecoveryPoints(folder_workspace.store("primary"))
    kept.record(made("lifeboat_busy", at=NOW - timedelta(hours=1), note="only a heartbeat: no quiet moment"))
    kept.record(made("lifeboat_bare", at=NOW - timedelta(hours=2), attempts=0))
    kept.record(verifiable("lifeboat_good", waited_ms=1.94, attempts=1))
    result = lifeboat("points", "labdojo")
    assert result.exit_code == 0, result.stderr
    bare, busy, good = result.stdout.splitlines()[1:]
    assert "lifeboat_good" in good
    assert "every row" in good
    assert "1.9 ms" in good
    assert "heartbeat" in busy
    assert "31.5 ms" in busy
    assert "no quiet moment" in busy
    assert "no locks" in bare
    (newest,) = json.loads(lifeboat("points", "labdojo", "--newest", "1", "--json").stdout)
    assert (newest["name"], newest["waited_ms"], newest["attempts"]) == ("lifeboat_good", 1.94, 1)
    assert "fingerprint" not in newest


def test_a_point_that_cannot_be_read_is_named_and_hides_no_other(
    lifeboat: Any, folder_workspace: Workspace
) -> None:
    kept = RecoveryPoints(folder_workspace.store("primary"))
    kept.record(made("lifeboat_older", at=NOW - timedelta(hours=1)))
    folder_workspace.store("primary").put(made("lifeboat_broken").key, b"{}")
    result = lifeboat("points", "labdojo")
    assert "lifeboat_older" in result.stdout
    assert "lifeboat_broken" in result.stderr
    assert "it is damaged or of a newer Lifeboat" in result.stderr


def test_no_points_say_so(lifeboat: Any) -> None:
    result = lifeboat("points", "labdojo", "--store", "offsite")
    assert result.exit_code == 0
    assert "store offsite has no recovery point of labdojo/main-db" in result.stderr
