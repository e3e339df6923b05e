"""The everyday path on a real Airflow: back up, replicate, drill; each run's colour says what happened."""

from __future__ import annotations

import pytest

from include.recovery.catalog.model import ProofLevel
from tests.fixtures.airflow_server import AirflowServer, Run, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@pytest.mark.demand("D3", "R4", "R13", "R16", "L24", "D2")
def test_a_backup_is_taken_copied_and_proven(airflow_server: AirflowServer) -> None:
    run = airflow_server.run("backup__harbor__daily", {"note": "before the storm", "hold": True})
    assert run.state == "success", run.tasks()
    made = run.xcom("back_up.dump__main-db")["backup"]
    catalog = airflow_server.workspace().catalog()
    backup = catalog.backup("harbor", "main-db", "postgres", made)
    assert (backup.manifest.note, backup.manifest.hold) == ("before the storm", True)
    assert backup.manifest.started_by == "grace"

    copies = airflow_server.workspace().catalog("offsite")
    wait_until(lambda: made in {b.manifest.id for b in copies.backups("harbor")}, 120, lambda: "no copy arrived")
    replication = airflow_server.client().runs("replicate__harbor")[0]
    assert Run(run.client, "replicate__harbor", replication["dag_run_id"]).wait() == "success"

    drill = airflow_server.run("drill__harbor__weekly", {"recovery_point": made})
    assert drill.state == "success", drill.tasks()
    proven = catalog.backup("harbor", "main-db", "postgres", made)
    assert proven.level is ProofLevel.VALIDATED
    assert {proof.level for proof in proven.proofs} >= {ProofLevel.REPLICATED, ProofLevel.IDENTICAL}
    assert airflow_server.scratch_of(drill) == [], "the scratch server is still there"
