"""prepare, beat: what they say, and that a cluster without its restart does not pass for protected."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from include.recovery.catalog.points import Heartbeat
from include.recovery.cli import protecting
from include.recovery.errors import SourceUnavailable
from include.recovery.heartbeats import Pulse
from include.recovery.pgbackrest.cluster import Prepared
from include.recovery.pgbackrest.setup import Protection


def protection(*, restart_for: tuple[str, ...] = ()) -> Protection:
    arrived = {} if restart_for else {"primary": "0000000100000000000000A7"}
    return Protection("labdojo-main-db", ("primary",), False, Prepared({}, restart_for), arrived)


def test_prepare_wants_to_know_what(lifeboat: Any) -> None:
    result = lifeboat("prepare", "labdojo")
    assert result.exit_code == 2
    assert "--physical for the WAL archive" in " ".join(result.stderr.replace("│", " ").split())


def test_a_protected_cluster_is_said_to_be_so(lifeboat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(protecting, "protect_cluster", lambda *words: asked.append(words) or protection())
    result = lifeboat("prepare", "labdojo", "--physical")
    assert result.exit_code == 0, result.stderr
    assert (asked[0][1].system, asked[0][2].name) == ("labdojo", "main-db")
    assert "archiving is set up already; WAL arrived: 0000000100000000000000A7 in primary" in result.stderr


def test_a_missing_restart_is_no_success(lifeboat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protecting, "protect_cluster", lambda *_: protection(restart_for=("archive_mode",)))
    result = lifeboat("prepare", "labdojo", "--physical")
    assert result.exit_code == 1
    assert "labdojo/main-db is not archived yet: restart its server, then run this command again" in result.stderr


def test_one_round_of_heartbeats(lifeboat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def works() -> Heartbeat:
        return Heartbeat(beat=1, at=datetime.now(UTC))

    def fails() -> Heartbeat:
        raise SourceUnavailable("no server")

    beating = [Pulse("labdojo/main-db", 60, works)]
    monkeypatch.setattr(protecting, "pulses", lambda *_, **__: beating)
    result = lifeboat("beat", "--once")
    assert (result.exit_code, result.stderr.strip()) == (0, "1 heartbeat written")
    beating.insert(0, Pulse("aiaas/main-db", 60, fails, lambda _: None))
    result = lifeboat("beat", "--once")
    assert result.exit_code == 5
    assert "no server" in result.stderr
    monkeypatch.setattr(protecting, "pulses", lambda *_, **__: [])
    assert lifeboat("beat", "--once", "labdojo").exit_code == 8
