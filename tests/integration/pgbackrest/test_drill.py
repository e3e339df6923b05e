"""The drill of physical backups over a real repository: green when all is well, and never green when one step fails."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.lab.ports import free_ports
from include.lab.postgres import SUPERUSER, VOLATILE, PostgresCluster
from include.recovery.catalog.model import CompleteBackup, ProofLevel
from include.recovery.catalog.points import RecoveryPoint
from include.recovery.connections import connections_from_environment
from include.recovery.drills.aim import Aim, Drilled
from include.recovery.drills.physical import Copy, PhysicalDrill, require_identical
from include.recovery.errors import BackupCorrupt, BackupNotFound, CopyLost, NotIdentical
from include.recovery.evidence.model import Outcome
from include.recovery.evidence.summary import summarise
from include.recovery.keys.envelope import Keyring
from include.recovery.pgbackrest.setup import protect_cluster
from include.recovery.policy.files import load_folder
from include.recovery.postgres.heartbeat import beat
from include.recovery.postgres.prepare import prepare
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer
from include.recovery.restore_points import keep_point
from include.recovery.sources import RunInfo, pgbackrest
from include.recovery.workspace import Workspace
from tests.fixtures.shared import SharedServers
from tests.fixtures.small_systems import physical_policy
from tests.integration.pgbackrest.test_verbs import EscrowWorkspace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
STANZA = "shop-main-db"
EVERY = timedelta(seconds=2)


@dataclass
class Shop:
    """A protected cluster whose WAL goes to one folder, its policy, and the drills over it."""

    workspace: Workspace
    cluster: PostgresCluster
    place: Path
    ends: ExitStack = field(default_factory=ExitStack)

    @property
    def server(self) -> PostgresServer:
        return PostgresServer(str(self.cluster.socket_directory), self.cluster.port, SUPERUSER, database="shop")

    def sql(self, *statements: str) -> Any:
        with self.server.connect() as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchone()[0] if cursor.description else None

    def archive_all(self) -> str:
        """Close the segment and wait until it is archived; its name."""
        ask = "SELECT pg_walfile_name(pg_current_wal_insert_lsn())"
        name = self.sql("SELECT pg_create_restore_point('closing')", ask)
        self.sql("SELECT pg_switch_wal()")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if (self.sql("SELECT last_archived_wal FROM pg_stat_archiver") or "")[:24] >= name:
                return str(name)
            time.sleep(0.1)
        raise AssertionError(f"{name} was not archived")

    def drill(self) -> PhysicalDrill:
        """A new one, that begins now."""
        system, run = self.workspace.system("shop"), RunInfo(run_id=secrets.token_hex(4), started_by="a test")
        folder = self.place / "s"
        self.ends.callback(ScratchServer.remove, folder)
        what = Drilled(self.workspace, system, system.source("main-db"), "primary", datetime.now(UTC))
        return PhysicalDrill(what, folder, run)

    def backup(self) -> CompleteBackup:
        return self.workspace.catalog().pick("shop", "main-db", "pgbackrest", "newest")

    def rows(self) -> list[Any]:
        return self.workspace.catalog().backups("shop", "main-db", "pgbackrest")

    def repository(self, *folders: str) -> Path:
        return self.place.joinpath("primary", "pgbackrest", *folders)


@pytest.fixture
def shop(shared_servers: SharedServers, keyring: Keyring) -> Iterator[Shop]:
    place = Path(tempfile.mkdtemp(prefix="lb-d-"))
    cluster = PostgresCluster(
        f"drill-{secrets.token_hex(3)}", place / "pg", free_ports(1)[0], shared_servers.registry,
        secrets.token_urlsafe(12), VOLATILE,
    )
    with ExitStack() as ends, pytest.MonkeyPatch.context() as patch:
        ends.callback(shutil.rmtree, place, ignore_errors=True)
        patch.setenv("LIFEBOAT_PGBACKREST", str(place / "br"))
        cluster.create()
        cluster._tool("pg_checksums", "--enable", "-D", str(cluster.data))
        cluster.start()
        ends.callback(cluster.stop)
        cluster.ensure_database("shop", SUPERUSER)
        policies = place / "policies"
        policies.mkdir()
        policy = physical_policy("shop", {"streams": 1}, heartbeat="2s", push_allowance="1s")
        (policies / "shop.yaml").write_text(json.dumps(policy))
        (policies / "platform.yaml").write_text(json.dumps({
            "stores": {"primary": {"kind": "folder", "path": str(place / "primary"), "site": "here", "medium": "disk",
                                   "provider": "us"}},
            "encryption": {"kms_connection": "kms", "kms_key": "alias/test"},
            "approvals": {"signing_connection": "signing"},
            "notifications": {"slack_connection": "slack"},
            "web": {"base_url": "http://127.0.0.1:8080"},
        }))  # fmt: skip
        login = {"conn_type": "postgres", "host": str(cluster.socket_directory), "port": cluster.port}
        connections = place / "connections.json"
        connections.write_text(json.dumps({
            f"shop_{role}": {**login, "login": SUPERUSER if role == "cluster" else f"shop_{role}"}
            for role in ("cluster", "backup", "restore")
        }))  # fmt: skip
        found = load_folder(policies)
        assert found.problems == ()
        source = connections_from_environment({"LIFEBOAT_CONNECTIONS": str(connections)})
        made = Shop(EscrowWorkspace(found, source, ring=keyring), cluster, place, ends)
        made.sql("CREATE TABLE public.notes (id serial PRIMARY KEY, text text, at timestamptz DEFAULT now())",
                 "CREATE INDEX notes_text ON public.notes (text)")  # fmt: skip
        prepare(made.server, backup_password="b", restore_password="r", backup_role="shop_backup",
                restore_role="shop_restore")  # fmt: skip
        system = made.workspace.system("shop")
        protect_cluster(made.workspace, system, system.source("main-db"), restart=cluster.restart)
        yield made


@contextmanager
def beating(shop: Shop) -> Iterator[None]:
    """The heartbeat, each half second."""
    end = threading.Event()

    def work() -> None:
        while not end.wait(0.5):
            beat(shop.server)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def lived_in(shop: Shop) -> tuple[RecoveryPoint, list[str]]:
    """A backup, some seconds of work, a verifiable point, and all of it archived; the segments."""
    system = shop.workspace.system("shop")
    segments = []
    with beating(shop):
        pgbackrest.backup(
            shop.workspace, system, system.source("main-db"), system.tier("weekly-full"),
            run=RunInfo(run_id="backup", started_by="a test"),
        )
        for number in range(3):
            shop.sql(f"INSERT INTO public.notes (text) VALUES ('note {number}')")
            time.sleep(2)
            segments.append(shop.archive_all())
        point = keep_point(shop.workspace, system, system.source("main-db")).point
        shop.sql("INSERT INTO public.notes (text) VALUES ('after the point')")
        time.sleep(1)
    shop.archive_all()
    assert point.kind == "verifiable"
    return point, segments


def recovered(drill: PhysicalDrill) -> tuple[Aim, Copy]:
    aim = drill.pick()
    # As in a graph, where each step has but the names of what came before.
    aim = drill.drilled.again(aim.point.name, aim.backup.manifest.id, aim.label, aim.archive_age)
    return aim, drill.recover_to_point(aim)


@pytest.mark.demand("L15")
def test_every_step_proves_and_measures_and_a_failed_one_is_never_green(shop: Shop) -> None:
    point, segments = lived_in(shop)
    all_is_well(shop, point)
    another_row(shop)
    damaged_pages(shop)
    killed_server(shop)
    # A file of the backup in the repository is damaged; then the WAL before the point has a hole.
    damaged_repository(shop)
    damaged_wal(shop, segments[1])
    a_hole(shop, segments[0])


def all_is_well(shop: Shop, point: RecoveryPoint) -> None:
    """Each step is green, and the catalog knows it."""
    drill = shop.drill()
    assert "none missing since" in drill.check_archive()
    aim, copy = recovered(drill)
    assert (aim.point.name, copy.restored.recovered.lsn is not None) == (point.name, True)
    assert copy.loss is not None
    assert 0 <= aim.archive_age < copy.loss + 60
    with drill.copy().connect() as connection:
        texts = [row[0] for row in connection.execute("SELECT text FROM public.notes ORDER BY id")]
    assert texts == ["note 0", "note 1", "note 2"], "what was written after the point has come back too"
    require_identical(drill.compare(aim), "shop")
    (answer,) = drill.ask(aim)
    assert answer.outcome is Outcome.PASSED
    assert drill.check_structure(aim).outcome is Outcome.PASSED
    assert drill.check_checksums(aim).outcome is Outcome.PASSED
    assert drill.check_checksums(aim).outcome is Outcome.PASSED, "a try behind a killed one"
    second, _ = drill.draw()
    assert second < point.at
    assert drill.draw()[0] == second, "another try would draw another second"
    backup = drill.recover_to_second(second).backup
    assert drill.check_heartbeat(second, backup) <= 2 * EVERY.total_seconds()
    with pytest.raises(NotIdentical, match="went beyond the second"):
        drill.check_heartbeat(second - timedelta(hours=1), backup)
    with pytest.raises(NotIdentical, match="work is missing"):
        drill.check_heartbeat(second + timedelta(hours=1), backup)
    (row,) = shop.rows()
    proofs = {proof.level: proof for proof in row.proofs if proof.ok}
    assert row.level is ProofLevel.VALIDATED
    assert proofs[ProofLevel.IDENTICAL].detail.startswith("identical: ")
    assert proofs[ProofLevel.RESTORED].store == "primary"
    first = next(proof for proof in row.proofs if proof.level is ProofLevel.RESTORED)
    assert "(RTO 1 h); the newest archived WAL was " in first.detail
    assert first.seconds == copy.restored.seconds
    shown = summarise(shop.workspace, "shop", datetime.now(UTC))
    (source,) = shown.sources
    assert shown.problems == ()
    assert source.proven_at == max(proof.at for proof in row.proofs if proof.level is ProofLevel.VALIDATED)
    assert source.recoverable_by.startswith("WAL in store primary")
    assert source.recoverable_at is not None
    assert source.recoverable_at > row.manifest.snapshot_at
    assert source.recoverable_at >= point.at.replace(microsecond=0), "the point is archived, so it can be recovered to"


def another_row(shop: Shop) -> None:
    """One row of the copy is another: named, kept as a failed proof, until another drill finds the copy identical."""
    drill = shop.drill()
    aim, _ = recovered(drill)
    with drill.copy().connect() as connection:
        connection.execute("UPDATE public.notes SET text = text || '!' WHERE id = 2")
    found = drill.compare(aim)
    with pytest.raises(NotIdentical, match=r"shop: not identical: .*public\.notes"):
        require_identical(found, "shop")
    assert shop.rows()[0].damaged
    drill.recover_to_second(drill.draw()[0])
    assert shop.rows()[0].damaged, "that it can be restored does not make it identical"
    aim, _ = recovered(drill)
    require_identical(drill.compare(aim), "shop")
    assert not shop.rows()[0].damaged


def damaged_pages(shop: Shop) -> None:
    """A page of the copy is damaged on its disk."""
    drill = shop.drill()
    aim, copy = recovered(drill)
    with drill.copy().connect() as connection:
        path = connection.execute("SELECT pg_relation_filepath('public.notes')").fetchone()[0]  # type: ignore[index]
    data = copy.restored.server.shut_down()
    spoil(data / path, 8000)
    check = drill.check_checksums(aim)
    assert check.outcome is Outcome.FAILED
    assert Path(path).name in check.found
    assert shop.rows()[0].damaged
    aim, _ = recovered(drill)
    require_identical(drill.compare(aim), "shop")


def killed_server(shop: Shop) -> None:
    """Nothing can be asked of a copy whose server died, and its pages are not called whole."""
    import os
    import signal

    drill = shop.drill()
    aim, copy = recovered(drill)
    os.kill(copy.restored.server.pid, signal.SIGKILL)
    time.sleep(0.5)
    for step in (drill.compare, drill.ask, drill.check_structure):
        with pytest.raises(CopyLost, match="no scratch server runs"):
            step(aim)
    with pytest.raises(CopyLost, match="the copy's server died"):
        drill.check_checksums(aim)


def damaged_repository(shop: Shop) -> None:
    """A file of the backup is not what was written."""
    drill = shop.drill()
    ScratchServer.remove(drill.directory)
    aim = drill.pick()
    folder = shop.repository("backup", STANZA, aim.label)
    files = [path for path in folder.rglob("*") if path.is_file() and "manifest" not in path.name]
    largest = max(files, key=lambda path: path.stat().st_size)
    kept = largest.read_bytes()
    spoil(largest, len(kept) // 2)
    with pytest.raises(BackupCorrupt, match="shop-main-db"):
        drill.recover_to_point(aim)
    row = shop.rows()[0]
    assert row.damaged
    assert row.proofs[-1].level is ProofLevel.RESTORED
    largest.write_bytes(kept)
    # Which files a failed try leaves is chance: here those that neither make a cluster nor an empty folder.
    for sign in ("PG_VERSION", "backup.manifest"):
        (drill.directory / "data" / sign).unlink(missing_ok=True)
    (drill.directory / "data" / "left").write_text("by a try that failed")
    drill.recover_to_point(aim)
    require_identical(drill.compare(aim), "shop")


def damaged_wal(shop: Shop, segment: str) -> None:
    """A segment before the point is not what was archived, which no listing shows; the recovery names it."""
    (file,) = shop.repository("archive", STANZA).glob(f"15-1/*/{segment}-*")
    kept = file.read_bytes()
    spoil(file, len(kept) // 2)
    drill = shop.drill()
    drill.check_archive()
    aim = drill.pick()
    with pytest.raises(BackupCorrupt, match=f"WAL segment {segment} cannot be read .*take a full backup"):
        drill.recover_to_point(aim)
    assert not shop.rows()[0].damaged, "the backup itself is as good as before"
    file.write_bytes(kept)


def a_hole(shop: Shop, segment: str) -> None:
    """A segment before the point is missing: nothing gets beyond it, and it is named."""
    (file,) = shop.repository("archive", STANZA).glob(f"15-1/*/{segment}-*")
    file.unlink()
    time.sleep(8)  # a point that is younger may just not be archived yet
    shown = summarise(shop.workspace, "shop", datetime.now(UTC))
    assert f"WAL segment {segment} in store primary is missing" in shown.problems[0]
    assert (shown.age_seconds or 0) > 60, "what lies behind the hole still counts as recoverable"
    drill = shop.drill()
    with pytest.raises(BackupCorrupt, match=f"WAL segment {segment} is missing"):
        drill.check_archive()
    with pytest.raises(BackupNotFound, match=f"cannot be restored.*{segment}"):
        drill.pick()
    with pytest.raises(BackupNotFound):
        drill.recover_to_second(drill.draw()[0])


def spoil(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 0xFF
    file.chmod(0o600)
    file.write_bytes(bytes(data))
