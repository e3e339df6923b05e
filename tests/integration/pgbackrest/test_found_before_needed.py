"""What would spoil a recovery is found by the check that follows each backup, in one sentence, before anybody needs it.

Issue by issue of the archive, on a real cluster, by the verbs that the DAGs call. The others of the list are here:

=========================================  =============================================================================
archive_command failing for ten minutes    recovery/pgbackrest/test_archiver.py, test_damage.py (on a real server)
damaged backup file                        test_verbs.py (failed proof), test_damage.py (verify)
incremental whose full is gone             test_damage.py, recovery/pgbackrest/test_info.py
target before the first backup             test_points_in_time.py, recovery/pgbackrest/test_choose.py
target after the last WAL                  test_points_in_time.py, test_damage.py (recovery itself)
target inside a gap                        below; recovery/pgbackrest/test_choose.py
target malformed, in a DST fold or gap     recovery/pgbackrest/test_target.py
standby stopped                            test_replay.py (of the archive), integration/postgres/test_standby.py (hot)
.partial at a promotion                    below; recovery/pgbackrest/test_wal.py
=========================================  =============================================================================
"""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from include.lab.buckets import Credentials, client
from include.lab.ceph import CephCluster, CephPorts
from include.lab.tls import Certificates
from include.recovery.connections import ConnectionInfo
from include.recovery.errors import BackupCorrupt, BackupNotFound, StoreError
from include.recovery.pgbackrest.configuration import S3Repository
from include.recovery.pgbackrest.setup import protect_cluster
from include.recovery.pgbackrest.stanza import open_stanza
from include.recovery.pgbackrest.target import Target
from include.recovery.sources import pgbackrest
from tests.fixtures.servers import ObjectStores
from tests.fixtures.shared import SharedServers
from tests.integration.pgbackrest.conftest import make_world
from tests.integration.pgbackrest.test_verbs import Protected, protected

__all__ = ["protected"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
_IDENTIFIER = slice(24, 32)
"""Where the first page of a segment holds the identifier of its system."""


@pytest.fixture(scope="module")
def archived(protected: Protected) -> Protected:
    """With a full backup, and nothing wrong."""
    protect_cluster(protected.workspace, protected.system, protected.source, restart=protected.cluster.restart)
    protected.sql("CREATE TABLE IF NOT EXISTS public.notes (text text)")
    protected.back_up("weekly-full")
    check(protected)
    return protected


def check(here: Protected) -> str:
    """What the DAG of each backup calls last."""
    return pgbackrest.check(here.workspace, here.system, here.source)


def close(here: Protected) -> str:
    """A segment with something in it, archived in both repositories; its name."""
    here.sql(f"INSERT INTO public.notes VALUES ('{secrets.token_hex(8)}')")
    name = str(here.sql("SELECT pg_walfile_name(pg_switch_wal())"))
    end = time.monotonic() + 60
    while not (str(here.sql("SELECT last_archived_wal FROM pg_stat_archiver")) >= name and find(here, name)):
        assert time.monotonic() < end, f"{name} is not archived"
        time.sleep(0.2)
    return name


def find(here: Protected, name: str) -> list[Path]:
    """The files of a segment in the primary store's repository."""
    return sorted((here.place / "primary" / "pgbackrest" / "archive").glob(f"*/*/*/{name}-*"))


def call(here: Protected, *words: str) -> None:
    """pgBackRest by hand, synchronously."""
    tool = open_stanza(here.workspace, here.system, here.source).tool.call
    subprocess.run(
        [tool.program, f"--config={tool.config}", f"--stanza={tool.stanza}", "--no-archive-async", *words],
        check=True, capture_output=True, env=os.environ,
    )  # fmt: skip


def push(here: Protected, name: str, content: bytes) -> None:
    """Put a segment into the archive, whatever it holds."""
    file = here.cluster.data / "pg_wal" / name
    kept = file.read_bytes() if file.exists() else None
    file.write_bytes(content)
    try:
        call(here, "--no-archive-header-check", "archive-push", str(file))
    finally:
        if kept is None:
            file.unlink()
        else:
            file.write_bytes(kept)


def fetch(here: Protected, name: str) -> bytes:
    """A segment from the archive."""
    file = here.place / "fetched"
    call(here, "archive-get", name, str(file))
    return file.read_bytes()


def foreign(here: Protected, name: str) -> None:
    """The segment of this name, as another system has written it: whole, only not ours."""
    content = bytearray(fetch(here, name))
    content[_IDENTIFIER] = (1234567890).to_bytes(8, "little")
    for store in ("primary", "offsite"):
        for file in (here.place / store / "pgbackrest" / "archive").glob(f"*/*/*/{name}-*"):
            file.unlink()
    push(here, name, bytes(content))


def twin(here: Protected, name: str) -> None:
    """A second one of this name, with another content."""
    (file,) = find(here, name)
    file.with_name(file.name.replace(file.name[25:65], "0" * 40)).write_bytes(file.read_bytes())


def halve(here: Protected, name: str) -> None:
    (file,) = find(here, name)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(here: Protected, name: str) -> None:
    (file,) = find(here, name)
    file.write_bytes(b"")


def remove(here: Protected, name: str) -> None:
    (file,) = find(here, name)
    file.unlink()


@pytest.fixture
def segment(archived: Protected) -> Iterator[str]:
    """The newest segment, brought back in the end."""
    name = close(archived)
    kept = {file: file.read_bytes() for store in ("primary", "offsite")
            for file in (archived.place / store / "pgbackrest" / "archive").glob(f"*/*/*/{name}-*")}
    yield name
    for store in ("primary", "offsite"):
        for file in (archived.place / store / "pgbackrest" / "archive").glob(f"*/*/*/{name}-*"):
            file.unlink()
    for file, content in kept.items():
        file.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (remove, "is missing"),
        (halve, "cannot be read|is damaged|not what"),
        (empty, "is empty"),
        (foreign, "another system|system 1234567890"),
        (twin, "2 times with different contents"),
    ],
)
def test_a_spoiled_segment_is_named_and_nothing_is_green(
    archived: Protected, segment: str, spoil: Callable[[Protected, str], None], words: str
) -> None:
    spoil(archived, segment)
    with pytest.raises(BackupCorrupt, match=words) as caught:
        check(archived)
    assert segment in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(BackupCorrupt):
        check(archived)  # asked again, it is no greener


def test_the_same_segment_twice_and_a_partial_one_are_normal(archived: Protected, segment: str) -> None:
    content = fetch(archived, segment)
    push(archived, segment, content)
    push(archived, f"{segment}.partial", content)
    assert "without a hole" in check(archived)


def test_a_moment_inside_a_gap_is_refused_before_anything_is_copied(archived: Protected, segment: str) -> None:
    lost = str(archived.sql("SELECT pg_current_wal_lsn()"))
    close(archived)
    reached = pgbackrest.find(archived.workspace, archived.system, archived.source, Target.position(lost))
    assert reached.manifest.physical is not None
    remove(archived, segment)
    with pytest.raises(BackupNotFound, match=f"WAL segment {segment} is missing"):
        pgbackrest.find(archived.workspace, archived.system, archived.source, Target.position(lost))


def test_a_full_repository_is_said_to_be_full_and_holds_no_backup(
    shared_servers: SharedServers, object_stores: ObjectStores, certificates: Certificates
) -> None:
    """A quota, as a provider sets one: what does not fit is no backup, and its sentence names the cause."""
    connection = object_stores.repositories["primary"]
    port = urlsplit(connection.extra["endpoint_url"]).port or 0
    ports = CephPorts(monitor=port - 1, gateway=port, osd=port + 1)
    ceph = CephCluster(
        "primary", shared_servers.directory / "primary", ports, certificates, shared_servers.registry
    )
    name, keys = f"full-{secrets.token_hex(3)}", Credentials.random()
    ceph.make_user(name, keys.access_key, keys.secret_key)
    s3 = client(ceph.endpoint, connection.extra["region_name"], keys, certificates.authority)
    s3.create_bucket(Bucket=name)
    place = ConnectionInfo(name, login=keys.access_key, password=keys.secret_key, extra=connection.extra)
    world = make_world(
        shared_servers.registry, [S3Repository.from_connection(1, name, place, cipher_pass="a pass", path="/r")]
    )
    with world.ends:
        world.archive_all()
        used = sum(entry["Size"] for entry in s3.list_objects_v2(Bucket=name)["Contents"])
        ceph.admin("quota", "set", "--uid", name, "--quota-scope=user", f"--max-size={used + (1 << 20)}")
        ceph.admin("quota", "enable", "--uid", name, "--quota-scope=user")
        with pytest.raises(StoreError, match="is full: make room, by retention or a larger quota") as caught:
            world.back_up()
        assert "\n" not in str(caught.value)
        assert world.tool.info(repository=1).in_repository(1) == ()
        with pytest.raises(BackupNotFound):
            world.choose(Target.time(datetime.now(UTC)))
