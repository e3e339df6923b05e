"""Database and uploads of one system, damaged at different times, come back to one set; what does not fit is named."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.recovery.connections import ConnectionInfo, connections_from_environment
from include.recovery.errors import Refused
from include.recovery.keys.envelope import Keyring
from include.recovery.objects.bucket import Bucket
from include.recovery.policy.files import load_folder
from include.recovery.policy.models import ProtectedSystem
from include.recovery.postgres.server import PostgresServer
from include.recovery.sets.gather import keep_set
from include.recovery.sets.records import RecoverySets
from include.recovery.sets.recover import objects_site, reconcile, restore_objects
from include.recovery.sources import RunInfo, verbs
from tests.fixtures.content import EscrowWorkspace
from tests.fixtures.servers import ObjectStores
from tests.fixtures.small_systems import policy

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
LAB = "lab"
LEAVE = f"{LAB}/uploads"


@dataclass
class Lab:
    """A system with a database and a bucket that its rows name objects of."""

    workspace: EscrowWorkspace
    database: PostgresServer
    bucket: Bucket

    @property
    def system(self) -> ProtectedSystem:
        return self.workspace.system(LAB)

    def upload(self, key: str, content: bytes, *, row: bool = True) -> None:
        self.bucket.client.put_object(Bucket=self.bucket.bucket, Key=key, Body=content)
        if row:
            self.name(key)

    def name(self, key: str) -> None:
        with self.database.connect() as connection:
            connection.execute("INSERT INTO public.files (object_key) VALUES (%s)", (key,))

    def objects(self) -> dict[str, bytes]:
        return {info.key: self.bucket.get(info.key)[0] for info in self.bucket.list("")}

    def back_up(self) -> None:
        for source in self.system.sources:
            run = RunInfo(run_id=secrets.token_hex(4), started_by="a test")
            verbs(source.kind).backup(self.workspace, self.system, source, self.system.tier("daily"), run=run)


@pytest.fixture
def lab(
    tmp_path: Path, content_keyring: Keyring, object_stores: ObjectStores, fresh_database: PostgresServer
) -> Lab:
    name = f"lab-{secrets.token_hex(4)}"
    buckets = []
    for store, bucket in (("primary", name), ("offsite", f"{name}-replica")):
        made = Bucket.of(store, bucket, object_stores.connections[store])
        made.client.create_bucket(Bucket=bucket)
        made.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        buckets.append(made)
    with fresh_database.connect() as connection:
        connection.execute("CREATE TABLE public.files (id bigserial PRIMARY KEY, object_key text)")
    system = policy(LAB, {"streams": 1})
    (database,) = system["sources"]
    database |= {"database": fresh_database.database, "connections": {"backup": "db", "restore": "db"}}
    del database["validation"]
    uploads = {
        "name": "uploads", "kind": "objects", "data_class": "all", "connection": "east", "bucket": name,
        "replica": {"connection": "west", "bucket": f"{name}-replica"},
    }  # fmt: skip
    both = ["main-db", "uploads"]
    system["sources"] = [database, uploads]
    system["tiers"][0] |= {"sources": both}
    system["drills"]["weekly"] |= {"sources": both}
    system["reconcile"] = [{"database": "main-db", "objects": "uploads", "sql": "select object_key from files"}]
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / f"{LAB}.yaml").write_text(json.dumps(system))
    (policies / "platform.yaml").write_text(json.dumps({
        "stores": {
            store: {"kind": "folder", "path": str(tmp_path / store), "site": store, "medium": "disk", "provider": store}
            | ({"replication": "copy"} if store == "offsite" else {})
            for store in ("primary", "offsite")
        },
        "encryption": {"kms_connection": "kms", "kms_key": "alias/test"},
        "approvals": {"signing_connection": "signing"},
        "notifications": {"slack_connection": "slack"},
        "web": {"base_url": "http://127.0.0.1:8080"},
    }))  # fmt: skip
    connections = {
        "db": {
            "conn_type": "postgres", "host": fresh_database.host, "port": fresh_database.port,
            "login": fresh_database.user, "password": fresh_database.password,
        },
        "east": aws(object_stores.connections["primary"]),
        "west": aws(object_stores.connections["offsite"]),
    }  # fmt: skip
    (tmp_path / "connections.json").write_text(json.dumps(connections))
    found = load_folder(policies)
    assert found.problems == (), [str(problem) for problem in found.problems]
    known = connections_from_environment({"LIFEBOAT_CONNECTIONS": str(tmp_path / "connections.json")})
    return Lab(EscrowWorkspace(found, known, ring=content_keyring), fresh_database, buckets[0])


def aws(info: ConnectionInfo) -> dict[str, Any]:
    return {"conn_type": "aws", "login": info.login, "password": info.password, "extra": dict(info.extra)}


def now() -> datetime:
    return datetime.now(UTC)


@pytest.mark.demand("K2")
def test_both_come_back_to_one_moment_and_what_does_not_fit_is_named(lab: Lab) -> None:
    for key in ("a.png", "b.png", "c.png"):
        lab.upload(key, f"first {key}".encode())
    lab.upload("stray.bin", b"nobody names it", row=False)
    lab.upload("gone.png", b"deleted by mistake, and long ago")
    lab.bucket.delete("gone.png", None)
    lab.name("never.png")
    time.sleep(1.05)
    lab.back_up()
    made = keep_set(lab.workspace, lab.system, before=now(), now=now(), by="a test")
    assert made.whole
    assert made.at == made.member("main-db").at == made.member("uploads").at  # type: ignore[union-attr]
    assert RecoverySets(lab.workspace.store("primary"), LAB).pick("newest set", now()) == made
    good = lab.objects()

    # The database loses rows first; more work is done; then objects are overwritten, deleted, and added.
    with lab.database.connect() as connection:
        connection.execute("DELETE FROM public.files WHERE object_key < 'c'")
    lab.upload("d.png", b"work after the set")
    time.sleep(1.05)
    lab.upload("c.png", b"encrypted by a stranger", row=False)
    lab.bucket.delete("b.png", None)

    member = made.member("main-db")
    assert member is not None
    backup = lab.workspace.catalog().backup(LAB, "main-db", "postgres", member.backup)
    copy = lab.database.with_database(f"{lab.database.database}_set")
    try:
        verbs("postgres").restore(lab.workspace, backup, copy, database=copy.database)
        assert verbs("postgres").compare(lab.workspace, backup, copy)[0].identical
        site = objects_site(lab.workspace, lab.system, "uploads")
        (pair,) = lab.system.reconcile
        before = reconcile(site, pair, copy, at=made.at)
        assert (before.missing, before.orphaned, before.named) == (["gone.png", "never.png"], ["stray.bin"], 5)
        with pytest.raises(Refused, match="needs leave for just that"):
            restore_objects(site, made, leave="lab/other")
        done, doubts = restore_objects(site, made, leave=LEAVE)
        assert (done.changed, doubts) == (3, ())
        assert lab.objects() == good

        after = reconcile(site, pair, copy, fetch=LEAVE)
        assert (after.missing, after.orphaned) == (["gone.png", "never.png"], ["stray.bin"])
        assert list(after.fetched) == ["gone.png"]
        assert not after.whole, "an object that no version has was called whole"
        assert lab.objects() == good | {"gone.png": b"deleted by mistake, and long ago"}
        again = reconcile(site, pair, copy, fetch=LEAVE)
        assert (again.missing, again.fetched) == (["never.png"], {})
    finally:
        with lab.database.with_database("postgres").connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{copy.database}" WITH (FORCE)'.encode())
