"""PgRestoreOperator never writes over what is there, whoever asks."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from include.recovery.errors import ApprovalMissing
from recovery_airflow.operators.logical_restore import PgRestoreOperator
from recovery_airflow.operators.step import RunFacts
from tests.fixtures.airflow_server import AirflowServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_live_database_is_refused_without_an_approved_plan(
    airflow_server: AirflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = json.loads(airflow_server.connections.read_text())
    monkeypatch.setenv("AIRFLOW_CONN_HARBOR_RESTORE", json.dumps(known["harbor_restore"]))
    catalog = airflow_server.workspace().catalog()
    if not catalog.backups("harbor"):
        assert airflow_server.run("backup__harbor__daily").state == "success"
    operator = PgRestoreOperator(
        task_id="restore",
        system="harbor",
        source="main-db",
        backup=catalog.newest("harbor", "main-db").manifest.id,
        connection="harbor_restore",
        database="harbor",
    )
    operator.workspace = airflow_server.workspace()
    run = RunFacts("by_hand", "manual", "restore", 1, "grace", "", datetime.now(UTC))
    with airflow_server.database() as connection:
        before = connection.execute("SELECT count(*), max(xmin::text) FROM captains").fetchone()
    with pytest.raises(ApprovalMissing, match="is not empty"):
        operator.perform(run, {})  # type: ignore[arg-type]
    with airflow_server.database() as connection:
        assert connection.execute("SELECT count(*), max(xmin::text) FROM captains").fetchone() == before
