"""A stanza's configuration from policy and connections; passes only where nothing is lost; a server that is here."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include.recovery.errors import KeyUnavailable, PolicyError, SourceError
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.pgbackrest import setup, stanza
from include.recovery.pgbackrest.cipher import cipher_prefix
from include.recovery.pgbackrest.cluster import Cluster, Prepared
from include.recovery.pgbackrest.configuration import S3Repository, render
from include.recovery.pgbackrest.info import ArchiveRange
from include.recovery.pgbackrest.setup import protect_cluster
from include.recovery.pgbackrest.stanza import open_stanza, options_of
from include.recovery.policy.physical_models import Compression

SEGMENT = "0000000100000000000000A7"


def cluster(data: Path, **facts: Any) -> Cluster:
    values: dict[str, Any] = {
        "data_directory": str(data), "port": 19101, "socket_directory": str(data.parent), "config_file": "x.conf",
        "version": "15.8", "system_identifier": "7710618046853830516", "timeline": 1, "in_recovery": False,
        "user": "postgres", "superuser": True, "databases": ("labdojo",), "size": 1, "wal_segment_bytes": 1 << 24,
        "wal_level": "replica", "archive_mode": "off", "archive_command": "", "archive_library": "",
        "archive_timeout": None, "full_page_writes": True, "data_checksums": False, "max_slot_wal_keep_size": "-1",
    }  # fmt: skip
    return Cluster(**(values | facts))


class Host:
    """A database's host where every call is written down, in order."""

    def __init__(self, found: Cluster) -> None:
        self.found = found
        self.calls: list[str] = []
        self.restart_for: tuple[str, ...] = ("archive_mode",)
        self.last: str | None = SEGMENT

    def restart(self) -> None:
        self.calls.append("restart")
        self.restart_for = ()

    def ensure_stanza(self, tool: Any, **_: Any) -> bool:
        assert tool.call.config.stat().st_mode & 0o777 == 0o600
        self.calls.append("stanza")
        return True

    def prepare_archive(self, _server: Any, command: str, timeout: timedelta) -> Prepared:
        assert command.endswith('--stanza=labdojo-main-db archive-push "%p"')
        assert timeout == timedelta(seconds=60)
        self.calls.append("archive")
        return Prepared({"archive_mode": "off"} if self.restart_for else {}, self.restart_for)

    def run(self, argv: list[str], _doing: str, **_: Any) -> bytes:
        self.calls.append(argv[-1])
        return b""

    def archive(self, number: int) -> ArchiveRange:
        return ArchiveRange("15-1", number, 1, self.last, self.last)


@pytest.fixture
def workspace(folder_workspace: Any, escrow_key: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    keyring = Keyring([EscrowWrapper(private_key_pem=escrow_key.private_pem)])
    monkeypatch.setattr(type(folder_workspace), "keyring", lambda _self: keyring)
    connections = folder_workspace.connections
    found = connections("signing")
    folder_workspace.connections = lambda name: replace(found, id=name, host="/socket", port=19101)
    return folder_workspace


@pytest.fixture
def policy(workspace: Any) -> Any:
    return workspace.system("labdojo")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("15")
    host = Host(cluster(data))
    monkeypatch.setenv("LIFEBOAT_PGBACKREST", str(tmp_path / "br"))
    for module in (setup, stanza):
        monkeypatch.setattr(module, "ask_cluster", lambda _server: host.found)
    monkeypatch.setattr(setup, "ensure_stanza", host.ensure_stanza)
    monkeypatch.setattr(setup, "prepare_archive", host.prepare_archive)
    monkeypatch.setattr(setup.PgBackRest, "run", lambda _self, *words, **more: host.run(*words, **more))
    monkeypatch.setattr(setup.PgBackRest, "info", lambda _self: host)
    return host


def test_the_stanza_is_there_before_anything_is_archived_and_wal_is_seen_to_arrive(
    workspace: Any, policy: Any, host: Host, tmp_path: Path
) -> None:
    done = protect_cluster(workspace, policy, policy.sources[0], restart=host.restart)
    assert host.calls == ["stanza", "archive", "restart", "archive", "check"]
    assert not done.needs_restart
    assert done.arrived == {"primary": SEGMENT, "offsite": SEGMENT}
    assert done.in_words == (
        "stanza labdojo-main-db made in primary, offsite; changed archive_mode; "
        f"WAL arrived: {SEGMENT} in primary, {SEGMENT} in offsite"
    )


def test_a_second_time_restarts_nothing_and_writes_nothing(
    workspace: Any, policy: Any, host: Host, tmp_path: Path
) -> None:
    protect_cluster(workspace, policy, policy.sources[0], restart=host.restart)
    file = tmp_path / "br" / "labdojo-main-db" / "pgbackrest.conf"
    before, host.calls = (file.stat().st_mtime_ns, file.read_bytes()), []
    protect_cluster(workspace, policy, policy.sources[0], restart=host.restart)
    assert host.calls == ["stanza", "archive", "check"]
    assert (file.stat().st_mtime_ns, file.read_bytes()) == before
    for store in ("primary", "offsite"):
        assert len(list(workspace.store(store).list(cipher_prefix("labdojo", "main-db")))) == 1


def test_without_a_restart_nothing_is_checked_and_it_is_said(
    workspace: Any, policy: Any, host: Host, tmp_path: Path
) -> None:
    done = protect_cluster(workspace, policy, policy.sources[0])
    assert host.calls == ["stanza", "archive"]
    assert done.needs_restart
    assert done.in_words.endswith("restart the server for archive_mode, until then nothing is archived")


def test_a_repository_that_stays_empty_is_an_error(workspace: Any, policy: Any, host: Host, tmp_path: Path) -> None:
    host.last = None
    with pytest.raises(SourceError, match="the repository in primary holds no WAL"):
        protect_cluster(workspace, policy, policy.sources[0], restart=host.restart)


def test_another_host_or_a_standby_is_refused_before_anything_is_written(
    workspace: Any, policy: Any, host: Host, tmp_path: Path
) -> None:
    here = host.found
    for found, why in (
        (replace(here, data_directory="/nowhere"), "run this on the database's host"),
        (replace(here, in_recovery=True), "is a standby, and the primary archives"),
    ):
        host.found = found
        with pytest.raises(SourceError, match=why):
            protect_cluster(workspace, policy, policy.sources[0])
    assert host.calls == []
    assert not (tmp_path / "br").exists()
    assert not list(workspace.store("primary").list(cipher_prefix("labdojo", "main-db")))


def test_no_new_pass_for_a_repository_that_holds_something(
    workspace: Any, policy: Any, host: Host, tmp_path: Path
) -> None:
    workspace.store("offsite").put("pgbackrest/archive/labdojo-main-db/archive.info", b"sealed")
    with pytest.raises(KeyUnavailable, match=r"holds pgbackrest/archive/labdojo-main-db/archive\.info; copy"):
        protect_cluster(workspace, policy, policy.sources[0])
    assert host.calls == []


def test_a_backup_gets_the_very_configuration_that_archiving_uses_and_makes_no_pass(
    workspace: Any, policy: Any, host: Host, tmp_path: Path
) -> None:
    source = policy.sources[0]
    with pytest.raises(KeyUnavailable):
        open_stanza(workspace, policy, source)
    protect_cluster(workspace, policy, source)
    written = (tmp_path / "br" / "labdojo-main-db" / "pgbackrest.conf").read_text()
    configuration = open_stanza(workspace, policy, source).configuration
    assert render(configuration) == written
    passes = [repository.cipher_pass for repository in configuration.repositories]
    assert len(set(passes)) == 2, "each store has a pass of its own"


def test_a_repository_in_s3_is_the_stores_repository_bucket(
    workspace: Any, policy: Any, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.recovery.policy.files import load_folder

    shipped = load_folder(Path(setup.__file__).parents[2] / "policies").platform
    monkeypatch.setattr(stanza, "_held", lambda *_: None)
    catalogs = {name: workspace.store(name) for name in ("primary", "offsite")}
    monkeypatch.setattr(type(workspace), "store", lambda _self, name: catalogs[name])
    monkeypatch.setattr(type(workspace.policies), "platform", shipped)
    found = workspace.connections("x")
    extra = {"endpoint_url": "https://127.0.0.1:19443", "region_name": "us-east-1"}
    workspace.connections = lambda name: replace(found, id=name, login=name, password="x", extra=extra)
    made = open_stanza(workspace, policy, policy.sources[0], create=True).configuration.repositories
    assert [(r.number, r.bucket, r.access_key, r.endpoint, r.path) for r in made if isinstance(r, S3Repository)] == [
        (1, "lifeboat-primary-repo", "lifeboat_primary_repo", "localhost", "/pgbackrest"),
        (2, "lifeboat-offsite-repo", "lifeboat_offsite_repo", "localhost", "/pgbackrest"),
    ]


def test_options_are_the_policys(policy: Any) -> None:
    physical = policy.sources[0].physical.model_copy(
        update={"process_max": 3, "compress": Compression(type="lz4", level=1), "queue_max": 1 << 30}
    )
    options = options_of(physical)
    assert (options.process_max, options.push_processes) == (3, 2)
    assert (options.compress_type, options.compress_level) == ("lz4", 1)
    assert (options.queue_max, options.from_standby) == (1 << 30, False)


def test_a_source_without_the_block_is_a_sentence(workspace: Any, policy: Any, tmp_path: Path) -> None:
    bare = policy.sources[0].model_copy(update={"physical": None, "wal": None})
    with pytest.raises(PolicyError, match="no 'physical' block"):
        protect_cluster(workspace, policy, bare)


def test_the_standby_is_reached_over_ssh_when_it_is_elsewhere(
    workspace: Any, policy: Any, host: Host, tmp_path: Path
) -> None:
    source = policy.sources[0]
    found = workspace.connections("x")
    workspace.connections = lambda name: replace(found, id=name, host="db2" if name == "standby" else "/socket")
    physical = source.physical.model_copy(update={"backup_from": "standby", "standby": "standby"})
    from_standby = source.model_copy(update={"physical": physical})
    made = open_stanza(workspace, policy, from_standby, create=True).configuration
    assert made.standby is not None
    assert made.standby.host == "db2"
    assert "backup-standby=y" in render(made)
    named_only = source.model_copy(update={"physical": physical.model_copy(update={"backup_from": "primary"})})
    assert open_stanza(workspace, policy, named_only).configuration.standby is None


def test_secrets_show_in_no_words(workspace: Any, policy: Any, host: Host, tmp_path: Path) -> None:
    done = protect_cluster(workspace, policy, policy.sources[0])
    configuration = open_stanza(workspace, policy, policy.sources[0]).configuration
    for secret in configuration.secrets:
        assert secret not in repr(done) + repr(configuration) + done.in_words
