"""The argv of every call."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.recovery.pgbackrest import commands
from include.recovery.pgbackrest.commands import Call
from include.recovery.pgbackrest.target import Target

CALL = Call(Path("/etc/x.conf"), "shop-main-db")
AT = datetime(2026, 11, 21, 7, 0, 5, 250000, UTC)


def test_a_backup_goes_to_one_repository() -> None:
    argv = commands.backup(CALL, "incr", 2, annotations={"run": "r 1"}, options={"process-max": "4"})
    assert argv[:3] == ["pgbackrest", "--config=/etc/x.conf", "--stanza=shop-main-db"]
    assert argv[-1] == "backup"
    assert {"--type=incr", "--repo=2", "--annotation=run=r 1", "--process-max=4"} < set(argv)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target.newest(), ["--type=default"]),
        (Target.time(AT), ["--type=time", "--target=2026-11-21 07:00:05.250000+00", "--target-action=promote"]),
        (Target.position("0/3000028"), ["--type=lsn", "--target=0/3000028", "--target-action=promote"]),
        (Target.point("p"), ["--type=name", "--target=p", "--target-action=promote"]),
        (Target.transaction(4711, inclusive=False),
         ["--type=xid", "--target=4711", "--target-action=promote", "--target-exclusive"]),
    ],
)
def test_a_restore_stops_where_it_was_told_and_never_archives(target: Target, words: list[str]) -> None:
    argv = commands.restore(CALL, target, 1, label="20261121-070000F")
    assert [word for word in argv if word.startswith(("--type", "--target")) and "timeline" not in word] == words
    assert {"--archive-mode=off", "--set=20261121-070000F", "--target-timeline=latest"} < set(argv)
    assert not {"--delta", "--force"} & set(argv)


def test_a_restore_of_one_database_in_place() -> None:
    argv = commands.restore(
        CALL, Target.newest(timeline="3"), 1, delta=True, databases=["shop"], tablespaces="/t", keep_archiving=True
    )
    assert {"--delta", "--db-include=shop", "--tablespace-map-all=/t", "--target-timeline=3"} < set(argv)
    assert "--archive-mode=off" not in argv


def test_expiry_says_which_and_can_be_rehearsed() -> None:
    argv = commands.expire(CALL, 2, label="20261121-070000F", archive_full=1, dry_run=True)
    assert {"--repo=2", "--set=20261121-070000F", "--repo2-retention-archive=1", "--dry-run"} < set(argv)
    assert not [word for word in commands.expire(CALL, 2) if "retention" in word or "set" in word]


def test_answers_are_not_mixed_with_logs() -> None:
    for argv in (commands.info(CALL), commands.list_files(CALL, 1, "archive"), commands.read_file(CALL, 1, "x")):
        assert "--log-level-console=off" in argv
