"""A protected cluster with a hot standby, its policy, and a watchdog whose messages are kept."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from include.lab.ports import free_ports
from include.lab.postgres import SUPERUSER, VOLATILE, PostgresCluster
from include.recovery.connections import connections_from_environment
from include.recovery.keys.envelope import Keyring
from include.recovery.messages import Message
from include.recovery.pgbackrest.setup import protect_cluster
from include.recovery.policy.files import load_folder
from include.recovery.policy.models import PostgresSource, ProtectedSystem
from include.recovery.postgres.heartbeat import beat
from include.recovery.postgres.prepare import prepare
from include.recovery.postgres.server import PostgresServer
from include.recovery.sources import RunInfo, pgbackrest
from include.recovery.stores.folder import FolderStore
from include.recovery.watchdog.alarms import AlarmBook, Alarms
from include.recovery.watchdog.checks import CHECKS, Check
from include.recovery.watchdog.late_backups import known_as
from include.recovery.watchdog.look import Look
from include.recovery.watchdog.watch import Pass, watch
from include.recovery.workspace import Workspace
from tests.fixtures.shared import SharedServers
from tests.integration.pgbackrest.conftest import keyring

__all__ = ["keyring"]

_SHIPPED = Path(__file__).parents[3] / "include" / "policies"
_SLOTS = {"max_slot_wal_keep_size": "512MB"}


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
class Watched:
    """The cluster, its standby, and who watches them.

    :param due: when the tier ``daily-incremental`` last had to start: shortly before now.
    """

    workspace: Workspace
    primary: PostgresCluster
    standby: PostgresCluster
    place: Path
    due: datetime
    sent: list[str] = field(default_factory=list)

    @property
    def system(self) -> ProtectedSystem:
        return self.workspace.system("labdojo")

    @property
    def source(self) -> PostgresSource:
        return self.system.source("main-db")

    @property
    def book(self) -> AlarmBook:
        return AlarmBook([FolderStore("worker", self.place / "alarms")])

    def back_up(self, tier: str, store: str = "primary") -> None:
        run = RunInfo(run_id=f"run-{secrets.token_hex(3)}", started_by="a test")
        pgbackrest.backup(self.workspace, self.system, self.source, self.system.tier(tier), run=run, store=store)

    def beat(self) -> None:
        beat(self.workspace.server(self.source))

    def write(self) -> None:
        """Something that has to be archived, and the end of its segment."""
        with self.primary.connect("labdojo") as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS public.notes (text text)")
            connection.execute("INSERT INTO public.notes VALUES ('a note')")
            connection.execute("SELECT pg_switch_wal()")

    def once(self, checks: Sequence[Check] = CHECKS) -> Pass:
        """A pass; ``sent`` has its messages."""
        self.sent.clear()

        def tell(message: Message) -> bool:
            self.sent.append(message.text)
            return True

        self.beat()
        return watch(Look.around(self.workspace, datetime.now(UTC)), self.book, tell, checks=checks)

    def knew(self, tier: str, since: timedelta) -> None:
        """Let the watchdog have known of a tier for so long."""
        now = datetime.now(UTC)
        known = {known_as(self.system.tier(tier), self.system.time_zone): now - since}
        self.book.write(Alarms(system="labdojo", at=now, known=known), now)


@pytest.fixture(scope="module")
def watched(shared_servers: SharedServers, keyring: Keyring) -> Iterator[Watched]:
    ends, place = ExitStack(), Path(tempfile.mkdtemp(prefix="lb-w-"))
    ends.callback(shutil.rmtree, place, ignore_errors=True)
    primary, standby = (
        PostgresCluster(f"watched-{name}-{secrets.token_hex(3)}", place / name, port, shared_servers.registry,
                        secrets.token_urlsafe(12), {**VOLATILE, **_SLOTS})
        for name, port in zip(("p", "s"), free_ports(2), strict=True)
    )
    with ends, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFEBOAT_PGBACKREST", str(place / "br"))
        primary.start()
        ends.callback(primary.stop)
        due = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
        workspace = EscrowWorkspace(
            load_folder(_policies(place, due)),
            connections_from_environment({"LIFEBOAT_CONNECTIONS": str(_connections(place, primary, standby))}),
            ring=keyring,
        )
        assert workspace.policies.problems == ()
        here = Watched(workspace, primary, standby, place, due)
        primary.ensure_database("labdojo", SUPERUSER)
        prepare(
            PostgresServer(str(primary.socket_directory), primary.port, SUPERUSER, database="labdojo"),
            backup_role="labdojo_backup", backup_password="x", restore_role="labdojo_restore", restore_password="x",
        )
        protect_cluster(workspace, here.system, here.source, restart=primary.restart)
        standby.directory.mkdir(mode=0o700)
        primary._tool(
            "pg_basebackup", "-D", str(standby.data), "-h", str(primary.socket_directory), "-p", str(primary.port),
            "-U", SUPERUSER, "-R", "-C", "-S", "standby1", "-X", "stream", "--checkpoint=fast", "--no-sync",
        )
        (standby.data / "lab.conf").write_text(standby._configuration())
        standby.start()
        ends.callback(standby.stop)
        here.back_up("weekly-full")
        here.back_up("weekly-full", "offsite")
        yield here


def _policies(place: Path, due: datetime) -> Path:
    """labdojo's policy with a standby, a replay proof, impatience, and a tier that was due a minute ago."""
    folder = place / "policies"
    folder.mkdir()
    text = (_SHIPPED / "labdojo.yaml").read_text()
    local = due.astimezone(ZoneInfo("Europe/Berlin"))
    for old, new in (
        ("      connection: labdojo_cluster\n", "      connection: labdojo_cluster\n      standby: labdojo_standby\n"),
        ("push_allowance: 60s, keep: 72h, replay_proof: 5m", "push_allowance: 3s, keep: 72h, replay_proof: 5m"),
        ('    cron: "0 3 * * 1-6"\n', f'    cron: "{local.minute} {local.hour} * * *"\n'),
    ):
        assert old in text
        text = text.replace(old, new)
    incremental = text.index("  - name: daily-incremental")
    text = text[:incremental] + text[incremental:].replace("grace: 30m", "grace: 1s", 1)
    (folder / "labdojo.yaml").write_text(text)
    stores = {
        name: {"kind": "folder", "path": str(place / name), "site": name, "medium": medium, "provider": name}
        for name, medium in (("primary", "disk"), ("offsite", "object-store"))
    }
    stores["offsite"]["replication"] = "copy"
    (folder / "platform.yaml").write_text(json.dumps({
        "stores": stores,
        "encryption": {"kms_connection": "kms", "kms_key": "alias/test"},
        "approvals": {"signing_connection": "signing"},
        "notifications": {"slack_connection": "slack"},
        "web": {"base_url": "http://127.0.0.1:8080"},
    }))
    return folder


def _connections(place: Path, primary: PostgresCluster, standby: PostgresCluster) -> Path:
    def to(cluster: PostgresCluster, login: str = SUPERUSER) -> dict[str, object]:
        return {
            "conn_type": "postgres", "host": str(cluster.socket_directory), "port": cluster.port, "login": login,
        }

    path = place / "connections.json"
    path.write_text(json.dumps({
        "labdojo_cluster": to(primary), "labdojo_standby": to(standby), "labdojo_backup": to(primary, "labdojo_backup"),
    }))
    return path
