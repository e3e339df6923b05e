"""A workspace whose stores are folders, with backups that hold a few bytes: for everything that reads catalogs."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import Manifest, PhysicalBackup
from include.recovery.connections import connections_from_environment
from include.recovery.evidence.signing import Signer
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.policy.files import load_folder
from include.recovery.workspace import Workspace

_SHIPPED = Path(__file__).parents[2] / "include" / "policies"


class EscrowKey:
    """The escrow's RSA key; made once, since 4096 bits take a moment."""

    def __init__(self) -> None:
        key = generate_private_key(65537, 4096)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.public_pem = public.decode()
        self.private_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(scope="session")
def escrow_key() -> EscrowKey:
    return EscrowKey()


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer.generate()


def _with_the_database_only(system: str) -> dict[str, Any]:
    """A shipped policy without its sources of other kinds, which have tests of their own."""
    policy: dict[str, Any] = yaml.safe_load((_SHIPPED / f"{system}.yaml").read_text())
    policy["sources"] = [source for source in policy["sources"] if source["kind"] == "postgres"]
    left = {source["name"] for source in policy["sources"]}
    for scheduled in [*policy["tiers"], *policy["drills"].values()]:
        scheduled["sources"] = [name for name in scheduled["sources"] if name in left]
    policy["tiers"] = [tier for tier in policy["tiers"] if tier["sources"]]
    return policy


@pytest.fixture
def folder_workspace(tmp_path: Path, escrow_key: EscrowKey, signer: Signer) -> Workspace:
    """The database of labdojo with two folders as stores. ``tmp_path`` gets ``policies/`` and ``connections.json``."""
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "labdojo.yaml").write_text(yaml.safe_dump(_with_the_database_only("labdojo")))
    stores = {name: {"kind": "folder", "path": str(tmp_path / name)} | _place(name) for name in ("primary", "offsite")}
    stores["offsite"]["replication"] = "copy"
    platform = {
        "stores": stores,
        "encryption": {"kms_connection": "kms", "kms_key": "alias/test", "escrow_public_key": "escrow.pem"},
        "approvals": {"signing_connection": "signing"},
        "notifications": {"slack_connection": "slack"},
        "web": {"base_url": "http://127.0.0.1:8080"},
    }
    (policies / "escrow.pem").write_text(escrow_key.public_pem)
    (policies / "platform.yaml").write_text(json.dumps(platform))
    connections = tmp_path / "connections.json"
    connections.write_text(json.dumps({"signing": {"conn_type": "generic", "password": signer.private_pem()}}))
    found = load_folder(policies)
    assert found.problems == ()
    return Workspace(found, connections_from_environment({"LIFEBOAT_CONNECTIONS": str(connections)}))


@pytest.fixture
def make_backup(folder_workspace: Workspace, escrow_key: EscrowKey) -> Callable[..., Manifest]:
    """Store a small backup of labdojo's database as it was at a moment, in one store or several."""

    def make(
        at: datetime, *, stores: tuple[str, ...] = ("primary",), tier: str | None = "weekly-full", **fields: Any
    ) -> Manifest:
        keyring = Keyring([EscrowWrapper(escrow_key.public_pem)])
        catalog = Catalog(folder_workspace.store(stores[0]), now=lambda: at)
        owner = Owner.of_this_process(f"test-{at:%Y%m%dT%H%M%S}")
        with catalog.begin("labdojo", "main-db", "postgres", tier=tier, owner=owner, keyring=keyring) as backup:
            part = backup.store_part(io.BytesIO(b"rows" * 1000), "rest", "data", ["public.users"])
            values: dict[str, Any] = {
                "started_by": "a test",
                "started_at": at,
                "snapshot_at": at,
                "server_version": "15.8",
                "tool_versions": {"pg_dump": "15.8"},
                "compression": "zstd-3",
                "parts": (part,),
                "fingerprint": None,
                "database": "labdojo",
                "source_size": 4000,
            }
            manifest = backup.commit(**(values | fields))
        for store in stores[1:]:
            _copy(folder_workspace, manifest, stores[0], store)
        return manifest

    return make


@pytest.fixture
def make_cluster_backup(folder_workspace: Workspace, escrow_key: EscrowKey) -> Callable[..., Manifest]:
    """Enter a backup of labdojo's cluster into the catalog of a store; no repository has it."""

    def make(at: datetime, *, store: str = "primary", parent: str | None = None, tier: str | None = None) -> Manifest:
        catalog = Catalog(folder_workspace.store(store), now=lambda: at)
        full, label = f"{at:%Y%m%d}-000000F", f"{at:%Y%m%d-%H%M%S}F"
        physical = PhysicalBackup(
            stanza="labdojo-main-db", label=label if parent is None else f"{full}_{label[:-1]}I",
            type="full" if parent is None else "incr", repository=1, reference=() if parent is None else (full,),
            timeline=1, lsn_start="0/2000000", lsn_stop="0/2000100", wal_start="000000010000000000000002",
            wal_stop="000000010000000000000002", system_identifier="7710618046853830516", databases=("labdojo",),
            database_size=4000, repository_size=400,
        )
        with catalog.begin(
            "labdojo", "main-db", "pgbackrest", tier=tier, owner=Owner.of_this_process(f"test-{at:%Y%m%dT%H%M%S}"),
            keyring=Keyring([EscrowWrapper(escrow_key.public_pem)]),
        ) as backup:
            return backup.commit(
                started_by="a test", started_at=at, snapshot_at=at, server_version="15.14",
                tool_versions={"pgbackrest": "2.45"}, compression="zst-3", parts=(), fingerprint=None,
                source_size=4000, parent=parent, physical=physical,
            )

    return make


def _copy(workspace: Workspace, manifest: Manifest, source: str, target: str) -> None:
    for info in list(workspace.store(source).list(manifest.prefix)):
        workspace.store(target).put(info.key, workspace.store(source).get(info.key)[0])
    workspace.catalog(target).rebuild_index()


def _place(name: str) -> dict[str, str]:
    return {"site": name, "medium": "disk" if name == "primary" else "object-store", "provider": name}


@pytest.fixture
def utc() -> Callable[..., datetime]:
    return lambda *parts: datetime(*parts, tzinfo=UTC)
