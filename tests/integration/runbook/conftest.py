"""A system whose cluster archives to a bucket and to a folder: what the recoveries of the runbook need."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from include.lab.ports import free_ports
from include.lab.postgres import SUPERUSER, VOLATILE, PostgresCluster
from include.recovery.connections import ConnectionInfo, connections_from_environment
from include.recovery.evidence.signing import Signer
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.pgbackrest.setup import protect_cluster
from include.recovery.policy.files import load_folder
from include.recovery.policy.models import PostgresSource, ProtectedSystem
from include.recovery.postgres.heartbeat import beat
from include.recovery.postgres.prepare import prepare
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer
from include.recovery.sources import RunInfo, pgbackrest
from include.recovery.workspace import Workspace
from tests.fixtures.shared import SharedServers
from tests.recovery.conftest import EscrowKey, escrow_key

if TYPE_CHECKING:
    from tests.fixtures.servers import ObjectStores

__all__ = ["escrow_key"]

ZONE = "Europe/Berlin"


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
class Quay:
    """A protected cluster with its policy.

    :param place: for scratch folders; short, since sockets lie in there.
    """

    workspace: Workspace
    cluster: PostgresCluster
    place: Path
    name: str

    @property
    def system(self) -> ProtectedSystem:
        return self.workspace.system(self.name)

    @property
    def source(self) -> PostgresSource:
        return self.system.source("main-db")

    @property
    def database(self) -> PostgresServer:
        """The live one, as its superuser."""
        return self.workspace.cluster(self.source).with_database("quay")

    def sql(self, *statements: str) -> Any:
        """Run statements, each in a transaction of its own; the last one's first value."""
        with self.database.connect() as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchone()[0] if cursor.description else None

    def note(self, text: str) -> datetime:
        """Write a row; the moment after its commit."""
        self.sql(f"INSERT INTO public.notes (text) VALUES ('{text}')")
        return self.sql("SELECT clock_timestamp()").astimezone(UTC)

    def back_up(self, store: str = "primary", tier: str = "base") -> str:
        return pgbackrest.backup(
            self.workspace, self.system, self.source, self.system.tier(tier), run=run_of(), store=store
        ).id

    def archive_all(self, seconds: float = 60) -> str:
        """Close the segment and wait until it is archived; its name."""
        ask = "SELECT pg_walfile_name(pg_current_wal_insert_lsn())"
        name = self.sql("SELECT pg_create_restore_point('closing')", ask)
        self.sql("SELECT pg_switch_wal()")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (self.sql("SELECT last_archived_wal FROM pg_stat_archiver") or "")[:24] >= name:
                return name
            time.sleep(0.1)
        raise AssertionError(f"{name} was not archived within {seconds} s")

    @contextmanager
    def beating(self) -> Iterator[None]:
        """The heartbeat, each half second."""
        end = threading.Event()

        def work() -> None:
            while not end.wait(0.5):
                beat(self.database)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def scratch(self) -> Path:
        """A folder for a scratch server."""
        return self.place / f"s{secrets.token_hex(2)}"


def run_of() -> RunInfo:
    return RunInfo(run_id=f"run-{secrets.token_hex(3)}", started_by="a test")


def notes(server: PostgresServer) -> list[str]:
    """The rows of a copy."""
    with server.connect() as connection:
        return [row[0] for row in connection.execute("SELECT text FROM public.notes ORDER BY id")]


def policy(name: str) -> dict[str, Any]:
    approval = {"role": "commander", "people": 1, "expires": "30m"}
    tier = {"sources": ["main-db"], "grace": "1h"}
    return {
        "system": name, "title": "The quay", "time_zone": ZONE, "priority": 1,
        "objectives": {"gold": {"rpo": "15m", "rto": "1h"}},
        "scenarios": {
            "database_corruption": {"rto": "1h", "approval": approval, "help": "The database is damaged."},
            "point_in_time": {"rto": "1h", "approval": approval, "help": "Back to a second."},
            "whole_cluster": {"rto": "1h", "approval": approval, "help": "The server is lost."},
        },
        "sources": [{
            "name": "main-db", "kind": "postgres", "data_class": "gold", "database": "quay",
            "connections": {"backup": "quay_backup", "restore": "quay_restore"},
            "physical": {"connection": "quay_cluster", "heartbeat": "2s"},
            "wal": {"archive_timeout": "60s", "push_allowance": "60s"},
            "validation": [{"name": "there are notes", "sql": "select count(*) from notes", "at_least": 1}],
        }],
        "tiers": [
            {**tier, "name": "daily", "method": "logical", "cron": "0 2 * * *", "keep": {"days": 7},
             "stores": ["primary", "offsite"]},
            {**tier, "name": "base", "method": "full", "cron": "0 3 * * 0", "keep": {"weeks": 4},
             "stores": ["primary", "offsite"]},
            {**tier, "name": "increment", "method": "incremental", "cron": "0 3 * * 1-6", "keep": {"weeks": 4},
             "stores": ["primary", "offsite"]},
        ],
        "drills": {"weekly": {"cron": "0 5 * * 0", "sources": ["main-db"], "recovery_point": "newest"}},
        "owners": {"backup": {"primary": "commander", "secondary": "commander"}},
        "roles": {"commander": {"people": ["ada", "grace"], "responsible_for": "everything"}},
        "contacts": [{"name": "Commander", "email": "ic@quay.test"}],
        "review": {"last": "2026-11-02", "every": "365d"},
    }  # fmt: skip


def connection_of(info: ConnectionInfo) -> dict[str, Any]:
    return {
        "conn_type": "aws", "host": info.host, "port": info.port, "login": info.login, "password": info.password,
        "extra": dict(info.extra),
    }  # fmt: skip


@pytest.fixture(scope="module")
def quay(shared_servers: SharedServers, object_stores: ObjectStores, escrow_key: EscrowKey) -> Iterator[Quay]:
    """The primary store is a bucket in S3, over TLS, the offsite one a folder; archiving, nothing backed up yet."""
    ends, place = ExitStack(), Path(tempfile.mkdtemp(prefix="lb-q-"))
    ends.callback(shutil.rmtree, place, ignore_errors=True)
    name = f"quay-{secrets.token_hex(3)}"
    cluster = PostgresCluster(
        name, place / "pg", free_ports(1)[0], shared_servers.registry, secrets.token_urlsafe(12), VOLATILE
    )
    with ends, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFEBOAT_PGBACKREST", str(place / "br"))
        cluster.start()
        ends.callback(cluster.stop)
        policies = place / "policies"
        policies.mkdir()
        (policies / f"{name}.yaml").write_text(yaml.safe_dump(policy(name), sort_keys=False))
        stores: dict[str, dict[str, Any]] = {
            "primary": {
                "kind": "s3", "medium": "object-store", "provider": "ceph", "connection": "primary",
                "bucket": "lifeboat-primary", "region": "us-east-1", "site": "us-east-1",
                "repository": {"bucket": "lifeboat-primary-repo", "connection": "primary_repo"},
            },
            "offsite": {
                "kind": "folder", "path": str(place / "offsite"), "site": "cellar", "medium": "disk",
                "provider": "own", "replication": "copy",
            },
        }  # fmt: skip
        (policies / "platform.yaml").write_text(json.dumps({
            "stores": stores,
            "encryption": {"kms_connection": "kms", "kms_key": "alias/test"},
            "approvals": {"signing_connection": "signing"},
            "notifications": {"slack_connection": "slack"},
            "web": {"base_url": "http://127.0.0.1:8080"},
        }))
        server = {"conn_type": "postgres", "host": str(cluster.socket_directory), "port": cluster.port}
        connections = place / "connections.json"
        connections.write_text(json.dumps({
            "primary": connection_of(object_stores.connections["primary"]),
            "primary_repo": connection_of(object_stores.repositories["primary"]),
            "signing": {"conn_type": "generic", "password": Signer.generate().private_pem()},
            "quay_cluster": {**server, "login": SUPERUSER, "extra": cluster.control},
            "quay_backup": {**server, "login": "quay_backup"},
            "quay_restore": {**server, "login": "quay_restore"},
        }))
        found = load_folder(policies)
        assert found.problems == ()
        source = connections_from_environment({"LIFEBOAT_CONNECTIONS": str(connections)})
        ring = Keyring([EscrowWrapper(private_key_pem=escrow_key.private_pem)])
        quay = Quay(EscrowWorkspace(found, source, ring=ring), cluster, place, name)
        ends.callback(lambda: [ScratchServer.remove(folder) for folder in place.glob("s*")])
        cluster.ensure_role("quay_app", secrets.token_urlsafe(12))
        cluster.ensure_database("quay", "quay_app")
        quay.sql("SET ROLE quay_app; CREATE TABLE public.notes (id serial PRIMARY KEY, text text)")
        prepare(
            quay.database, backup_role="quay_backup", restore_role="quay_restore", backup_password="b",
            restore_password="r",
        )  # fmt: skip
        assert not protect_cluster(quay.workspace, quay.system, quay.source, restart=cluster.restart).needs_restart
        yield quay
