"""Sources of other kinds on a real Airflow: backed up when they changed, copied, drilled; and snapshots of RDS."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from include.recovery.catalog.model import ProofLevel
from include.recovery.evidence.history import read_reports
from include.recovery.sets.records import RecoverySets
from tests.fixtures.airflow_server import AirflowServer, wait_until
from tests.fixtures.servers import Kms
from tests.fixtures.small_systems import OTHER_KINDS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
TIER, SNAPSHOTS = f"backup__{OTHER_KINDS}__on-change", f"backup__{OTHER_KINDS}__snapshots"
DATABASE, DRILL = f"backup__{OTHER_KINDS}__daily", f"drill__{OTHER_KINDS}__monthly"


@pytest.fixture
def rigging(airflow_server: AirflowServer) -> Path:
    """The folder that is protected."""
    (source,) = (each for each in airflow_server.workspace().system(OTHER_KINDS).sources if each.kind == "files")
    folder = Path(source.paths[0])
    folder.mkdir(exist_ok=True)
    (folder / "ropes.conf").write_text("ropes = 12\n")
    (folder / "sails").mkdir(exist_ok=True)
    (folder / "sails" / "main.conf").write_bytes(b"\x00\x01 canvas")
    return folder


@pytest.fixture
def instance(kms: Kms) -> str:
    """The database on Amazon RDS, by moto."""
    connection = kms.connection
    rds = boto3.client(
        "rds", **connection.extra, aws_access_key_id=connection.login, aws_secret_access_key=connection.password
    )
    if not rds.describe_db_instances()["DBInstances"]:
        rds.create_db_instance(
            DBInstanceIdentifier=OTHER_KINDS, DBInstanceClass="db.t4g.micro", Engine="postgres", AllocatedStorage=20,
            MasterUsername="postgres", MasterUserPassword="a password", BackupRetentionPeriod=7,
        )  # fmt: skip
    return OTHER_KINDS


@pytest.mark.demand("K1", emulated="RDS by moto")
def test_what_has_changed_is_backed_up_copied_and_proven(
    airflow_server: AirflowServer, rigging: Path, instance: str
) -> None:
    run = airflow_server.run(TIER)
    assert run.state == "success", run.why()
    made = run.xcom("back_up.save__rigging")
    assert made["new"] is True
    workspace = airflow_server.workspace()

    again = airflow_server.run(TIER)
    assert again.state == "success", again.why()
    told = again.xcom("back_up.save__rigging")
    assert (told["new"], told["backup"]) == (False, made["backup"])
    assert again.tasks()["announce"] == "skipped"

    snapshots = airflow_server.run(SNAPSHOTS, {"note": "before the blast", "hold": True})
    assert snapshots.state == "success", snapshots.why()
    assert snapshots.tasks()["verify.check__cloud-db"] == "success"
    taken = snapshots.xcom("back_up.enter__cloud-db")["backup"]
    manifest = workspace.catalog().backup(OTHER_KINDS, "cloud-db", "rds", taken).manifest
    assert (manifest.note, manifest.hold) == ("before the blast", True)
    assert [copy.region for copy in manifest.managed.copies] == ["us-east-1", "us-west-2"]  # type: ignore[union-attr]
    # A set is as old as its database: what was backed up for the first time after it is in the next one.
    of_the_database = airflow_server.run(DATABASE)
    assert of_the_database.state == "success", of_the_database.why()
    bound = RecoverySets(workspace.store("primary"), OTHER_KINDS)
    newest = bound.read(bound.listed()[0])
    assert {member.source for member in newest.members} == {"main-db", "rigging", "cloud-db"}

    copies = airflow_server.workspace().catalog("offsite")
    wait_until(
        lambda: made["backup"] in {b.manifest.id for b in copies.backups(OTHER_KINDS, "rigging")}, 120,
        lambda: "no copy of the files arrived",
    )  # fmt: skip

    drill = airflow_server.run(DRILL)
    assert drill.state == "success", drill.why()
    proven = workspace.catalog().backup(OTHER_KINDS, "rigging", "files", made["backup"])
    assert proven.level is ProofLevel.IDENTICAL
    restored = workspace.catalog().backup(OTHER_KINDS, "cloud-db", "rds", taken)
    assert restored.level is ProofLevel.RESTORED, "nobody compared its rows"
    report = read_reports(workspace.store("primary"), OTHER_KINDS)[-1]
    assert {source.source: source.level for source in report.sources} == {
        "rigging": ProofLevel.IDENTICAL, "cloud-db": ProofLevel.RESTORED,
    }  # fmt: skip
    assert airflow_server.scratch_of(drill) == []


def test_a_damaged_backup_of_files_makes_its_drill_red(airflow_server: AirflowServer, rigging: Path) -> None:
    (rigging / "ropes.conf").write_text("ropes = 13\n")
    run = airflow_server.run(TIER)
    assert run.state == "success", run.why()
    made = run.xcom("back_up.save__rigging")["backup"]
    workspace = airflow_server.workspace()
    part = workspace.catalog().backup(OTHER_KINDS, "rigging", "files", made).manifest.parts[0]
    store = workspace.store("primary")
    stored, _ = store.get(part.volumes[0].key)
    store.put(part.volumes[0].key, stored[:-1] + bytes([stored[-1] ^ 1]))

    drill = airflow_server.run(DRILL)
    assert drill.state == "failed"
    assert drill.tasks()["copies.load__rigging"] == "failed"
    assert drill.tasks()["copies.query__cloud-db"] == "success", "one bad source kept the other from being drilled"
    assert "SHA-512" in drill.log("copies.load__rigging") or "damaged" in drill.log("copies.load__rigging")
    assert airflow_server.scratch_of(drill) == []
    store.put(part.volumes[0].key, stored)
