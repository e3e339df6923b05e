"""watch and standby: what they show, and that something critical is no success."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.recovery.catalog.archive_proofs import ArchiveProof, ArchiveProofs, found
from include.recovery.cli import watching
from include.recovery.concerns import Concern, Severity
from include.recovery.pgbackrest.protection import Protection
from include.recovery.postgres.standby import StandbyReport
from include.recovery.watchdog.look import Look

NOW = datetime.now(UTC)
GAP = Concern(Severity.CRITICAL, "wal missing", "WAL segment 5 is missing; take a full backup")


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A primary of which nothing is wrong."""
    monkeypatch.setattr(Look, "protection", lambda *_: Protection(None, None, None, ()))  # type: ignore[arg-type]


@pytest.mark.usefixtures("healthy")
def test_watch_shows_what_is_on_and_fails_for_what_is_critical(lifeboat: Any, folder_workspace: Any) -> None:
    result = lifeboat("watch")
    assert result.exit_code == 0, result.stderr
    assert "1 system: nothing critical" in result.stderr
    ArchiveProofs(folder_workspace.store("primary")).keep(ArchiveProof(
        system="labdojo", source="main-db", store="primary", by="check", at=NOW, found=found((GAP,)),
    ))
    result = lifeboat("watch", "labdojo")
    assert result.exit_code == 3
    assert "WAL segment 5 is missing" in result.stderr
    shown = json.loads(lifeboat("watch", "--json").stdout)
    assert [(each["system"], each["cause"]) for each in shown] == [("labdojo", "wal missing in primary")]
    assert list(folder_workspace.store("primary").list("labdojo/watchdog/")) == [], "it changes nothing"


def with_standby(tmp_path: Path) -> None:
    path = tmp_path / "policies" / "labdojo.yaml"
    policy = yaml.safe_load(path.read_text())
    policy["sources"][0]["physical"]["standby"] = "labdojo_standby"
    path.write_text(yaml.safe_dump(policy))
    connections = tmp_path / "connections.json"
    known = json.loads(connections.read_text())
    server = {"conn_type": "postgres", "host": "/nowhere", "port": 5432, "login": "postgres"}
    connections.write_text(json.dumps(known | {"labdojo_cluster": server, "labdojo_standby": server}))


def test_a_standby_is_a_candidate_or_says_why_not(
    lifeboat: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_standby(tmp_path)
    fit = StandbyReport(NOW, 1024**2, 2.0, 1, ())
    monkeypatch.setattr(watching, "watch_standby", lambda *_, **__: fit)
    result = lifeboat("standby", "labdojo")
    assert result.exit_code == 0, result.stderr
    assert "1.0 MiB, 2 s" in result.stdout
    assert "a candidate for a failover" in result.stderr
    monkeypatch.undo()
    result = lifeboat("standby", "labdojo", "--json")
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert told["candidate"] is False
    assert "the standby cannot be asked" in told["why_not"][0]


def test_a_system_without_a_standby_says_so(lifeboat: Any) -> None:
    result = lifeboat("standby", "labdojo")
    assert result.exit_code == 8
    assert "names no 'physical.standby'" in result.stderr
