"""The file with the secrets, and that they are nowhere else."""

from __future__ import annotations

import configparser
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import LifeboatError
from include.recovery.pgbackrest import commands, workplace
from include.recovery.pgbackrest.commands import Call
from include.recovery.pgbackrest.configuration import (
    ClusterPlace,
    Configuration,
    FolderRepository,
    Folders,
    Options,
    S3Repository,
    archive_command,
    render,
)
from include.recovery.pgbackrest.target import Target

SECRETS = ("SECRET-ACCESS", "SECRET-KEY", "SECRET-PASS")


def connection(**extra: Any) -> ConnectionInfo:
    return ConnectionInfo("lifeboat_primary", login=SECRETS[0], password=SECRETS[1], extra={
        "endpoint_url": "https://s3.example.com:9443", "region_name": "us-east-1", "verify": "/etc/ca.pem", **extra
    })


def configuration(root: Path = Path("/var/lib/lifeboat/shop"), **more: Any) -> Configuration:
    repository = S3Repository.from_connection(1, "backups", connection(), cipher_pass=SECRETS[2])
    return Configuration("shop-main-db", ClusterPlace("/data", 5433, "/run"), [repository], Folders(root), **more)


def read(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return parser


def test_the_file_says_what_pgbackrest_needs() -> None:
    found = read(render(configuration()))
    general, stanza = found["global"], found["shop-main-db"]
    assert (general["repo1-s3-endpoint"], general["repo1-storage-port"]) == ("s3.example.com", "9443")
    assert (general["repo1-s3-uri-style"], general["repo1-storage-ca-file"]) == ("path", "/etc/ca.pem")
    assert (general["repo1-cipher-type"], general["repo1-cipher-pass"]) == ("aes-256-cbc", SECRETS[2])
    assert (general["repo1-storage-verify-tls"], general["repo1-bundle"], general["expire-auto"]) == ("y", "y", "n")
    assert (general["compress-type"], general["compress-level"], general["process-max"]) == ("zst", "3", "2")
    assert (general["archive-async"], general["archive-push-queue-max"]) == ("y", str(1024**3))
    assert (stanza["pg1-path"], stanza["pg1-port"], stanza["pg1-socket-path"]) == ("/data", "5433", "/run")


def test_it_never_expires_by_itself() -> None:
    assert int(read(render(configuration()))["global"]["repo1-retention-full"]) == 9_999_999


def test_two_repositories_and_a_standby() -> None:
    both = replace(
        configuration(standby=ClusterPlace("/standby", 5434), options=Options(from_standby=True, queue_max=None)),
        repositories=[FolderRepository(3, "/mnt/backups"), configuration().repositories[0]],
    )
    found = read(render(both))
    assert found["global"]["repo3-type"] == "posix"
    assert "repo3-cipher-pass" not in found["global"]
    assert "archive-push-queue-max" not in found["global"]
    assert (found["global"]["backup-standby"], found["shop-main-db"]["pg2-path"]) == ("y", "/standby")
    with pytest.raises(LifeboatError, match="has no repository 2; its repositories are 3, 1"):
        both.repository(2)


def test_the_file_is_private_from_its_first_byte_and_stays_when_it_is_right(tmp_path: Path) -> None:
    wanted = configuration(tmp_path / "shop")
    path = workplace.prepare(wanted)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (wanted.folders.log, wanted.folders.spool)} == {0o700}
    inode = path.stat().st_ino
    assert workplace.prepare(wanted).stat().st_ino == inode
    path.chmod(0o644)
    assert stat.S_IMODE(workplace.prepare(wanted).stat().st_mode) == 0o600
    assert [each.name for each in path.parent.glob("*.new")] == []


def test_secrets_are_in_the_file_and_nowhere_else() -> None:
    wanted = configuration()
    call = Call(wanted.folders.config, wanted.stanza)
    argvs = [
        commands.stanza_create(call), commands.check(call), commands.info(call, repository=1, label="x"),
        commands.backup(call, "full", 1, annotations={"a": "b"}), commands.verify(call, 1), commands.expire(call, 1),
        commands.restore(call, Target.newest(), 1), commands.list_files(call, 1, "archive"),
        commands.read_file(call, 1, "x"),
    ]
    words = [word for argv in argvs for word in argv]
    shown = [repr(wanted), archive_command(wanted), wanted.repositories[0].where, *words]
    assert not [word for word in shown if any(secret in word for secret in SECRETS)]
    assert set(wanted.secrets) == set(SECRETS)


def test_the_archive_command_survives_odd_folders() -> None:
    odd = configuration(Path("/var/my backups/100%"))
    assert archive_command(odd) == (
        "pgbackrest '--config=/var/my backups/100%%/pgbackrest.conf' --stanza=shop-main-db archive-push \"%p\""
    )


@pytest.mark.parametrize("value", ["", " x", "x ", "a\nrepo1-cipher-type=none", "a\x00b"])
def test_a_value_cannot_smuggle_a_line_in_and_a_bad_secret_is_not_shown(value: str) -> None:
    repository = replace(configuration().repositories[0], secret_key=value)  # type: ignore[type-var]
    with pytest.raises(LifeboatError, match="repo1-s3-key-secret: its value is empty") as caught:
        render(replace(configuration(), repositories=[repository]))
    assert not value.strip() or value not in str(caught.value)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=30))
def test_any_value_is_refused_or_comes_back_whole(value: str) -> None:
    repository = replace(configuration().repositories[0], secret_key=value)  # type: ignore[type-var]
    try:
        text = render(replace(configuration(), repositories=[repository]))
    except LifeboatError:
        return
    lines = [line for line in text.split("\n") if line.startswith("repo1-s3-key-secret=")]
    assert lines == [f"repo1-s3-key-secret={value}"]


def test_an_endpoint_must_be_one_that_pgbackrest_can_verify() -> None:
    with pytest.raises(LifeboatError, match="speaks only https"):
        S3Repository.from_connection(1, "b", connection(endpoint_url="http://s3.example.com"), cipher_pass=None)
    with pytest.raises(LifeboatError, match="by name, never by address"):
        S3Repository.from_connection(1, "b", connection(endpoint_url="https://10.0.0.7"), cipher_pass=None)
    local = S3Repository.from_connection(1, "b", connection(endpoint_url="https://127.0.0.1:9443"), cipher_pass=None)
    assert (local.endpoint, local.port) == ("localhost", 9443)
    unverified = S3Repository.from_connection(
        1, "b", connection(endpoint_url="https://10.0.0.7", verify=False), cipher_pass=None
    )
    assert (unverified.endpoint, unverified.verify_tls, unverified.ca_file) == ("10.0.0.7", False, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stanza": "a b"}, "is no name for a stanza"),
        ({"repositories": []}, "needs one at least"),
        ({"repositories": [FolderRepository(1, "/a"), FolderRepository(1, "/b")]}, "a number of its own"),
        ({"options": Options(from_standby=True)}, "backed up from a standby, and none is given"),
    ],
)
def test_what_cannot_work_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(LifeboatError, match=said):
        replace(configuration(), **change)
