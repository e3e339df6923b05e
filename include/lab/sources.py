"""The servers, buckets and files behind the sources that are no PostgreSQL: started, and filled once."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import httpx

from include.lab import git_server, hosts, kubernetes_cluster, mongodb, redis_server, uploads
from include.lab.buckets import RegionKeys, client, make_application_bucket
from include.lab.ceph import CephCluster
from include.lab.ports import LOOPBACK, listens, wait_for
from include.lab.processes import Registry
from include.lab.repositories import make_repositories
from include.lab.source_connections import HOSTS, PROMETHEUS_DATA, UNSEAL_KEYS, SourceSecrets
from include.lab.systems import (
    BUCKETS,
    CLUSTERS,
    GIT_PORT,
    MONGODB_PORT,
    PROMETHEUS_PORT,
    REDIS_PORT,
    REGIONS,
    VAULT_PORT,
    Region,
)
from include.lab.tls import Certificates
from include.lab.vault_server import VaultServer
from include.recovery.connections import ConnectionInfo

TLS_SERVERS = ("git", "vault", *(f"kubernetes-{system}" for system in CLUSTERS))
"""Those that hold the lab's certificate."""
RDS_INSTANCE = "ksrce-lab"
_START_SECONDS = 60


@dataclass(frozen=True)
class LabSources:
    """All of them below one directory.

    :param directory: the lab's.
    :param environment: of the lab's own programs.
    """

    directory: Path
    registry: Registry
    certificates: Certificates
    secret: SourceSecrets = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)

    @property
    def programs(self) -> Path:
        """A folder of programs that stands first on PATH of everything that the lab starts."""
        return self.directory / "bin"

    def start_git(self) -> None:
        """The git server with its repositories."""
        folder = self.directory / "git"
        make_repositories(folder)
        files = self.certificates
        words = (str(GIT_PORT), str(folder), str(files.certificate), str(files.key))
        password = {git_server.PASSWORD_VARIABLE: self.secret.git}
        self._python("git", GIT_PORT, "include.lab.git_server", *words, env=password)

    def start_mongodb(self) -> None:
        """The document store of labdojo."""
        folder = self.directory / "mongodb"
        folder.mkdir(parents=True, exist_ok=True)
        self._python("mongodb", MONGODB_PORT, "include.lab.mongodb", str(MONGODB_PORT), str(folder))
        mongodb.fill(MONGODB_PORT)

    def start_redis(self) -> None:
        """The state store of aido-todo."""
        path = redis_server.configuration(self.directory / "redis", REDIS_PORT, self.secret)
        self._run("redis", REDIS_PORT, ["redis-server", str(path)])
        redis_server.fill(REDIS_PORT, self.secret)

    def start_kubernetes(self, system: str) -> None:
        """The API server of a system's cluster, with its objects."""
        folder, port = self.directory / "kubernetes" / system, CLUSTERS[system]
        tokens = kubernetes_cluster.write_tokens(self._folder("kubernetes") / f"{system}.tokens", self.secret)
        if not self.registry.alive(f"kubernetes-{system}"):
            kubernetes_cluster.fill(folder, system)
        files = self.certificates
        words = ("--port", str(port), "--folder", str(folder), "--tokens", str(tokens))
        tls = ("--certificate", str(files.certificate), "--key", str(files.key))
        self._python(f"kubernetes-{system}", port, "include.lab.kubernetes_api", *words, *tls)

    def start_vault(self) -> bool:
        """The vault of aiaas, unsealed; whether it was made just now, so that its connection has to be written."""
        keys = self.directory / UNSEAL_KEYS
        before = keys.exists()
        server = VaultServer(self._folder("vault"), VAULT_PORT, self.certificates, keys, self.secret)
        self._run("vault", VAULT_PORT, ["bao", "server", f"-config={server.configuration()}"])
        server.open()
        return not before

    def start_prometheus(self) -> None:
        """Prometheus of aiaas, which scrapes itself."""
        folder = self._folder("prometheus")
        scrape = {"job_name": "prometheus", "static_configs": [{"targets": [f"{LOOPBACK}:{PROMETHEUS_PORT}"]}]}
        settings = {"global": {"scrape_interval": "5s"}, "scrape_configs": [scrape]}
        path = folder / "prometheus.yml"
        path.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
        argv = [
            "prometheus", f"--config.file={path}", f"--storage.tsdb.path={self.directory / PROMETHEUS_DATA}",
            f"--web.listen-address={LOOPBACK}:{PROMETHEUS_PORT}", "--web.enable-admin-api",
        ]  # fmt: skip
        self._run("prometheus", PROMETHEUS_PORT, argv)
        self._wait("prometheus", _scraped)

    def make_hosts(self) -> None:
        """The files of hosts, and labdojo's container, which writes to its volume."""
        hosts.make_hosts(self.directory / HOSTS, datetime.datetime.now(datetime.UTC))
        hosts.write_docker(self.programs, self.registry.directory)
        volume = self.directory / HOSTS / hosts.VOLUME
        argv = [sys.executable, "-I", "-c", hosts.CONTAINER_PROGRAM, str(volume)]
        self.registry.start(f"container-{hosts.CONTAINER}", argv, env=dict(self.environment), cwd=self.directory)

    def make_buckets(self, region: Region, cluster: CephCluster, keys: RegionKeys) -> None:
        """The buckets of applications in a region, which runs."""
        for bucket in (bucket for bucket in BUCKETS if bucket.region == region.store):
            done = self.directory / f"{region.name}.{bucket.name}"
            if not done.exists():
                make_application_bucket(cluster, region.name, keys, bucket.name, bucket.who)
                done.touch()

    def upload(self, cluster: CephCluster, keys: RegionKeys) -> None:
        """What people uploaded to the buckets of the first region, and Terraform's state; its gateway runs."""
        first, authority = REGIONS[0].name, self.certificates.authority
        s3 = client(cluster.endpoint, first, keys.uploads, authority)
        state = self.directory / "terraform"
        steps: dict[str, Callable[[], None]] = {
            "ksrce-lab-uploads": lambda: uploads.fill_ksrce(s3, "ksrce-lab-uploads"),
            "rylie-ai-uploads": lambda: uploads.fill_rylie(s3, "rylie-ai-uploads"),
            "aiaas-terraform": lambda: uploads.apply_terraform(
                state, "aiaas-terraform", cluster.endpoint, first, authority, keys.terraform
            ),
        }
        for name, fill in steps.items():
            done = self.directory / f"{first}.{name}.filled"
            if not done.exists():
                fill()
                done.touch()

    def make_database_instance(self, connection: ConnectionInfo) -> None:
        """The database instance of ksrce-lab on the emulated RDS."""
        rds = boto3.client(
            "rds", **connection.extra, aws_access_key_id=connection.login, aws_secret_access_key=connection.password
        )
        known = rds.describe_db_instances()["DBInstances"]
        if any(each["DBInstanceIdentifier"] == RDS_INSTANCE for each in known):
            return
        rds.create_db_instance(
            DBInstanceIdentifier=RDS_INSTANCE, Engine="postgres", EngineVersion="15.4", DBInstanceClass="db.t4g.medium",
            AllocatedStorage=20, MasterUsername="ksrce", MasterUserPassword=self.secret.git, BackupRetentionPeriod=7,
            PubliclyAccessible=False, DBName="ksrce_lab",
        )  # fmt: skip

    def _folder(self, name: str) -> Path:
        folder = self.directory / name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def _python(self, name: str, port: int, module: str, *words: str, env: Mapping[str, str] | None = None) -> None:
        self._run(name, port, [sys.executable, "-m", module, *words], env=env)

    def _run(self, name: str, port: int, argv: list[str], *, env: Mapping[str, str] | None = None) -> None:
        """Start a server, and wait for its port."""
        environment = {**self.environment, **(env or {})}
        self.registry.start(name, argv, env=environment, cwd=self.directory)
        self._wait(name, lambda: listens(port))

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        log = str(self.registry.log(name))
        wait_for(name, ready, seconds=_START_SECONDS, alive=lambda: self.registry.alive(name), log=log)


def _scraped() -> bool:
    """Whether there is a sample: without one, there is nothing to back up."""
    try:
        answer = httpx.get(
            f"http://{LOOPBACK}:{PROMETHEUS_PORT}/api/v1/query", params={"query": "up"}, timeout=5, trust_env=False
        )
    except httpx.HTTPError:
        return False
    return answer.is_success and bool(answer.json()["data"]["result"])
