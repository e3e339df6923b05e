"""How far archived WAL rolls a backup forward, from a listing."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from include.recovery.errors import BackupNotFound, LifeboatError
from include.recovery.pgbackrest import recoverable
from include.recovery.pgbackrest.check import ArchiveReport
from include.recovery.pgbackrest.recoverable import recoverable_until
from include.recovery.pgbackrest.segments import Lineage
from tests.recovery.pgbackrest.conftest import FULL, INCR, START, archive, backup_json, info, name

INFO = info(
    backup_json(FULL, minute=3, wal=(name(2), name(3))),
    backup_json(INCR, minute=9, wal=(name(8), name(9)), prior=FULL, reference=[FULL]),
)


def backup(label: str, minute: int) -> Any:
    physical = SimpleNamespace(label=label)
    return SimpleNamespace(manifest=SimpleNamespace(physical=physical, snapshot_at=START + timedelta(minutes=minute)))


DUMP = SimpleNamespace(manifest=SimpleNamespace(physical=None, snapshot_at=START))
BACKUPS = [backup(FULL, 3), backup(INCR, 9), DUMP]


@pytest.fixture
def until(monkeypatch: pytest.MonkeyPatch) -> Any:
    def until(segments: Any, backups: Any = BACKUPS) -> Any:
        tool = SimpleNamespace(info=lambda repository: INFO)
        stanza = SimpleNamespace(number=lambda _: 1, tool=tool, segment_bytes=16 << 20)
        monkeypatch.setattr(recoverable, "open_reading", lambda *_: stanza)
        report = ArchiveReport(archive(segments), Lineage(1), (), {})
        monkeypatch.setattr(recoverable, "check_archive", lambda *_, **__: report)
        system, source = SimpleNamespace(system="shop"), SimpleNamespace(name="main-db")
        return recoverable_until(None, system, source, "primary", backups, START)  # type: ignore[arg-type]

    return until


def test_until_the_last_segment_in_sequence_arrived(until: Any) -> None:
    found = until(range(1, 15))
    assert (found.at, found.stopped_by) == (START + timedelta(minutes=14), None)
    assert found.backup.manifest.physical.label == INCR


def test_until_the_hole_and_from_the_backup_that_gets_farthest(until: Any) -> None:
    found = until([*range(1, 12), 13, 14])
    assert (found.at, found.stopped_by) == (START + timedelta(minutes=11), name(12))
    # Without its own WAL the newest backup is of no use; the one before it is.
    found = until([*range(1, 9), *range(10, 15)])
    assert (found.backup.manifest.physical.label, found.stopped_by) == (FULL, name(9))


def test_no_backup_that_leads_anywhere(until: Any) -> None:
    with pytest.raises(BackupNotFound, match="shop/main-db: the WAL in store primary rolls no backup forward: .*"):
        until(range(5, 8))
    with pytest.raises(BackupNotFound, match="there is no backup"):
        until(range(1, 15), [])


def test_a_user_who_may_not_look_is_told_so(until: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(recoverable, "open_reading", refuse)
    monkeypatch.setattr(recoverable, "folders_of", lambda *_: SimpleNamespace(root="/var/lib/x"))
    system, source = SimpleNamespace(system="shop"), SimpleNamespace(name="main-db")
    with pytest.raises(LifeboatError, match=r"/var/lib/x \(Permission denied\); run this as the server's"):
        recoverable_until(None, system, source, "primary", [], START)  # type: ignore[arg-type]
