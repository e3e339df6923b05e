"""Break it, and see that one message names it; mend it, and see the all clear. Real servers, real archive."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest

from include.recovery.watchdog.checks import CHECKS
from include.recovery.watchdog.watch import Pass
from tests.integration.watchdog.conftest import Watched

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
ARCHIVE = [check for check in CHECKS if check.name != "archive"]
"""Nobody looks through the archive here: that would be told, after some hours."""


def causes(done: Pass) -> set[str]:
    return {alarm.cause for alarm in done.on}


def passes_until(watched: Watched, cause: str, on: bool, seconds: float = 90) -> list[str]:
    """All messages until a cause is on, or is not any more."""
    sent, end = [], time.monotonic() + seconds
    while True:
        done = watched.once(ARCHIVE)
        sent += watched.sent
        if (cause in causes(done)) is on:
            return sent
        assert time.monotonic() < end, (causes(done), sent)
        time.sleep(1)


@pytest.mark.demand("L26")
def test_a_healthy_system_is_no_news(watched: Watched) -> None:
    passes_until(watched, "no such cause", on=False)
    done = watched.once(ARCHIVE)
    assert causes(done) == set(), [alarm.sentence for alarm in done.on]
    assert watched.sent == []


@pytest.mark.demand("L26")
def test_a_tier_that_never_started(watched: Watched) -> None:
    watched.knew("daily-incremental", timedelta(hours=20))
    sent = passes_until(watched, "backup daily-incremental in primary", on=True)
    told = [each for each in sent if "daily-incremental" in each]
    assert len(told) == 1
    assert "labdojo/main-db: the backup of tier daily-incremental that was due" in told[0]
    assert "What to do: See why backup__labdojo__daily-incremental did not start or end, and trigger it." in told[0]
    watched.once(ARCHIVE)
    assert watched.sent == []
    watched.back_up("daily-incremental")
    sent = passes_until(watched, "backup daily-incremental in primary", on=False)
    assert [each.splitlines()[0] for each in sent] == ["🟢 labdojo: backup daily-incremental in primary: all clear"]


def test_an_archive_command_that_fails(watched: Watched) -> None:
    watched.write()
    repository = Path(watched.place / "primary" / "pgbackrest" / "archive")
    repository.chmod(0o500)
    stanza = next(repository.iterdir())
    stanza.chmod(0)
    try:
        watched.write()
        sent = passes_until(watched, "archive_command", on=True)
        told = [each for each in sent if "labdojo: archive_command" in each.splitlines()[0]]
        assert len(told) == 1
        assert "archive_command has been failing" in told[0] or "finished WAL segments has waited" in told[0]
        time.sleep(2)
        watched.once(ARCHIVE)
        assert watched.sent == []
    finally:
        stanza.chmod(0o750)
        repository.chmod(0o750)
    sent = passes_until(watched, "archive_command", on=False)
    assert sum("archive_command: all clear" in each for each in sent) == 1
    assert watched.once(ARCHIVE).on == ()


@pytest.mark.demand("L6")
def test_a_standby_that_stopped(watched: Watched) -> None:
    watched.standby.stop()
    try:
        sent = passes_until(watched, "standby", on=True)
        (told,) = [each for each in sent if each.startswith("🔴 labdojo: standby\n")]
        assert "labdojo/main-db: the standby cannot be asked" in told
        assert "What to do: Start it, or build it anew." in told
        # Its slot keeps WAL now, which is a cause of its own.
        sent += passes_until(watched, "slot standby1", on=True)
        assert sum("slot standby1" in each.splitlines()[0] for each in sent) == 1
        watched.once(ARCHIVE)
        assert watched.sent == []
    finally:
        watched.standby.start()
    sent = passes_until(watched, "standby", on=False)
    sent += passes_until(watched, "slot standby1", on=False)
    sent += passes_until(watched, "standby receiver", on=False)
    assert {"🟢 labdojo: standby: all clear", "🟢 labdojo: slot standby1: all clear"} <= {
        each.splitlines()[0] for each in sent
    }


def test_a_primary_that_is_down_is_one_alarm_and_hides_no_other(watched: Watched) -> None:
    watched.primary.stop()
    watched.beat = lambda: None  # type: ignore[method-assign]
    try:
        done = watched.once(ARCHIVE)
        (alarm,) = [each for each in done.on if each.check == "primary"]
        assert alarm.cause == "not seen"
        assert "the server cannot be reached" in alarm.sentence
        assert {each.check for each in done.on} <= {"primary", "standby"}, done.on
    finally:
        watched.primary.start()
        del watched.beat
    passes_until(watched, "not seen", on=False)
