"""The Amazon provider's operators make and remove what Lifeboat's verbs name, and what they do not do is known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.recovery.errors import SourceError
from include.recovery.sources import rds
from tests.integration.rds.conftest import HOME, SECOND, Rds

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def in_airflow(depot: Rds, monkeypatch: pytest.MonkeyPatch) -> Rds:
    """With its connections as Airflow's."""
    connection = {
        "conn_type": "aws", "login": "lifeboat", "password": "the secret", "extra": {"endpoint_url": depot.proxy.url},
    }  # fmt: skip
    for name in ("RDS_EAST", "RDS_WEST"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))
    return depot


@pytest.mark.demand("K1", emulated="RDS by moto")
def test_a_graph_of_the_providers_operators_makes_the_snapshot_that_is_entered(in_airflow: Rds) -> None:
    from airflow.providers.amazon.aws.operators.rds import RdsCreateDbSnapshotOperator, RdsDeleteDbSnapshotOperator
    from airflow.providers.amazon.aws.sensors.rds import RdsSnapshotExistenceSensor

    depot, run = in_airflow, in_airflow.run("graph")
    tier, east = depot.system.tier("daily"), {"aws_conn_id": "rds_east", "region_name": HOME}
    asked = rds.begin(depot.workspace, depot.system, depot.source, tier, run=run)
    create = RdsCreateDbSnapshotOperator(
        task_id="create", db_type="instance", db_identifier=depot.instance, db_snapshot_identifier=asked.identifier,
        tags=dict(asked.tags), wait_for_completion=False, **east,
    )  # fmt: skip
    create.execute({})
    either = ["available", "failed"]
    wait: Any = RdsSnapshotExistenceSensor(
        task_id="wait", db_type="instance", db_snapshot_identifier=asked.identifier, target_statuses=either, **east
    )
    assert wait.poke({})
    # The operator does not find what its own earlier try has made; the verb does, and goes on with it.
    with pytest.raises(Exception, match="DBSnapshotAlreadyExists"):
        create.execute({})
    manifest = depot.back_up(run)
    assert len(depot.snapshots(HOME)) == len(depot.snapshots(SECOND)) == 1
    assert rds.record(depot.workspace, depot.system, depot.source, tier, run=run).id == manifest.id

    RdsDeleteDbSnapshotOperator(
        task_id="delete", db_type="instance", db_snapshot_identifier=asked.identifier, wait_for_completion=False, **east
    ).execute({})
    assert len(rds.check_catalog(depot.workspace, depot.system, depot.source).gone) == 1


def test_a_sensor_that_takes_failed_for_an_end_leaves_the_verdict_to_us(in_airflow: Rds) -> None:
    from airflow.providers.amazon.aws.sensors.rds import RdsSnapshotExistenceSensor

    depot, run, tier = in_airflow, in_airflow.run("graph"), in_airflow.system.tier("daily")
    asked = rds.begin(depot.workspace, depot.system, depot.source, tier, run=run)
    depot.real[HOME].create_db_snapshot(
        DBInstanceIdentifier=depot.instance, DBSnapshotIdentifier=asked.identifier,
        Tags=[{"Key": key, "Value": value} for key, value in asked.tags.items()],
    )  # fmt: skip
    depot.proxy.rewrite.append((r"<Status>available</Status>", "<Status>failed</Status>"))
    wait: Any = RdsSnapshotExistenceSensor(
        task_id="wait", db_type="instance", db_snapshot_identifier=asked.identifier,
        target_statuses=["available", "failed"], aws_conn_id="rds_east", region_name=HOME,
    )  # fmt: skip
    assert wait.poke({})
    with pytest.raises(SourceError, match="is failed, so it is not entered in the catalog"):
        rds.made(depot.workspace, depot.system, depot.source, tier, run=run)


def test_only_our_copy_is_signed_for_the_other_region(in_airflow: Rds) -> None:
    """An encrypted snapshot is not copied to another region without; moto does not mind."""
    from airflow.providers.amazon.aws.operators.rds import RdsCopyDbSnapshotOperator

    depot = in_airflow
    manifest = depot.back_up()
    assert manifest.managed is not None
    ours = depot.proxy.sent["CopyDBSnapshot"]
    assert "Action=CopyDBSnapshot" in ours["PreSignedUrl"]
    assert "us-east-1" in ours["PreSignedUrl"]
    RdsCopyDbSnapshotOperator(
        task_id="copy", db_type="instance", source_db_snapshot_identifier=manifest.managed.copies[0].arn,
        target_db_snapshot_identifier=f"{manifest.managed.copies[0].identifier}-b", source_region=HOME,
        kms_key_id=depot.keys[SECOND], wait_for_completion=False, aws_conn_id="rds_west", region_name=SECOND,
    ).execute({})  # fmt: skip
    assert depot.proxy.sent["CopyDBSnapshot"]["PreSignedUrl"] == "", "signed by now: let graphs use the operator"
