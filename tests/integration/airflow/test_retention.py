"""Retention on a real Airflow: shown first, removed then, waiting where the store is locked."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import Owner
from tests.fixtures.airflow_server import AirflowServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def old_backup(server: AirflowServer, store: str, at: datetime) -> str:
    """A few bytes of long ago, under the daily tier."""
    workspace = server.workspace()
    owner = Owner.of_this_process(f"long-ago-{at:%Y%m%d}")
    catalog = Catalog(workspace.store(store), now=lambda: at)
    begun = catalog.begin("harbor", "main-db", "postgres", tier="daily", owner=owner, keyring=workspace.keyring())
    with begun as backup:
        part = backup.store_part(io.BytesIO(b"rows"), "rest", "data", ["public.ships"])
        return backup.commit(
            started_by="ada", started_at=at, snapshot_at=at, server_version="15", tool_versions={}, parts=(part,),
            compression="zstd-3", fingerprint=None,
        ).id  # fmt: skip


def test_what_the_policy_lets_go_is_shown_and_then_removed(airflow_server: AirflowServer) -> None:
    now = datetime.now(UTC)
    policy = airflow_server.workspace().system("harbor")
    reach = policy.tier("daily").keep.reach + timedelta(days=400)
    days = policy.tier("daily").keep.newest + policy.tier("daily").keep.days + 2
    moments = [now - timedelta(hours=2, days=n) for n in range(days)] + [now - reach]
    made = [old_backup(airflow_server, "primary", at) for at in moments]
    locked = [old_backup(airflow_server, "offsite", at) for at in moments]

    def ids(store: str) -> set[str]:
        return {row.manifest.id for row in airflow_server.workspace().catalog(store).backups("harbor")}

    dry = airflow_server.run("retention__harbor", {"dry_run": True})
    assert dry.state == "success", dry.tasks()
    assert set(made) <= ids("primary")

    run = airflow_server.run("retention__harbor")
    assert run.state == "success", run.tasks()
    assert set(run.xcom("decide.plan__primary")) == {"plan", "sentence"}
    assert run.xcom("expire.remove__primary")["removed"] >= 1
    assert made[-1] not in ids("primary")
    assert made[1] in ids("primary"), "the only one of yesterday; today other tests make younger ones"
    assert set(locked) <= ids("offsite"), "object lock keeps them for a day"
    going = airflow_server.workspace().catalog("offsite").going("harbor/")
    assert f"harbor/main-db/postgres/{locked[-1]}/" in going
    assert "waiting for the end of their lock" in run.xcom("expire.remove__offsite")["sentence"]
