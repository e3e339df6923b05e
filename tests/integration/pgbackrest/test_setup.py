"""`lifeboat prepare --physical` on a real server: from a cluster that archives nothing to WAL in every repository."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.lab.ports import free_ports
from include.lab.postgres import SUPERUSER, VOLATILE, PostgresCluster
from include.recovery.catalog.points import RecoveryPoints
from include.recovery.errors import KeyUnavailable, LifeboatError
from include.recovery.heartbeats import pulses
from include.recovery.keys.envelope import Keyring
from include.recovery.pgbackrest import setup
from include.recovery.pgbackrest.cipher import cipher_prefix
from include.recovery.pgbackrest.setup import protect_cluster
from include.recovery.postgres.prepare import prepare
from include.recovery.postgres.server import PostgresServer
from include.recovery.restore_points import keep_point
from include.recovery.workspace import Workspace
from tests.fixtures.shared import SharedServers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


class Protected:
    """The shipped policy of labdojo on a small cluster of its own, with folders as stores."""

    def __init__(self, workspace: Workspace, cluster: PostgresCluster, home: Path) -> None:
        self.workspace, self.cluster, self.home = workspace, cluster, home
        self.policy = workspace.system("labdojo")
        self.source = self.policy.sources[0]
        self.restarts = 0

    def restart(self) -> None:
        self.restarts += 1
        self.cluster.restart()

    def protect(self, *, by_hand: bool = False) -> Any:
        restart = None if by_hand else self.restart
        return protect_cluster(self.workspace, self.policy, self.source, restart=restart)

    def setting(self, name: str) -> str:
        with self.cluster.connect() as connection:
            return str(connection.execute("SELECT current_setting(%s)", [name]).fetchone()[0])  # type: ignore[index]


@pytest.fixture
def protected(
    shared_servers: SharedServers, folder_workspace: Workspace, keyring: Keyring, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Protected]:
    place = Path("/tmp") / f"lb-p-{secrets.token_hex(3)}"  # noqa: S108 - short, since a socket lies in there
    name = f"protected-{secrets.token_hex(3)}"
    password, (port,) = secrets.token_urlsafe(9), free_ports(1)
    cluster = PostgresCluster(name, place, port, shared_servers.registry, password, VOLATILE)
    with ExitStack() as ends:
        ends.callback(shutil.rmtree, place, ignore_errors=True)
        cluster.start()
        ends.callback(cluster.stop)
        cluster.ensure_database("labdojo", SUPERUSER)
        with cluster.connect("labdojo") as connection:
            connection.execute("CREATE TABLE public.users AS SELECT generate_series(1, 500) AS id")
        server = PostgresServer(str(place), cluster.port, SUPERUSER, database="labdojo")
        prepare(server, backup_password="b", restore_password="r", backup_role="labdojo_backup",
                restore_role="labdojo_restore")  # fmt: skip
        found = folder_workspace.connections("signing")
        logins = {"labdojo_cluster": SUPERUSER}
        folder_workspace.connections = lambda asked: replace(
            found, id=asked, host=str(place), port=cluster.port, login=logins.get(asked, asked), password=""
        )
        monkeypatch.setenv("LIFEBOAT_PGBACKREST", str(tmp_path / "br"))
        monkeypatch.setattr(Workspace, "keyring", lambda _self: keyring)
        yield Protected(folder_workspace, cluster, tmp_path / "br")


def repository_files(protected: Protected, store: str) -> list[str]:
    stanza = "labdojo-main-db"
    prefix = f"pgbackrest/archive/{stanza}/"
    return [info.key.removeprefix(prefix) for info in protected.workspace.store(store).list(prefix)]


def test_from_nothing_to_wal_in_every_repository_with_one_restart(protected: Protected) -> None:
    first = protected.protect()
    assert (protected.restarts, first.stanza_made, first.needs_restart) == (1, True, False)
    assert set(first.arrived) == {"primary", "offsite"}
    for store, segment in first.arrived.items():
        assert any(segment in key for key in repository_files(protected, store)), store
    assert (protected.setting("archive_mode"), protected.setting("archive_timeout")) == ("on", "1min")
    again = protected.protect()
    assert (protected.restarts, again.stanza_made, again.archive.changed) == (1, False, {})
    assert again.arrived["primary"] > first.arrived["primary"], "each time a segment is seen to arrive"
    file = protected.home / "labdojo-main-db" / "pgbackrest.conf"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "cipher-pass" not in protected.setting("archive_command")


def test_without_a_restart_the_server_works_on_and_nothing_piles_up(protected: Protected) -> None:
    done = protected.protect(by_hand=True)
    assert done.needs_restart
    assert done.arrived == {}
    assert protected.setting("archive_mode") == "off"
    protected.cluster.restart()
    assert set(protected.protect(by_hand=True).arrived) == {"primary", "offsite"}


def test_a_lost_pass_is_not_replaced_and_archiving_is_left_as_it_is(protected: Protected) -> None:
    protected.protect()
    store = protected.workspace.store("offsite")
    shutil.rmtree(store._root / cipher_prefix("labdojo", "main-db"))  # type: ignore[attr-defined]
    command = protected.setting("archive_command")
    with pytest.raises(KeyUnavailable, match="store offsite has no pass .* a new pass cannot read it"):
        protected.protect()
    assert protected.setting("archive_command") == command


def test_an_archive_command_that_moves_nothing_is_no_success(
    protected: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "archive_command", lambda _configuration: "/bin/true")
    with pytest.raises(LifeboatError, match="archive_command"):
        protected.protect()


def test_neither_catalog_nor_sweep_takes_the_repository_for_its_own(protected: Protected) -> None:
    """Without a bucket of its own, the repository lies beside the backups."""
    protected.protect()
    before = repository_files(protected, "primary")
    catalog = protected.workspace.catalog("primary")
    assert (catalog.backups("labdojo"), catalog.debris()) == ([], {})
    assert catalog.sweep(timedelta(0), datetime.now(UTC) + timedelta(days=1)) == []
    catalog.rebuild_index()
    assert set(before) <= set(repository_files(protected, "primary"))


def test_a_point_and_a_heartbeat_of_the_protected_database(protected: Protected) -> None:
    protected.protect()
    (pulse,) = pulses(protected.workspace)
    pulse.once()
    assert pulse.failing is None
    kept = keep_point(protected.workspace, protected.policy, protected.source)
    assert (kept.point.kind, kept.warnings) == ("verifiable", ())
    assert kept.point.heartbeat is not None
    for store in ("primary", "offsite"):
        found = RecoveryPoints(protected.workspace.store(store))
        (entry,) = found.listed("labdojo", "main-db")
        assert found.read(entry).fingerprint == kept.point.fingerprint
    assert 0 <= kept.point.waited_ms < 200
