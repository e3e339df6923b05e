"""RDS by moto, behind a proxy that answers in its place where a test says so; and a database of two regions."""

from __future__ import annotations

import json
import re
import secrets
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import httpx
import pytest

from include.lab.ports import LOOPBACK
from include.recovery.catalog.model import Backup, CompleteBackup, Manifest
from include.recovery.concerns import Concern
from include.recovery.connections import connections_from_environment
from include.recovery.copies import make_copy, missing_copies
from include.recovery.keys.envelope import Keyring
from include.recovery.policy.files import load_folder
from include.recovery.policy.models import ProtectedSystem
from include.recovery.policy.source_kinds.rds import RdsSource
from include.recovery.sources import RunInfo, rds
from include.recovery.watchdog import managed
from include.recovery.watchdog.look import Look, Subject
from tests.fixtures.content import EscrowWorkspace, content_keyring
from tests.fixtures.servers import Kms
from tests.fixtures.small_systems import policy

__all__ = ["content_keyring"]

HOME, SECOND = "us-east-1", "us-west-2"
PAUSE = 0.05
_SCOPE = re.compile(r"Credential=[^/]*/[^/]*/([^/]*)/")
_REFUSAL = (
    '<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><Error><Type>Sender</Type><Code>{code}</Code>'
    "<Message>{message}</Message></Error><RequestId>0</RequestId></ErrorResponse>"
)

Refusal = tuple[int, str, str]
"""Status, code, message."""


@dataclass
class Proxy:
    """Stands between Lifeboat and moto.

    :param refuse: by action and region, what is answered instead.
    :param rewrite: pairs of texts that are replaced in every answer, as long as the test wants.
    :param calls: action and region of every call that came.
    :param sent: of each action, what the last call sent.
    """

    target: str
    client: httpx.Client
    refuse: dict[tuple[str, str], Refusal] = field(default_factory=dict)
    rewrite: list[tuple[str, str]] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    sent: dict[str, dict[str, str]] = field(default_factory=dict)
    url: str = ""

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        told = parse_qs(body.decode(), keep_blank_values=True)
        action = told.get("Action", ["?"])[0]
        self.sent[action] = {name: values[0] for name, values in told.items()}
        scope = _SCOPE.search(headers.get("Authorization", ""))
        call = action, scope.group(1) if scope else "?"
        self.calls.append(call)
        refusal = self.refuse.get(call) or self.refuse.get(("*", call[1]))
        if refusal is not None:
            status, code, message = refusal
            return status, _REFUSAL.format(code=code, message=message).encode()
        passed = {name: value for name, value in headers.items() if name.lower() not in {"host", "content-length"}}
        answer = self.client.post(self.target, content=body, headers=passed)
        text = answer.text
        for before, after in self.rewrite:
            text = re.sub(before, after, text)
        return answer.status_code, text.encode()

    def reset(self) -> None:
        self.refuse.clear()
        self.rewrite.clear()
        self.calls.clear()


@pytest.fixture(scope="session")
def rds_proxy(kms: Kms) -> Iterator[Proxy]:
    extra = kms.connection.extra
    with httpx.Client(verify=ssl.create_default_context(cafile=extra["verify"])) as client:
        proxy = Proxy(extra["endpoint_url"], client)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, told = proxy.answer(body, dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        server.daemon_threads = True
        proxy.url = f"http://{LOOPBACK}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield proxy
        server.shutdown()
        server.server_close()


@dataclass
class Rds:
    """A database on RDS, its policy, and what is done with it.

    :param real: by region, a client of moto itself: what a person or the service does behind Lifeboat's back.
    """

    workspace: EscrowWorkspace
    proxy: Proxy
    real: dict[str, Any]
    instance: str
    name: str
    keys: dict[str, str]

    @property
    def system(self) -> ProtectedSystem:
        return self.workspace.system("depot")

    @property
    def source(self) -> RdsSource:
        source = self.system.source(self.name)
        assert isinstance(source, RdsSource)
        return source

    def run(self, run_id: str | None = None, try_number: int = 1) -> RunInfo:
        return RunInfo(run_id=run_id or f"run-{secrets.token_hex(4)}", try_number=try_number, started_by="a test")

    def back_up(self, run: RunInfo | None = None, **more: Any) -> Manifest:
        source = more.pop("source", self.source)
        return rds.backup(
            self.workspace, self.system, source, self.system.tier("daily"), run=run or self.run(), pause=PAUSE, **more
        )

    def listed(self, store: str = "primary") -> list[Backup]:
        return self.workspace.catalog(store).backups("depot", self.name, "rds")

    def entry(self, manifest: Manifest, store: str = "primary") -> CompleteBackup:
        return self.workspace.catalog(store).backup("depot", self.name, "rds", manifest.id)

    def concerns(self) -> list[Concern]:
        """What the watchdog says of the service and the catalogs."""
        look = Look.around(self.workspace, datetime.now(UTC))
        return list(managed.snapshots(Subject(look, self.system, self.source, {})))

    def replicate(self) -> None:
        for copy in missing_copies(self.system, self.workspace.catalog):
            make_copy(self.workspace, "depot", copy, by="a test")

    def snapshots(self, region: str) -> list[dict[str, Any]]:
        found = self.real[region].describe_db_snapshots(DBInstanceIdentifier=self.instance)["DBSnapshots"]
        return [each for each in found if each["SnapshotType"] == "manual"]

    def instances(self, region: str) -> list[str]:
        return [each["DBInstanceIdentifier"] for each in self.real[region].describe_db_instances()["DBInstances"]]


@pytest.fixture
def make_rds(
    rds_proxy: Proxy, kms: Kms, tmp_path: Path, content_keyring: Keyring
) -> Iterator[Callable[..., Rds]]:
    """Makes a database on RDS with its policy; the proxy lets everything through again afterwards."""

    def client(service: str, region: str) -> Any:
        return boto3.client(
            service, region_name=region, endpoint_url=kms.connection.extra["endpoint_url"],
            verify=kms.connection.extra["verify"], aws_access_key_id="real", aws_secret_access_key="real",
        )  # fmt: skip

    def make(*, encrypted: bool = True, kms_key: str | None = "alias/depot-west", **connection: Any) -> Rds:
        token = secrets.token_hex(4)
        instance, name = f"depot-{token}", f"managed-{token}"
        real = {region: client("rds", region) for region in (HOME, SECOND)}
        keys = {region: _key(client("kms", region)) for region in (HOME, SECOND)}
        real[HOME].create_db_instance(
            DBInstanceIdentifier=instance, Engine="postgres", EngineVersion="15.4", DBInstanceClass="db.t3.micro",
            AllocatedStorage=20, MasterUsername="depot", MasterUserPassword=secrets.token_hex(8),
            BackupRetentionPeriod=7, StorageEncrypted=encrypted, PubliclyAccessible=False,
            **({"KmsKeyId": keys[HOME]} if encrypted else {}),
        )  # fmt: skip
        folder = tmp_path / token
        (folder / "policies").mkdir(parents=True)
        second = {"region": SECOND, "connection": "rds_west", "store": "offsite", "kms_key": kms_key}
        source = {
            "name": name, "kind": "rds", "data_class": "all", "instance": instance, "portable": "main-db",
            "home": {"region": HOME, "connection": "rds_east"},
            "second": {key: value for key, value in second.items() if value}, "tags": {"team": "depot"},
        }  # fmt: skip
        system = policy("depot", {"streams": 1})
        system["sources"].append(source)
        system["tiers"][0] |= {"sources": ["main-db", name], "keep": {"every": "30d"}}
        system["drills"]["weekly"] |= {"sources": ["main-db", name]}
        (folder / "policies" / "depot.yaml").write_text(json.dumps(system))
        stores = {
            each: {"kind": "folder", "path": str(folder / each), "site": each, "medium": "disk", "provider": each}
            for each in ("primary", "offsite")
        }
        stores["offsite"]["replication"] = "copy"
        (folder / "policies" / "platform.yaml").write_text(json.dumps({
            "stores": stores, "encryption": {"kms_connection": "kms", "kms_key": "alias/test"},
            "approvals": {"signing_connection": "signing"}, "notifications": {"slack_connection": "slack"},
            "web": {"base_url": "http://127.0.0.1:8080"},
        }))  # fmt: skip
        where = {"login": "lifeboat", "password": "the secret", "extra": {"endpoint_url": rds_proxy.url}}
        nowhere = {"host": "gone.invalid"}
        connections = {"rds_east": where, "rds_west": where, "depot_backup": nowhere} | connection
        (folder / "connections.json").write_text(json.dumps(connections))
        found = load_folder(folder / "policies")
        assert found.problems == (), found.problems
        known = connections_from_environment({"LIFEBOAT_CONNECTIONS": str(folder / "connections.json")})
        workspace = EscrowWorkspace(found, known, ring=content_keyring)
        return Rds(workspace, rds_proxy, real, instance, name, keys)

    yield make
    rds_proxy.reset()


@pytest.fixture
def depot(make_rds: Callable[..., Rds]) -> Rds:
    """An encrypted database, copied under a key of the second region."""
    return make_rds()


def _key(client: Any) -> str:
    """A key of the region, with the alias that the policy names."""
    known = {alias["AliasName"]: alias.get("TargetKeyId") for alias in client.list_aliases()["Aliases"]}
    if "alias/depot-west" not in known:
        key = client.create_key(Description="RDS of the tests")["KeyMetadata"]
        client.create_alias(AliasName="alias/depot-west", TargetKeyId=key["KeyId"])
        known["alias/depot-west"] = key["KeyId"]
    return str(client.describe_key(KeyId=known["alias/depot-west"])["KeyMetadata"]["Arn"])
