"""Everything that the benchmarks run against: the lab's own servers, a generated database, policies and connections.

The source runs with 1 GiB of shared buffers and 4 GiB of WAL between checkpoints, and else as PostgreSQL comes. Backups
go to the lab's kind of store (Ceph radosgw over TLS), keys come from the lab's key service. All of it is in one
directory and ends with this process, however that ends.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from include.lab.buckets import RegionKeys, client, make_bucket
from include.lab.ceph import OSD_PORTS, CephCluster, CephPorts
from include.lab.guard import RUN, start_guard
from include.lab.ports import LOOPBACK, free_ports, listens, wait_for
from include.lab.postgres import SUPERUSER, PostgresCluster
from include.lab.processes import Registry
from include.lab.tls import make_certificates
from include.recovery.evidence.signing import Signer
from include.recovery.postgres.prepare import prepare
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROOT = Path(__file__).parents[2]
REGION = "us-east-1"
BUCKET, CLASSIC_BUCKET = "lifeboat-primary", "classic"
SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
LEVELS = (1, 3)
DATABASE = "school"
CLUSTER_SYSTEM = "school-cluster"
SMALL_DATABASE = "small_school"


@dataclass(frozen=True)
class World:
    """Where everything is.

    :param cluster: the server with the databases.
    :param source: the same, as its superuser.
    :param drill: a scratch server with settings for speed.
    :param stock: a scratch server with PostgreSQL's own settings.
    """

    directory: Path
    cluster: PostgresCluster
    source: PostgresServer
    drill: PostgresServer
    stock: PostgresServer
    s3: S3Client
    environment: dict[str, str] = field(repr=False)

    @property
    def policies(self) -> Path:
        """The folder of the policies."""
        return self.directory / "policies"

    @property
    def connections(self) -> Path:
        """The file of connections."""
        return self.directory / "connections.json"


@contextmanager
def world() -> Iterator[World]:
    """Start everything, and stop it at the end."""
    directory = Path(tempfile.mkdtemp(prefix="lifeboat-bench-"))
    guard = start_guard(directory)
    with ExitStack() as stack:
        stack.callback(guard.wait)
        assert guard.stdin is not None
        stack.callback(guard.stdin.close)
        registry = Registry(directory / RUN, directory / "logs")
        certificates = make_certificates(directory / "tls", datetime.datetime.now(datetime.UTC))
        [first, *_] = free_ports(2 + OSD_PORTS)
        ports = CephPorts(monitor=first, gateway=first + 1, osd=first + 2)
        ceph = CephCluster("primary", directory / "ceph", ports, certificates, registry, device=96 << 30)
        ceph.create()
        ceph.start()
        keys = RegionKeys.random()
        make_bucket(ceph, REGION, keys, BUCKET, locked_days=None, append_only=False)
        s3 = client(ceph.endpoint, REGION, keys.writer, certificates.authority)
        s3.create_bucket(Bucket=CLASSIC_BUCKET)
        cluster = PostgresCluster(
            "source", directory / "source", free_ports(1)[0], registry, secrets.token_urlsafe(16), SETTINGS
        )
        cluster.start()
        scratch = {profile: ScratchServer.start(directory / profile, profile) for profile in ("drill", "stock")}
        for server in scratch.values():
            stack.callback(server.stop)
        connections = {
            "lifeboat_primary": _s3(ceph, keys, certificates.authority),
            "lifeboat_kms": _key_service(registry, directory, certificates),
            "lifeboat_signing": {"conn_type": "generic", "password": Signer.generate().private_pem()},
        }
        logins = {role: (f"bench_{role}", secrets.token_urlsafe(12)) for role in ("backup", "restore")}
        for role, (login, password) in logins.items():
            place = {"conn_type": "postgres", "host": LOOPBACK, "port": cluster.port}
            connections[f"bench_{role}"] = {**place, "login": login, "password": password}
        connections["bench_cluster"] = {
            "conn_type": "postgres", "host": str(cluster.socket_directory), "port": cluster.port, "login": SUPERUSER,
        }  # fmt: skip
        for profile, server in scratch.items():
            found = server.server()
            connections[profile] = {
                "conn_type": "postgres", "host": found.host, "port": found.port, "login": found.user,
            }  # fmt: skip
        made = World(
            directory,
            cluster,
            PostgresServer(host=LOOPBACK, port=cluster.port, user=SUPERUSER, password=cluster.password),
            scratch["drill"].server(),
            scratch["stock"].server(),
            s3,
            {"AWS_CA_BUNDLE": str(certificates.authority), "AWS_ENDPOINT_URL": ceph.endpoint, "AWS_REGION": REGION,
             "AWS_ACCESS_KEY_ID": keys.writer.access_key, "AWS_SECRET_ACCESS_KEY": keys.writer.secret_key},
        )  # fmt: skip
        _write_policies(made.policies)
        made.connections.write_text(json.dumps(connections), encoding="utf-8")
        yield made


def make_database(world: World, name: str, scale: int) -> int:
    """Fill a database and prepare it for Lifeboat; its size in bytes."""
    with world.source.connect() as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    database = world.source.with_database(name)
    script = Path(__file__).with_name("database.sql")
    subprocess.run(
        ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", f"scale={scale}", "-f", str(script)],
        env={**os.environ, **database.environment(search_path="public")}, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    logins = json.loads(world.connections.read_text(encoding="utf-8"))
    backup, restore = logins["bench_backup"], logins["bench_restore"]
    prepare(
        database,
        backup_role=backup["login"],
        backup_password=backup["password"],
        restore_role=restore["login"],
        restore_password=restore["password"],
    )
    with database.connect() as connection:
        row = connection.execute("SELECT pg_catalog.pg_database_size(pg_catalog.current_database())").fetchone()
    return int(row[0]) if row else 0


def empty_buckets(world: World) -> None:
    """Remove every stored object, so that the store does not grow with the rounds."""
    for bucket in (BUCKET, CLASSIC_BUCKET):
        for page in world.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                world.s3.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"])


def system_name(database: str, level: int) -> str:
    """The protected system that backs a database up at a compression level."""
    return f"{database.replace('_', '-')}-{level}"


def _s3(ceph: CephCluster, keys: RegionKeys, authority: Path) -> dict[str, Any]:
    extra = {"endpoint_url": ceph.endpoint, "region_name": REGION, "verify": str(authority)}
    return {"conn_type": "aws", "login": keys.writer.access_key, "password": keys.writer.secret_key, "extra": extra}


def _key_service(registry: Registry, directory: Path, certificates: Any) -> dict[str, Any]:
    port = free_ports(1)[0]
    words = [str(port), str(directory / "kms.json"), str(certificates.certificate), str(certificates.key)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    registry.start("aws", [sys.executable, "-m", "include.lab.aws", *words], env=environment)
    alive = lambda: registry.alive("aws")  # noqa: E731 - a name for the next line
    wait_for("aws", lambda: listens(port), seconds=60, alive=alive, log=str(registry.log("aws")))
    extra = {
        "endpoint_url": f"https://{LOOPBACK}:{port}", "region_name": REGION, "verify": str(certificates.authority),
    }  # fmt: skip
    kms = boto3.client(
        "kms",
        endpoint_url=extra["endpoint_url"],
        region_name=REGION,
        verify=extra["verify"],
        aws_access_key_id="bench",
        aws_secret_access_key="bench",
    )
    key_id = kms.create_key(Description="Lifeboat's benchmarks")["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/lifeboat", TargetKeyId=key_id)
    return {"conn_type": "aws", "login": "bench", "password": "bench", "extra": extra}


def _write_policies(folder: Path) -> None:
    folder.mkdir()
    escrow = (
        generate_private_key(65537, 4096).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (folder / "escrow.pem").write_bytes(escrow)
    place = {"site": "lab", "medium": "object-store", "provider": "ceph", "region": REGION}
    platform = {
        "stores": {"primary": {"kind": "s3", "connection": "lifeboat_primary", "bucket": BUCKET, **place}},
        "encryption": {
            "kms_connection": "lifeboat_kms", "kms_key": "alias/lifeboat", "escrow_public_key": "escrow.pem",
        },
        "approvals": {"signing_connection": "lifeboat_signing"},
        "notifications": {"slack_connection": "lifeboat_slack"},
        "web": {"base_url": "http://127.0.0.1:8080"},
    }  # fmt: skip
    (folder / "platform.yaml").write_text(yaml.safe_dump(platform), encoding="utf-8")
    for database in (DATABASE, SMALL_DATABASE):
        for level in LEVELS:
            name = system_name(database, level)
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(_policy(name, database, level)), encoding="utf-8")
    (folder / f"{CLUSTER_SYSTEM}.yaml").write_text(yaml.safe_dump(_policy_of_cluster()), encoding="utf-8")


def _policy(name: str, database: str, level: int) -> dict[str, Any]:
    approval = {"role": "engineer", "people": 1, "expires": "30m"}
    tasks = ("backup", "verification", "recovery_testing", "disaster_recovery")
    return {
        "system": name,
        "title": "A benchmark",
        "time_zone": "UTC",
        "priority": 1,
        "objectives": {"tier-1": {"rpo": "48h", "rto": "1h"}},
        "scenarios": {
            "database_corruption": {"rto": "1h", "approval": approval, "help": "The database is damaged."},
        },
        "sources": [
            {
                "name": "main-db",
                "kind": "postgres",
                "data_class": "tier-1",
                "database": database,
                "connections": {"backup": "bench_backup", "restore": "bench_restore"},
                "logical": {"streams": 2, "zstd_level": level},
            }
        ],
        "tiers": [
            {
                "name": "daily", "method": "logical", "cron": "0 3 * * *", "sources": ["main-db"],
                "keep": {"days": 14}, "stores": ["primary"], "grace": "30m",
            }
        ],
        "drills": {"weekly": {"cron": "0 5 * * 0", "sources": ["main-db"]}},
        "owners": {task: {"primary": "engineer", "secondary": "engineer"} for task in tasks},
        "roles": {"engineer": {"people": ["ada"], "responsible_for": "measures"}},
        "contacts": [{"name": "Engineer", "role": "engineer", "email": "engineer@example.org"}],
        "review": {"last": "2026-11-02", "every": "365d"},
    }  # fmt: skip


def _policy_of_cluster() -> dict[str, Any]:
    """The same database, protected by pgBackRest as a policy does it that says no more than it has to."""
    policy = _policy(CLUSTER_SYSTEM, DATABASE, LEVELS[0])
    policy["sources"][0]["physical"] = {"connection": "bench_cluster"}
    policy["sources"][0]["wal"] = {"archive_timeout": "60s", "push_allowance": "60s"}
    policy["tiers"] += [
        {
            "name": "weekly-full", "method": "full", "cron": "0 2 * * 0", "sources": ["main-db"],
            "keep": {"weeks": 4}, "stores": ["primary"], "grace": "30m",
        },
        {
            "name": "hourly-incremental", "method": "incremental", "cron": "30 * * * *", "sources": ["main-db"],
            "keep": {"every": "2w"}, "stores": ["primary"], "grace": "30m",
        },
    ]  # fmt: skip
    return policy
