"""``docs/format.md`` is right: following it restores a real backup without Lifeboat."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import Manifest
from include.recovery.fingerprint.compare import compare
from include.recovery.fingerprint.measure import measure_like
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.keys.kms import KmsWrapper
from include.recovery.parts.write import VOLUME_BYTES
from include.recovery.postgres.backup import BackupOptions, back_up_database
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.tools import find

if TYPE_CHECKING:
    from tests.fixtures.servers import Kms, ObjectStores

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

DATABASE = """
    SET search_path = public;
    CREATE TYPE mood AS ENUM ('calm', 'storm');
    CREATE TABLE users (id bigserial PRIMARY KEY, name text NOT NULL, mood mood, seen timestamptz DEFAULT now());
    CREATE TABLE "odd Name" (id int REFERENCES users (id), body bytea, tags text[]);
    CREATE INDEX ON users (name);
    INSERT INTO users (name, mood) SELECT 'user ' || n, 'calm' FROM generate_series(1, 20000) n;
    INSERT INTO "odd Name" SELECT id, sha256(name::bytea), ARRAY[name, NULL] FROM users WHERE id % 3 = 0;
    CREATE VIEW calm_users AS SELECT * FROM users WHERE mood = 'calm';
    SELECT lo_from_bytea(0, 'a large object');
"""


@pytest.fixture(scope="module")
def escrow_pem() -> str:
    """The escrow's private key."""
    key = generate_private_key(65537, 4096)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_the_blocks_are_found() -> None:
    languages = [language for language, _ in BLOCK.findall(PAGE)]
    assert languages.count("python") == 4
    assert languages.count("sh") == 6


@pytest.mark.parametrize("key_from", ["kms", "escrow"])
def test_a_backup_is_restored_by_following_the_page(
    key_from: str,
    object_stores: ObjectStores,
    kms: Kms,
    escrow_pem: str,
    fresh_database: PostgresServer,
    tmp_path: Path,
) -> None:
    with fresh_database.connect() as connection:
        connection.execute(DATABASE.encode())
    wrappers = [KmsWrapper.from_connection(kms.connection, kms.alias), EscrowWrapper(private_key_pem=escrow_pem)]
    manifest = back_up(Catalog(object_stores.primary), fresh_database, Keyring(wrappers))
    hide_behind_a_delete_marker(object_stores, manifest)
    restored = f"restored_{uuid.uuid4().hex[:8]}"
    tools = [str(Path(program).parent) for program in (sys.executable, find(15).path("pg_restore"))]
    environment = {
        "PATH": os.pathsep.join([*tools, os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "BUCKET": object_stores.primary.bucket,
        "BACKUP": manifest.name,
        "RESTORED": restored,
        **aws_environment(object_stores, kms if key_from == "kms" else None),
        **fresh_database.environment(),
    }
    if key_from == "escrow":
        (tmp_path / "escrow.pem").write_text(escrow_pem)
    for language, code in BLOCK.findall(PAGE):
        is_the_other_way = ("unwrap.py" if key_from == "escrow" else "escrow.pem") in code
        if language == "python":
            name = code.split("\n", 1)[0].removeprefix("# ")
            (tmp_path / name).write_text(code)
        elif not is_the_other_way:
            follow(code, tmp_path, environment)
    assert manifest.fingerprint is not None
    copy = fresh_database.with_database(restored)
    comparison = compare(manifest.fingerprint, measure_like(manifest.fingerprint, copy.connect))
    assert comparison.identical, comparison.differences
    with fresh_database.connect() as connection:
        connection.execute(f'DROP DATABASE "{restored}"'.encode())


def back_up(catalog: Catalog, server: PostgresServer, keyring: Keyring) -> Manifest:
    now = datetime.now(UTC)
    system = f"test-{uuid.uuid4().hex[:8]}"
    owner = Owner.of_this_process("run-1")
    with catalog.begin(system, "main-db", "postgres", owner=owner, keyring=keyring) as in_progress:
        taken = back_up_database(server, in_progress, BackupOptions(streams=2))
        return in_progress.commit(started_by="ada", started_at=now, **taken.fields)


def hide_behind_a_delete_marker(object_stores: ObjectStores, manifest: Manifest) -> None:
    object_stores.primary.delete(manifest.parts[0].volumes[0].key)


def aws_environment(object_stores: ObjectStores, kms: Kms | None) -> dict[str, str]:
    s3 = object_stores.connections["primary"]
    environment = {
        "AWS_ACCESS_KEY_ID": s3.login,
        "AWS_SECRET_ACCESS_KEY": s3.password,
        "AWS_DEFAULT_REGION": s3.extra["region_name"],
        "AWS_ENDPOINT_URL_S3": s3.extra["endpoint_url"],
        "AWS_CA_BUNDLE": s3.extra["verify"],
    }
    if kms is not None:
        environment["AWS_ENDPOINT_URL_KMS"] = kms.connection.extra["endpoint_url"]
    return environment


def follow(code: str, folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"


def test_the_numbers_on_the_page_are_those_of_the_code() -> None:
    assert f"at most {VOLUME_BYTES // 1024**3} GiB" in PAGE


def test_the_manifest_on_the_page_has_the_shape_of_a_real_one(object_stores: ObjectStores, escrow_pem: str) -> None:
    now = datetime.now(UTC)
    keyring = Keyring([EscrowWrapper(private_key_pem=escrow_pem)])
    catalog, system = Catalog(object_stores.primary), f"test-{uuid.uuid4().hex[:8]}"
    with catalog.begin(system, "main-db", "postgres", owner=Owner.of_this_process("run-1"), keyring=keyring) as backup:
        part = backup.store_part(io.BytesIO(b"x"), "rest", "data")
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
    envelope = json.loads(object_stores.primary.get(f"{manifest.prefix}manifest.json")[0])
    (example,) = re.findall(r'^    (\{"manifest".*\})$', PAGE, re.MULTILINE)
    shape = json.loads(example.replace("{...}", "{}"))
    assert envelope.keys() == shape.keys()
    assert envelope["seal"].keys() == shape["seal"].keys()
    assert envelope["seal"]["algorithm"] == shape["seal"]["algorithm"]
