"""The lab's servers: reachable from this machine only, over TLS 1.3 where the network would be public, lasting."""

from __future__ import annotations

import os
import re
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import dns.exception
import dns.query
import dns.resolver
import dns.tsigkeyring
import dns.update
import pytest
from botocore.exceptions import ClientError

from include.lab.dns import DnsServer
from include.lab.lab import Lab
from include.lab.ports import LOOPBACK, free_ports, listens, wait_for
from include.lab.postgres import PostgresCluster
from include.lab.processes import Registry
from include.lab.tls import Certificates, make_certificates
from tests.fixtures.servers import Kms, ObjectStores, SlackSink
from tests.fixtures.shared import SharedServers

pytestmark = pytest.mark.integration
LISTENS, UNCONNECTED = "0A", "07"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "run", tmp_path / "logs")


def test_nothing_listens_beyond_loopback(
    shared_servers: SharedServers,
    postgres_cluster: PostgresCluster,
    object_stores: ObjectStores,
    kms: Kms,
    slack_sink: SlackSink,
) -> None:
    found = listening(shared_servers.registry)
    assert {"postgres", "primary-radosgw", "primary-osd", "offsite-mon", "aws", "slack"} <= set(found)
    assert {address for addresses in found.values() for address in addresses} == {LOOPBACK}
    assert _accepting(os.getuid()) <= {LOOPBACK, "::1", "::ffff:127.0.0.1"}


@pytest.mark.parametrize("server", ["primary", "offsite", "lifeboat_kms"])
def test_only_tls_1_3_with_the_labs_authority_is_spoken(
    server: str, object_stores: ObjectStores, kms: Kms, certificates: Certificates
) -> None:
    endpoints = {**object_stores.connections, "lifeboat_kms": kms.connection}
    address = urlsplit(endpoints[server].extra["endpoint_url"])
    assert _handshake(address.port, cafile=certificates.authority) == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match="protocol version|PROTOCOL_VERSION"):
        _handshake(address.port, cafile=certificates.authority, maximum=ssl.TLSVersion.TLSv1_2)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(address.port, cafile=None)


def test_keys_outlive_a_restart_and_a_disabled_one_is_refused(registry: Registry, tmp_path: Path) -> None:
    files = make_certificates(tmp_path, datetime.now(UTC))
    (port,) = free_ports(1)
    words = [str(port), str(tmp_path / "kms.json"), str(files.certificate), str(files.key)]

    def restart() -> None:
        registry.stop("aws")
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
        registry.start("aws", [sys.executable, "-m", "include.lab.aws", *words], env=environment)
        wait_for("aws", lambda: listens(port), seconds=60, alive=lambda: registry.alive("aws"))

    restart()
    client = boto3.client(
        "kms",
        endpoint_url=f"https://{LOOPBACK}:{port}",
        region_name="us-west-2",
        verify=str(files.authority),
        aws_access_key_id="lab",
        aws_secret_access_key="lab",
    )
    key = client.create_key()["KeyMetadata"]["KeyId"]
    client.create_alias(AliasName="alias/lasting", TargetKeyId=key)
    made = client.generate_data_key(KeyId="alias/lasting", KeySpec="AES_256")
    assert (tmp_path / "kms.json").stat().st_mode & 0o777 == 0o600
    restart()
    assert client.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"] == made["Plaintext"]
    client.disable_key(KeyId=key)
    restart()
    with pytest.raises(ClientError, match="DisabledException"):
        client.decrypt(CiphertextBlob=made["CiphertextBlob"])
    with pytest.raises(ClientError, match="DisabledException"):
        client.generate_data_key(KeyId="alias/lasting", KeySpec="AES_256")
    registry.stop_all()


def test_databases_and_snapshots_outlive_a_restart_in_both_regions(registry: Registry, tmp_path: Path) -> None:
    files = make_certificates(tmp_path, datetime.now(UTC))
    (port,) = free_ports(1)
    words = [str(port), str(tmp_path / "kms.json"), str(files.certificate), str(files.key)]

    def restart() -> None:
        registry.stop("aws")
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
        registry.start("aws", [sys.executable, "-m", "include.lab.aws", *words], env=environment)
        wait_for("aws", lambda: listens(port), seconds=60, alive=lambda: registry.alive("aws"))

    east, west = (
        boto3.client(
            "rds",
            endpoint_url=f"https://{LOOPBACK}:{port}",
            region_name=region,
            verify=str(files.authority),
            aws_access_key_id="lab",
            aws_secret_access_key="lab",
        )
        for region in ("us-east-1", "us-west-2")
    )
    restart()
    east.create_db_instance(
        DBInstanceIdentifier="ksrce-lab", Engine="postgres", EngineVersion="15.4", DBInstanceClass="db.t4g.medium",
        AllocatedStorage=20, MasterUsername="ksrce", MasterUserPassword="not so secret",
    )  # fmt: skip
    tags = [{"Key": "lifeboat-system", "Value": "ksrce-lab"}]
    made = east.create_db_snapshot(DBInstanceIdentifier="ksrce-lab", DBSnapshotIdentifier="first", Tags=tags)
    arn = made["DBSnapshot"]["DBSnapshotArn"]
    west.copy_db_snapshot(SourceDBSnapshotIdentifier=arn, TargetDBSnapshotIdentifier="first", SourceRegion="us-east-1")
    restart()
    assert (tmp_path / "kms.rds").stat().st_mode & 0o777 == 0o600
    assert [each["DBInstanceIdentifier"] for each in east.describe_db_instances()["DBInstances"]] == ["ksrce-lab"]
    for client in (east, west):
        known = client.describe_db_snapshots(DBInstanceIdentifier="ksrce-lab", SnapshotType="manual")
        (snapshot,) = known["DBSnapshots"]
        assert (snapshot["DBSnapshotIdentifier"], snapshot["Status"]) == ("first", "available")
    assert east.describe_db_snapshots(DBSnapshotIdentifier="first")["DBSnapshots"][0]["TagList"] == tags
    second = east.create_db_snapshot(DBInstanceIdentifier="ksrce-lab", DBSnapshotIdentifier="second")["DBSnapshot"]
    assert second["Status"] == "available"
    east.delete_db_snapshot(DBSnapshotIdentifier="first")
    restart()
    found = east.describe_db_snapshots(DBInstanceIdentifier="ksrce-lab", SnapshotType="manual")["DBSnapshots"]
    assert [each["DBSnapshotIdentifier"] for each in found] == ["second"]
    registry.stop_all()


def test_a_name_changes_with_the_signing_key_only(registry: Registry, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="
    server = DnsServer(tmp_path / "dns", port, "lifeboat.test", ("labdojo",), "recovery", registry, secret)
    server.start()
    assert _address("labdojo.lifeboat.test", port) == LOOPBACK
    unsigned = dns.update.UpdateMessage("lifeboat.test")
    unsigned.replace("labdojo", 30, "A", "127.0.0.9")
    assert dns.query.tcp(unsigned, LOOPBACK, port=port, timeout=5).rcode() != 0
    keys = dns.tsigkeyring.from_text({"recovery": secret})
    signed = dns.update.UpdateMessage("lifeboat.test", keyring=keys)
    signed.replace("labdojo", 30, "A", "127.0.0.2")
    assert dns.query.tcp(signed, LOOPBACK, port=port, timeout=5).rcode() == 0
    assert _address("labdojo.lifeboat.test", port) == "127.0.0.2"
    assert set(listening(registry)["dns"]) == {LOOPBACK}
    assert registry.stop_all() == ["dns"]
    assert not listens(port)


def test_down_stops_clients_before_servers_and_leaves_nothing(tmp_path: Path) -> None:
    lab, order = Lab(tmp_path), tmp_path / "order"
    names = ("us-east-1-mon", "us-east-1-osd", "us-east-1-radosgw", "postgres-airflow", "airflow-scheduler", "traffic")
    ready: list[Callable[[], bool]] = []
    for name in names:
        mark = tmp_path / f"{name}.ready"
        script = f"trap 'echo {name} >> {order}; exit' TERM; touch {mark}; while :; do sleep 0.05; done"
        lab.registry.start(name, ["sh", "-c", script])
        ready.append(mark.exists)
    wait_for("all", lambda: all(is_ready() for is_ready in ready), seconds=10, alive=lambda: True)
    assert set(lab.stop(keep={"traffic"})) == set(names) - {"traffic"}
    stopped = order.read_text().split()
    assert stopped[0] == "airflow-scheduler"
    assert stopped[-2:] == ["us-east-1-osd", "us-east-1-mon"]
    assert lab.registry.names_running() == ["traffic"]
    assert lab.stop() == ["traffic"]
    assert lab.registry.names() == []


def listening(registry: Registry) -> dict[str, list[str]]:
    """The local addresses that each server of a registry accepts connections or datagrams on."""
    sockets = {}
    for name in registry.names_running():
        for pid in registry.processes(name):
            for target in _open_files(pid):
                if match := re.fullmatch(r"socket:\[(\d+)\]", target):
                    sockets[match[1]] = name
    found: dict[str, list[str]] = {}
    for table, state in (("tcp", LISTENS), ("tcp6", LISTENS), ("udp", UNCONNECTED), ("udp6", UNCONNECTED)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == state and fields[9] in sockets:
                found.setdefault(sockets[fields[9]], []).append(_readable(fields[1].partition(":")[0]))
    return found


def _open_files(pid: int) -> list[str]:
    """What a process has open: nothing once it has ended, which a server's children may do at any moment.

    Nothing either of those that nobody may look into, such as Airflow's workers, which guard the secrets in their
    memory: ``test_nothing_listens_beyond_loopback`` looks at all sockets of the user too.
    """
    found = []
    with suppress(FileNotFoundError, PermissionError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                found.append(str(descriptor.readlink()))
    return found


def _accepting(user: int) -> set[str]:
    """The local addresses on which any process of a user accepts TCP connections."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENS and int(fields[7]) == user:
                found.add(_readable(fields[1].partition(":")[0]))
    return found


def _readable(address: str) -> str:
    """An address of /proc/net: words of four bytes, each in the machine's own order."""
    raw = b"".join(bytes.fromhex(address[n : n + 8])[::-1] for n in range(0, len(address), 8))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def _handshake(
    port: int | None, *, cafile: Path | None, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> str | None:
    context = ssl.create_default_context(cafile=cafile)
    context.maximum_version = maximum
    with (
        socket.create_connection((LOOPBACK, port or 0), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=LOOPBACK) as secured,
    ):
        return secured.version()


def _address(name: str, port: int) -> str:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [LOOPBACK], port
    return str(next(iter(resolver.resolve(name, "A"))))
