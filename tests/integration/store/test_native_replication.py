"""Two zones of one realm: the stores bring a backup over by themselves, and Lifeboat waits, verifies and records."""

from __future__ import annotations

import io
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from include.lab.ceph import OSD_PORTS, CephCluster, CephPorts
from include.lab.ports import LOOPBACK, free_ports
from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import ProofLevel
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.parts.read import open_part
from include.recovery.replication import await_replication
from include.recovery.stores.s3 import S3Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.lab.tls import Certificates
    from tests.fixtures.shared import SharedServers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SYNC = ("--access-key=SYNCSYNCSYNCSYNCSYNC", "--secret=syncsyncsyncsyncsyncsyncsyncsyncsyncsync")
KEYS = {"access_key": "APPAPPAPPAPPAPPAPPAP", "secret_key": "appappappappappappappappappappappappappa"}


@pytest.fixture(scope="module")
def zones(shared_servers: SharedServers, certificates: Certificates) -> Iterator[tuple[S3Store, S3Store]]:
    """The same versioned bucket in two zones that copy each other."""
    each = 3 + OSD_PORTS
    first = free_ports(2 * each)[0]
    clusters = []
    for number, zone in enumerate(("us-east-1", "us-west-2")):
        at = first + number * each
        ports = CephPorts(monitor=at, gateway=at + 1, plain=at + 2, osd=at + 3)
        directory = shared_servers.directory / f"zone-{number}"
        clusters.append(
            CephCluster(f"zone-{number}", directory, ports, certificates, shared_servers.registry, zone=zone)
        )
    east, west = clusters
    try:
        east.create()
        own = f"http://{LOOPBACK}:{east.ports.plain}"
        group = ("--rgw-zonegroup=us", "--default")
        east.admin("realm", "create", "--rgw-realm=dr", "--default")
        east.admin("zonegroup", "create", *group, "--master", f"--endpoints={own}", "--rgw-realm=dr")
        east.admin("zone", "create", *group, "--rgw-zone=us-east-1", "--master", f"--endpoints={own}", *SYNC)
        sync = [word.split("=", 1)[1] for word in SYNC]
        east.make_user("sync", *sync, system=True)
        east.make_user("app", **KEYS)
        east.admin("period", "update", "--commit")
        east.start()
        west.create()
        theirs = f"http://{LOOPBACK}:{west.ports.plain}"
        west.admin("realm", "pull", f"--url={own}", "--rgw-realm=dr", *SYNC)
        west.admin("realm", "default", "--rgw-realm=dr")
        west.admin("period", "pull", f"--url={own}", *SYNC)
        west.admin("zone", "create", *group, "--rgw-zone=us-west-2", f"--endpoints={theirs}", *SYNC)
        west.admin("period", "update", "--commit")
        west.start()
        stores = [
            S3Store(name, "replicated", endpoint_url=cluster.endpoint, verify=str(certificates.authority), **KEYS)
            for name, cluster in (("primary", east), ("offsite", west))
        ]
        stores[0].client.create_bucket(Bucket="replicated")
        stores[0].client.put_bucket_versioning(Bucket="replicated", VersioningConfiguration={"Status": "Enabled"})
        yield stores[0], stores[1]
    finally:
        for cluster in reversed(clusters):
            cluster.remove()


def test_the_stores_bring_a_backup_over(zones: tuple[S3Store, S3Store]) -> None:
    primary, offsite = zones
    private = generate_private_key(65537, 4096).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    keyring = Keyring([EscrowWrapper(private_key_pem=private.decode())])
    system = f"test-{uuid.uuid4().hex[:8]}"
    now = datetime.now(UTC)
    content = bytes(range(256)) * 200_000
    with Catalog(primary).begin(
        system, "main-db", "postgres", owner=Owner.of_this_process("run-1"), keyring=keyring
    ) as backup:
        part = backup.store_part(io.BytesIO(content), "rest", "data")
        manifest = backup.commit(
            started_by="ada",
            started_at=now,
            snapshot_at=now,
            server_version="15",
            tool_versions={},
            parts=(part,),
            compression="zstd-3",
            fingerprint=None,
        )
    proof = await_replication(manifest, primary, offsite, by="run-1", timeout=timedelta(minutes=3))
    assert (proof.ok, proof.level, proof.store) == (True, ProofLevel.REPLICATED, "offsite")
    far = Catalog(offsite)
    there = far.backup(system, "main-db", "postgres", manifest.id)
    assert there.manifest == manifest
    with open_part(offsite, part, far.key(there.manifest, keyring), manifest.context) as stream:
        assert stream.read() == content
    (row,) = Catalog(primary).backups(system)
    assert row.level_in("offsite") is ProofLevel.REPLICATED
