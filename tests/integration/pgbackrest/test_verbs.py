"""The verbs of kind pgbackrest, from a policy to a restored cluster: real PostgreSQL, real pgBackRest, two stores."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from include.lab.ports import free_ports
from include.lab.postgres import SUPERUSER, VOLATILE, PostgresCluster
from include.recovery.catalog.model import ProofLevel
from include.recovery.connections import connections_from_environment
from include.recovery.errors import BackupCorrupt, Refused, SourceError
from include.recovery.keys.envelope import Keyring
from include.recovery.pgbackrest.setup import protect_cluster
from include.recovery.pgbackrest.stanza import open_stanza
from include.recovery.pgbackrest.target import Target
from include.recovery.policy.files import load_folder
from include.recovery.policy.models import PostgresSource, ProtectedSystem
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.retention.chains import Chains
from include.recovery.retention.gather import row_of
from include.recovery.retention.wal import wal_plan
from include.recovery.sources import RunInfo, pgbackrest
from include.recovery.workspace import Workspace
from tests.fixtures.shared import SharedServers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
_SHIPPED = Path(__file__).parents[3] / "include" / "policies"


@dataclass
class EscrowWorkspace(Workspace):
    """Without a key service.

    :param ring: what wraps the keys instead.
    """

    ring: Keyring | None = None

    def keyring(self) -> Keyring:
        assert self.ring is not None
        return self.ring


@dataclass
class Protected:
    """A cluster with its policy: labdojo's, in two folders."""

    workspace: Workspace
    cluster: PostgresCluster
    place: Path

    @property
    def system(self) -> ProtectedSystem:
        return self.workspace.system("labdojo")

    @property
    def source(self) -> PostgresSource:
        return self.system.source("main-db")

    def back_up(self, tier: str, store: str = "primary", run: str | None = None) -> str:
        return pgbackrest.backup(
            self.workspace, self.system, self.source, self.system.tier(tier), run=run_of(run), store=store
        ).id

    def sql(self, statement: str) -> object:
        with self.workspace.cluster(self.source).connect() as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None


def run_of(name: str | None = None) -> RunInfo:
    return RunInfo(run_id=name or f"run-{secrets.token_hex(3)}", started_by="a test")


@pytest.fixture(scope="module")
def protected(shared_servers: SharedServers, keyring: Keyring) -> Iterator[Protected]:
    ends, place = ExitStack(), Path(tempfile.mkdtemp(prefix="lb-v-"))
    ends.callback(shutil.rmtree, place, ignore_errors=True)
    cluster = PostgresCluster(
        f"verbs-{secrets.token_hex(3)}", place / "pg", free_ports(1)[0], shared_servers.registry,
        secrets.token_urlsafe(12), VOLATILE,
    )
    with ends, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFEBOAT_PGBACKREST", str(place / "br"))
        cluster.create()
        cluster.start()
        ends.callback(cluster.stop)
        policies = place / "policies"
        policies.mkdir()
        shutil.copy(_SHIPPED / "labdojo.yaml", policies)
        stores = {
            name: {"kind": "folder", "path": str(place / name), "site": name, "medium": medium, "provider": name}
            for name, medium in (("primary", "disk"), ("offsite", "object-store"))
        }
        stores["offsite"]["replication"] = "copy"
        (policies / "platform.yaml").write_text(json.dumps({
            "stores": stores,
            "encryption": {"kms_connection": "kms", "kms_key": "alias/test"},
            "approvals": {"signing_connection": "signing"},
            "notifications": {"slack_connection": "slack"},
            "web": {"base_url": "http://127.0.0.1:8080"},
        }))
        connections = place / "connections.json"
        connections.write_text(json.dumps({"labdojo_cluster": {
            "conn_type": "postgres", "host": str(cluster.socket_directory), "port": cluster.port, "login": SUPERUSER,
        }}))
        found = load_folder(policies)
        assert found.problems == ()
        source = connections_from_environment({"LIFEBOAT_CONNECTIONS": str(connections)})
        yield Protected(EscrowWorkspace(found, source, ring=keyring), cluster, place)


def test_from_an_unprepared_server_to_a_proven_restore(protected: Protected) -> None:
    here = protected
    with pytest.raises(SourceError, match="archive_mode is off.*lifeboat prepare labdojo --source main-db"):
        pgbackrest.precheck(here.workspace, here.system, here.source)
    assert protect_cluster(here.workspace, here.system, here.source).archive.restart_for == ("archive_mode",)
    here.cluster.stop()
    here.cluster.start()
    assert set(protect_cluster(here.workspace, here.system, here.source).arrived) == {"primary", "offsite"}
    assert "repository 1 (primary) and 2 (offsite)" in pgbackrest.precheck(here.workspace, here.system, here.source)

    here.sql("CREATE TABLE public.notes (text text)")
    full = here.back_up("weekly-full")
    offsite = here.back_up("weekly-full", "offsite")
    here.sql("INSERT INTO public.notes VALUES ('after the full')")
    increment = here.back_up("daily-incremental")
    catalog = here.workspace.catalog()
    found = catalog.backup("labdojo", "main-db", "pgbackrest", increment)
    assert (found.manifest.parent, found.manifest.tier, found.manifest.parts) == (full, "daily-incremental", ())
    assert catalog.pick("labdojo", "main-db", "pgbackrest").manifest.id == increment
    other = here.workspace.catalog("offsite").backup("labdojo", "main-db", "pgbackrest", offsite)
    assert (other.manifest.physical.repository if other.manifest.physical else 0) == 2

    assert "are in the repository of store primary" in pgbackrest.look(here.workspace, found)
    proof = pgbackrest.verify(here.workspace, found, run=run_of())
    assert (proof.ok, proof.level) == (True, ProofLevel.STORED)
    assert "without a hole" in pgbackrest.check(here.workspace, here.system, here.source)

    folder = here.place / "s1"
    try:
        restored = pgbackrest.restore(here.workspace, found, folder, run=run_of())
        with restored.server.server().connect() as connection:
            assert connection.execute("SELECT text FROM public.notes").fetchall() == [("after the full",)]
        told = pgbackrest.prove_restored(here.workspace, found, restored)
        assert (told.ok, told.level) == (True, ProofLevel.RESTORED)
    finally:
        ScratchServer.remove(folder)
    lsn = found.manifest.lsn
    assert lsn is not None
    reached = pgbackrest.find(here.workspace, here.system, here.source, Target.position(lsn))
    assert reached.manifest.id == increment


def test_the_other_store_alone_is_enough_when_server_and_primary_are_gone(protected: Protected) -> None:
    here, folder = protected, protected.place / "s2"
    backup = here.workspace.catalog("offsite").pick("labdojo", "main-db", "pgbackrest")
    primary = here.place / "primary"
    here.cluster.stop()
    primary.rename(here.place / "lost")
    try:
        restored = pgbackrest.restore(here.workspace, backup, folder, store="offsite", run=run_of())
        with restored.server.server().connect() as connection:
            assert connection.execute("SELECT text FROM public.notes").fetchall() == [("after the full",)]
    finally:
        ScratchServer.remove(folder)
        shutil.rmtree(primary, ignore_errors=True)
        (here.place / "lost").rename(primary)
        here.cluster.start()


def test_what_a_dead_try_has_finished_is_taken_in_and_not_made_again(protected: Protected) -> None:
    here, run = protected, run_of("the-run")
    with pytest.MonkeyPatch.context() as patch:
        def dies(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("include.recovery.catalog.in_progress.BackupInProgress.commit", dies)
        with pytest.raises(KeyboardInterrupt):
            here.back_up("daily-incremental", run=run.run_id)
    stanza = open_stanza(here.workspace, here.system, here.source)
    before = {each.label for each in stanza.tool.info(repository=1).in_repository(1)}
    retried = pgbackrest.backup(
        here.workspace, here.system, here.source, here.system.tier("daily-incremental"), run=run
    )
    assert {each.label for each in stanza.tool.info(repository=1).in_repository(1)} == before
    assert (retried.tier, retried.started_by) == ("daily-incremental", "a test")
    rows = here.workspace.catalog().backups("labdojo", "main-db", "pgbackrest")
    assert {row.manifest.physical.label for row in rows if row.manifest.physical} == before
    assert len(rows) == len(before)


def test_the_other_store_may_be_down(protected: Protected, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.recovery.errors import StoreUnavailable
    from include.recovery.pgbackrest import stanza as module

    real = module.cipher_pass

    def half(store: object, *words: object, **more: object) -> str:
        if getattr(store, "name", "") == "offsite":
            raise StoreUnavailable("store offsite does not answer")
        return real(store, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "cipher_pass", half)
    assert protected.back_up("daily-incremental")
    with pytest.raises(StoreUnavailable):
        protected.back_up("weekly-offsite-sync", "offsite")


def test_expiry_takes_dependants_first_and_wal_with_the_plan(protected: Protected) -> None:
    here, catalog = protected, protected.workspace.catalog()
    rows = catalog.backups("labdojo", "main-db", "pgbackrest")
    full, increments = rows[0], rows[1:]
    with pytest.raises(Refused, match="stand on"):
        pgbackrest.expire(here.workspace, full, why="a test")
    assert catalog.pick("labdojo", "main-db", "pgbackrest", full.manifest.id)
    for row in reversed(increments):
        assert pgbackrest.expire(here.workspace, row, why="a test").gone
    newest = here.back_up("weekly-full")
    assert pgbackrest.expire(here.workspace, full, why="a test").gone
    left = {row.manifest.id: row for row in catalog.backups("labdojo", "main-db", "pgbackrest")}
    assert set(left) == {newest}
    made = row_of(left[newest], "primary", {})
    from datetime import UTC, datetime, timedelta
    plan = wal_plan([made], Chains([made]), timedelta(0), datetime.now(UTC))
    assert not plan.everything
    stanza = open_stanza(here.workspace, here.system, here.source)
    old = stanza.tool.info(repository=1).archive(1)
    pgbackrest.expire_wal(
        here.workspace, here.system, "main-db", plan, {made.key: left[newest]}, store="primary", run=run_of()
    )
    now = stanza.tool.info(repository=1).archive(1)
    assert old is not None
    assert now is not None
    assert (old.first or "") < (now.first or "") <= (made.wal.start if made.wal else "")


def test_a_damaged_file_leaves_a_failed_proof_and_never_a_green(protected: Protected) -> None:
    here, catalog = protected, protected.workspace.catalog()
    backup = catalog.pick("labdojo", "main-db", "pgbackrest", "newest")
    physical = backup.manifest.physical
    assert physical is not None
    repository = here.place / "primary" / "pgbackrest" / "backup" / physical.stanza / physical.label
    file = max((path for path in repository.rglob("*") if path.is_file() and "manifest" not in path.name),
               key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.chmod(0o600)
    file.write_bytes(bytes(data))
    with pytest.raises(BackupCorrupt, match=physical.label):
        pgbackrest.verify(here.workspace, backup, run=run_of())
    assert catalog.backup("labdojo", "main-db", "pgbackrest", backup.manifest.id).damaged
