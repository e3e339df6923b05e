"""A protected system of its own for each test: a database with rows, policies, connections, and the command line."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from typer.testing import CliRunner, Result

from include.recovery.cli.app import app
from include.recovery.connections import ConnectionInfo
from include.recovery.evidence.signing import Signer
from include.recovery.postgres.server import PostgresServer
from tests.fixtures.servers import Kms, ObjectStores

CONTENT = """
    CREATE TABLE users (id integer PRIMARY KEY, name text NOT NULL, born date);
    CREATE TABLE tasks (id serial PRIMARY KEY, user_id integer REFERENCES users, title text, tags jsonb);
    INSERT INTO users SELECT n, 'user ' || n, date '1990-01-01' + n FROM generate_series(1, 500) n;
    INSERT INTO tasks (user_id, title, tags) SELECT 1 + n % 500, repeat('task ', n % 7), jsonb_build_object('n', n)
      FROM generate_series(1, 2000) n;
"""


@dataclass(frozen=True)
class ProtectedSystem:
    """What a test works with.

    :param live: the protected database, as the superuser.
    :param secrets: passwords and keys that must never be shown.
    """

    name: str
    folder: Path
    live: PostgresServer
    secrets: tuple[str, ...]
    escrow_key: Path
    bucket_environment: Mapping[str, str | None] = field(default_factory=dict)

    def run(
        self, *arguments: str, typed: str | None = None, bare: bool = False, expect: int = 0, **environ: str | None
    ) -> Result:
        """Run ``lifeboat`` and check its exit code, and that it shows no secret.

        :param bare: without policies and connections.
        """
        where = [] if bare else ["--policies", str(self.folder), "--connections", str(self.folder / "connections.json")]
        environment = {"COLUMNS": "200", "LIFEBOAT_POLICIES": str(self.folder / "none"), "LIFEBOAT_CONNECTIONS": None}
        result = CliRunner().invoke(app, [*where, *arguments], input=typed, env=environment | environ)
        said = result.stdout + result.stderr
        assert not any(secret in said for secret in self.secrets)
        assert result.exit_code == expect, (said, result.exception)
        return result

    def query(self, statement: str, database: str | None = None) -> Any:
        """One value from the live database, or another of its server."""
        with self.live.with_database(database or self.live.database).connect() as connection:
            cursor = connection.execute(statement.encode())
            found = cursor.fetchone() if cursor.description else None
            return None if found is None else found[0]


@pytest.fixture(scope="session")
def escrow_pems() -> tuple[str, str]:
    """Private and public half of an RSA key."""
    key = generate_private_key(65537, 4096)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture
def protected(
    tmp_path: Path,
    fresh_database: PostgresServer,
    object_stores: ObjectStores,
    kms: Kms,
    escrow_pems: tuple[str, str],
) -> Iterator[ProtectedSystem]:
    """A system with data, its roles not yet prepared."""
    name = "cli-" + re.sub("[^a-z0-9]", "", fresh_database.database)
    word = name.replace("-", "_")
    with fresh_database.connect(settings={"search_path": "public"}) as connection:
        for statement in (
            f"CREATE ROLE {word}_owner LOGIN",
            f"ALTER DATABASE {fresh_database.database} OWNER TO {word}_owner",
            f"GRANT CREATE ON SCHEMA public TO {word}_owner",
            f"SET ROLE {word}_owner",
            CONTENT,
        ):
            connection.execute(statement.encode())
    folder = tmp_path / "policies"
    folder.mkdir()
    private, public = escrow_pems
    (folder / "escrow.pem").write_text(public)
    (tmp_path / "escrow-private.pem").write_text(private)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(policy(name, fresh_database.database)))
    (folder / "platform.yaml").write_text(yaml.safe_dump(platform(kms)))
    signer = Signer.generate().private_pem()
    logins = {role: (f"{word}_{role}", secrets.token_urlsafe(12)) for role in ("backup", "restore")}
    server = {"conn_type": "postgres", "host": fresh_database.host, "port": fresh_database.port}
    connections: dict[str, Any] = {
        f"{word}_{role}": server | {"login": login, "password": password} for role, (login, password) in logins.items()
    }
    connections["admin"] = server | {"login": fresh_database.user, "password": fresh_database.password}
    connections |= {c.id: plain(c) for c in (*object_stores.connections.values(), kms.connection)}
    connections["lifeboat_signing"] = {"conn_type": "generic", "password": signer}
    (folder / "connections.json").write_text(json.dumps(connections))
    primary = object_stores.connections["primary"]
    hidden = [password for _, password in logins.values()] + [fresh_database.password, primary.password]
    hidden += [line for pem in (signer, private) for line in pem.splitlines()[1:-1]]
    yield ProtectedSystem(
        name,
        folder,
        fresh_database,
        tuple(hidden),
        tmp_path / "escrow-private.pem",
        {
            "AWS_ENDPOINT_URL": primary.extra["endpoint_url"],
            "AWS_ACCESS_KEY_ID": primary.login,
            "AWS_SECRET_ACCESS_KEY": primary.password,
            "AWS_CA_BUNDLE": primary.extra["verify"],
            "AWS_REGION": primary.extra["region_name"],
        },
    )
    with fresh_database.with_database("postgres").connect() as connection:
        mine = connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [fresh_database.database]
        )
        for (database,) in mine.fetchall():
            connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)'.encode())
        for role in ("backup", "restore", "owner"):
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [f"{word}_{role}"]).fetchone():
                connection.execute(f"DROP OWNED BY {word}_{role}; DROP ROLE {word}_{role}".encode())


def plain(connection: ConnectionInfo) -> dict[str, Any]:
    """A connection as the file holds it."""
    return {
        "conn_type": "aws",
        "login": connection.login,
        "password": connection.password,
        "extra": dict(connection.extra),
    }


def policy(name: str, database: str) -> dict[str, Any]:
    """A small policy."""
    word = name.replace("-", "_")
    approval = {"role": "incident_commander", "people": 1, "expires": "30m"}
    return {
        "system": name,
        "title": "A system of a test",
        "time_zone": "Europe/Berlin",
        "priority": 1,
        "objectives": {"tier-1": {"rpo": "48h", "rto": "1h"}},
        "scenarios": {
            "database_corruption": {"rto": "1h", "approval": approval, "help": "The database is damaged."},
            "table_corruption": {"rto": "30m", "approval": approval, "help": "A table is damaged."},
        },
        "sources": [
            {
                "name": "main-db",
                "kind": "postgres",
                "data_class": "tier-1",
                "database": database,
                "connections": {"backup": f"{word}_backup", "restore": f"{word}_restore"},
            }
        ],
        "tiers": [
            {
                "name": "daily",
                "method": "logical",
                "cron": "0 3 * * *",
                "sources": ["main-db"],
                "keep": {"days": 14},
                "stores": ["primary"],
                "grace": "30m",
            }
        ],
        "drills": {"weekly": {"cron": "0 5 * * 0", "sources": ["main-db"]}},
        "owners": {
            task: {"primary": "incident_commander", "secondary": "engineer"}
            for task in ("backup", "verification", "recovery_testing", "disaster_recovery")
        },
        "roles": {
            "incident_commander": {"people": ["ada", "grace"], "responsible_for": "decides"},
            "engineer": {"people": ["grace"], "responsible_for": "does it"},
        },
        "contacts": [{"name": "Incident commander", "role": "incident_commander", "email": "ic@example.org"}],
        "review": {"last": "2026-11-02", "every": "365d"},
    }


def platform(kms: Kms) -> dict[str, Any]:
    """The session's stores and key."""
    place = {"site": "lab", "medium": "object-store", "provider": "ceph"}
    return {
        "stores": {
            name: {
                "kind": "s3",
                "connection": f"lifeboat_{name}",
                "bucket": f"lifeboat-{name}",
                "region": region,
                **place,
                **({"replication": "copy", "locked": True} if name == "offsite" else {}),
            }
            for name, region in {"primary": "us-east-1", "offsite": "us-west-2"}.items()
        },
        "encryption": {"kms_connection": kms.connection.id, "kms_key": kms.alias, "escrow_public_key": "escrow.pem"},
        "approvals": {"signing_connection": "lifeboat_signing"},
        "notifications": {"slack_connection": "lifeboat_slack"},
        "web": {"base_url": "http://127.0.0.1:8080"},
    }
