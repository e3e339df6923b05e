"""A backup whose files are read from the standby, where the policy says so; and one that waits for a fit one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.recovery.backup_load import when_to_start
from include.recovery.pgbackrest.stanza import open_stanza
from include.recovery.policy.models import PostgresSource, ProtectedSystem
from include.recovery.sources import RunInfo, pgbackrest
from tests.integration.watchdog.conftest import Watched

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]


def spared(watched: Watched) -> tuple[ProtectedSystem, PostgresSource]:
    """The same policy, with backups from the standby."""
    source = watched.source
    assert source.physical is not None
    physical = source.physical.model_copy(update={"backup_from": "standby"})
    changed = source.model_copy(update={"physical": physical})
    return watched.system.model_copy(update={"sources": (changed,)}), changed


def test_files_are_read_from_the_standby(watched: Watched) -> None:
    system, source = spared(watched)
    stanza = open_stanza(watched.workspace, system, source)
    assert f"pg2-path={watched.standby.data}" in stanza.configuration.folders.config.read_text()
    run = RunInfo(run_id="from-standby", started_by="a test")
    manifest = pgbackrest.backup(watched.workspace, system, source, system.tier("weekly-full"), run=run)
    assert manifest.physical is not None
    log = "".join(path.read_text() for path in stanza.configuration.folders.log.glob("*-backup.log"))
    assert "replay on the standby reached" in log, log


def test_a_backup_waits_for_a_standby_that_is_fit_and_not_for_ever(watched: Watched) -> None:
    system, source = spared(watched)
    tier, now = system.tier("weekly-full"), datetime.now(UTC)
    assert when_to_start(watched.workspace, source, tier, put_off=timedelta(), now=now).start
    with watched.standby.connect() as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
    try:
        advice = when_to_start(watched.workspace, source, tier, put_off=timedelta(), now=now)
        assert not advice.start
        assert "the standby that is to be read is not fit" in advice.in_words
        assert when_to_start(watched.workspace, source, tier, put_off=tier.grace / 2, now=now).start
        # What is read from the primary does not ask the standby.
        assert when_to_start(watched.workspace, watched.source, tier, put_off=timedelta(), now=now).start
    finally:
        with watched.standby.connect() as connection:
            connection.execute("SELECT pg_wal_replay_resume()")
