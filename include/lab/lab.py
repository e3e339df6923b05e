"""One lab: its directory, what runs in it, and the order in which things start and stop."""

from __future__ import annotations

import datetime
import grp
import json
import os
import pwd
import shlex
import sys
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path

import boto3
import httpx

from include.lab.airflow import DATABASE, ROLE, AirflowClient, AirflowLab
from include.lab.buckets import grant, make_bucket, make_repository_bucket
from include.lab.ceph import CephCluster
from include.lab.credentials import DNS_KEY, LabSecrets, connections
from include.lab.data_loader import load
from include.lab.dns import DnsServer
from include.lab.errors import LabError
from include.lab.ports import LOOPBACK, listens, wait_for
from include.lab.postgres import SUPERUSER, PostgresCluster
from include.lab.processes import Registry
from include.lab.slack_sink import TOKEN_VARIABLE
from include.lab.sources import TLS_SERVERS, LabSources
from include.lab.systems import (
    AIRFLOW_DATABASE_PORT,
    AIRFLOW_PORT,
    AWS_PORT,
    DNS_PORT,
    DNS_ZONE,
    REGIONS,
    SLACK_PORT,
    SYSTEMS,
    DemoSystem,
    Region,
)
from include.lab.tls import Certificates, make_certificates, write_private
from include.recovery.connections import connections_from_environment
from include.recovery.content import scratch_process, scratch_server
from include.recovery.pgbackrest.setup import protect_cluster
from include.recovery.policy.files import load_folder
from include.recovery.postgres.prepare import prepare
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer
from include.recovery.workspace import Workspace

PROJECT = Path(__file__).parents[2]
SCRATCH = "scratch"
PGBACKREST = "pgbackrest"
PGBACKREST_VARIABLE = "LIFEBOAT_PGBACKREST"


@dataclass(frozen=True)
class Lab:
    """The demo's servers below one directory.

    :param directory: everything that the lab writes, mode 700.
    :param project: the tree that Airflow runs.
    """

    directory: Path
    project: Path = field(default=PROJECT)

    @classmethod
    def from_environment(cls) -> Lab:
        """The lab of ``LIFEBOAT_HOME``."""
        home = os.environ.get("LIFEBOAT_HOME") or Path.home() / ".local/share/lifeboat"
        return cls(Path(home) / "lab")

    @cached_property
    def registry(self) -> Registry:
        """What was started."""
        return Registry(self.directory / "run", self.directory / "logs")

    @cached_property
    def secret(self) -> LabSecrets:
        """The lab's passwords and keys."""
        return LabSecrets.load_or_make(self.directory / "secrets.json")

    @cached_property
    def certificates(self) -> Certificates:
        """The lab's authority and its one server certificate; servers that hold an older one are stopped."""
        folder = self.directory / "tls"
        before = {path: path.read_bytes() for path in folder.glob("*.pem")}
        files = make_certificates(folder, datetime.datetime.now(datetime.UTC))
        if before and before != {path: path.read_bytes() for path in before}:
            for server in ("aws", *TLS_SERVERS, *(f"{region.name}-radosgw" for region in REGIONS)):
                self.registry.stop(server)
        return files

    @property
    def connections(self) -> Path:
        """The file of connections that Airflow and ``lifeboat`` read."""
        return self.directory / "connections.json"

    @property
    def databases(self) -> Path:
        """Where each database server has its directory."""
        return self.directory / "postgres"

    @cached_property
    def airflow(self) -> AirflowLab:
        """Airflow."""
        return AirflowLab(
            home=self.directory / "airflow",
            project=self.project,
            port=AIRFLOW_PORT,
            database_port=AIRFLOW_DATABASE_PORT,
            connections=self.connections,
            registry=self.registry,
            secret=self.secret,
            environment={
                "LIFEBOAT_SCRATCH": str(self.directory / SCRATCH),
                PGBACKREST_VARIABLE: str(self.directory / PGBACKREST),
            },
            programs=self.directory / "bin",
        )

    @cached_property
    def sources(self) -> LabSources:
        """The sources that are no PostgreSQL."""
        return LabSources(
            self.directory, self.registry, self.certificates, self.secret.sources, self.airflow.variables()
        )

    def client(self, user: str = "admin") -> AirflowClient:
        """Airflow's REST API as one of the lab's users."""
        return AirflowClient(self.airflow.url, user, self.secret.users[user])

    def prepare(self) -> None:
        """Make the directory, the secrets and the connections."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        self._write_connections()
        self.command.write_text(self._command(), encoding="utf-8")
        self.command.chmod(0o700)

    def _write_connections(self) -> None:
        found = connections(self.secret, self.certificates, self.directory)
        for system in SYSTEMS:
            found[system.cluster_connection]["extra"] = self.cluster(system).control
        write_private(self.connections, json.dumps(found, indent=1).encode())

    def region(self, region: Region) -> CephCluster:
        """The servers of an object-store region."""
        return CephCluster(region.name, self.directory / region.name, region.ports, self.certificates, self.registry)

    def start_region(self, region: Region) -> None:
        """An object store with its buckets: the store's own, and that of pgBackRest's repository."""
        cluster, keys = self.region(region), self.secret.region(region.store)
        markers = (self.directory / f"{region.name}.{what}" for what in ("bucket", "expiry", "repository"))
        bucket, expiry, repository = markers
        if not cluster.created:
            cluster.remove()
            cluster.create()
        cluster.start()
        if not bucket.exists():
            make_bucket(
                cluster,
                region.name,
                keys,
                region.bucket,
                locked_days=region.locked_days,
                append_only=region.append_only,
            )
            bucket.touch()
            expiry.touch()
        if not expiry.exists():
            grant(cluster, region.name, keys, region.bucket, append_only=region.append_only)
            expiry.touch()
        if not repository.exists():
            make_repository_bucket(cluster, region.name, keys, region.repository)
            repository.touch()
        self.sources.make_buckets(region, cluster, keys)

    def upload(self) -> None:
        """What is in the applications' buckets of the first region."""
        first = REGIONS[0]
        self.sources.upload(self.region(first), self.secret.region(first.store))

    def start_vault(self) -> None:
        """The vault of aiaas; the connection with its unseal keys is known from its first start on."""
        if self.sources.start_vault():
            self._write_connections()

    def cluster(self, system: DemoSystem) -> PostgresCluster:
        """The database server of a system."""
        return PostgresCluster(
            f"postgres-{system.name}",
            self.databases / system.name,
            system.database_port,
            self.registry,
            self.secret.databases[system.name]["superuser"],
        )

    def start_database(self, system: DemoSystem) -> None:
        """A system's server, its roles, and its data when it has none yet."""
        cluster, passwords = self.cluster(system), self.secret.databases[system.name]
        cluster.start()
        cluster.ensure_role(system.app_role, passwords["app"])
        cluster.ensure_database(system.database, system.app_role)
        if not cluster.has_table(system.database, system.counted):
            load(cluster, system)
        prepare(
            PostgresServer(str(cluster.socket_directory), cluster.port, SUPERUSER, database=system.database),
            backup_role=system.backup_role,
            backup_password=passwords["backup"],
            restore_role=system.restore_role,
            restore_password=passwords["restore"],
        )

    def protect(self, system: DemoSystem) -> str:
        """Make a system's cluster archive its WAL, as its policy says; restarted when a setting needs that.

        :return: what was done, for people.
        """
        os.environ[PGBACKREST_VARIABLE] = str(self.directory / PGBACKREST)
        # A workspace of its own: systems are protected side by side.
        policies = load_folder(self.project / "include" / "policies")
        find = connections_from_environment({"LIFEBOAT_CONNECTIONS": str(self.connections)})
        workspace, cluster = Workspace(policies, find), self.cluster(system)
        policy = workspace.system(system.name)
        told = [
            protect_cluster(workspace, policy, source, restart=cluster.restart)
            for source in policy.sources
            if source.physical is not None
        ]
        return "; ".join(protection.in_words for protection in told) or "its policy has no physical protection"

    def start_heartbeats(self) -> None:
        """What writes the heartbeats, as in production."""
        self._start_python("heartbeats", "include.recovery.cli", "beat")

    def start_airflow_database(self) -> None:
        """Airflow's own server."""
        cluster = PostgresCluster(
            "postgres-airflow",
            self.databases / "airflow",
            AIRFLOW_DATABASE_PORT,
            self.registry,
            self.secret.airflow_database,
        )
        cluster.start()
        cluster.ensure_role(ROLE, self.secret.airflow_database)
        cluster.ensure_database(DATABASE, ROLE)

    def start_aws(self) -> None:
        """The key service, with its key."""
        files = self.certificates
        words = (str(AWS_PORT), str(self.directory / "kms.json"), str(files.certificate), str(files.key))
        self._start_python("aws", "include.lab.aws", *words, port=AWS_PORT)
        find = connections_from_environment({"LIFEBOAT_CONNECTIONS": str(self.connections)})
        connection = find("lifeboat_kms")
        kms = boto3.client(
            "kms",
            **connection.extra,
            aws_access_key_id=connection.login,
            aws_secret_access_key=connection.password,
        )
        if not any(alias["AliasName"] == "alias/lifeboat" for alias in kms.list_aliases()["Aliases"]):
            key = kms.create_key(Description="Wraps the keys of Lifeboat's backups")["KeyMetadata"]["KeyId"]
            kms.create_alias(AliasName="alias/lifeboat", TargetKeyId=key)
        self.sources.make_database_instance(find("ksrce_lab_rds"))

    def start_slack(self) -> None:
        """Slack's end of the webhook."""
        words = (str(SLACK_PORT), str(self.directory / "slack.jsonl"))
        token = {TOKEN_VARIABLE: self.secret.slack_token}
        self._start_python("slack", "include.lab.slack_sink", *words, port=SLACK_PORT, env=token)

    def start_dns(self) -> None:
        """The DNS zone of the systems."""
        DnsServer(
            directory=self.directory / "dns",
            port=DNS_PORT,
            zone=DNS_ZONE,
            hosts=tuple(system.name for system in SYSTEMS),
            key_name=DNS_KEY,
            registry=self.registry,
            secret=self.secret.dns_secret,
        ).start()

    def start_applications(self) -> None:
        """The systems' applications, and those who use them."""
        for system in SYSTEMS:
            name = f"web-{system.name}"
            self._start_python(name, "include.lab.web_app", system.name, port=system.web_port)
            answer = httpx.get(f"http://{LOOPBACK}:{system.web_port}/health", timeout=20)
            if not answer.is_success:
                raise LabError(f"the application of {system.name} is not healthy: {answer.json().get('why')}")
        self._start_python("traffic", "include.lab.traffic")

    def start_airflow(self) -> None:
        """Airflow, with its database and pools up to date; started again when the project has changed."""
        self.airflow.configure()
        if self.airflow.is_current():
            self.airflow.start()
            return
        self.airflow.stop()
        self.airflow.migrate()
        self.airflow.start()
        self.airflow.remember()

    @property
    def command(self) -> Path:
        """A program: ``lifeboat`` with this lab's connections."""
        return self.directory / "lifeboat"

    def stop(self, *, keep: Collection[str] = ()) -> list[str]:
        """Stop everything, clients before their servers; the names of what was running.

        :param keep: servers that stay.
        """
        names = sorted((name for name in self.registry.names() if name not in keep), key=_rank)
        stopped: list[str] = []
        for _, together in groupby(names, key=_rank):
            group = list(together)
            with ThreadPoolExecutor(len(group)) as pool:
                ended = pool.map(partial(self.registry.stop, seconds=30), group)
                stopped += [name for name, was_running in zip(group, ended, strict=True) if was_running]
        for folder in sorted((self.directory / SCRATCH).glob("*")):
            _end_copies(folder)
            ScratchServer.remove(folder)
        return stopped

    def _command(self) -> str:
        names = ("PATH", "HOME", "PYTHONPATH", "LIFEBOAT_CONNECTIONS", "LIFEBOAT_SCRATCH", PGBACKREST_VARIABLE)
        exports = "".join(f"export {name}={shlex.quote(self.airflow.variables()[name])}\n" for name in names)
        user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        become = f"setpriv --reuid {user} --regid {group} --init-groups"
        return (
            f'#!/bin/sh\n[ "$(id -u)" != 0 ] || exec {become} "$0" "$@"\n{exports}export PYTHONDONTWRITEBYTECODE=1\n'
            f'exec {shlex.quote(sys.executable)} -P -m include.recovery.cli "$@"\n'
        )

    def _start_python(
        self, name: str, module: str, *words: str, port: int | None = None, env: dict[str, str] | None = None
    ) -> None:
        """Start one of the lab's own programs, and wait for its port when it has one."""
        environment = {**self.airflow.variables(), **(env or {})}
        self.registry.start(name, [sys.executable, "-m", module, *words], env=environment, cwd=self.directory)
        if port is not None:
            log = str(self.registry.log(name))
            wait_for(name, lambda: listens(port), seconds=60, alive=lambda: self.registry.alive(name), log=log)


def _end_copies(folder: Path) -> None:
    """End servers of a drill's copies that a killed task has left."""
    for place in (folder, *(each for each in folder.glob("*") if each.is_dir() and not each.is_symlink())):
        scratch_process.end(place, grace=3)
        if (server := scratch_server.recorded(place)) is not None:
            scratch_server.end(server)


def _rank(name: str) -> int:
    """Servers with lower numbers are stopped first."""
    if name.startswith(("airflow-", "web-", "traffic", "heartbeats")):
        return 0
    if name.startswith("postgres-"):
        return 1  # its last WAL segment goes to the stores, which it would wait for in vain
    return {"osd": 3, "mon": 4}.get(name.rpartition("-")[2], 2)
