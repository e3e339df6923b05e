"""Every password and key of one lab: random, made once, kept in files that only its user may read."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from include.lab.buckets import Credentials, RegionKeys
from include.lab.ports import LOOPBACK
from include.lab.postgres import SUPERUSER
from include.lab.source_connections import SourceSecrets, source_connections
from include.lab.systems import AWS_PORT, DNS_PORT, REGIONS, SLACK_PORT, SYSTEMS
from include.lab.tls import Certificates, write_private

AIRFLOW_USERS = {"admin": "admin", "ada": "op", "grace": "op", "vera": "viewer"}
"""Airflow's users with their roles; policies name the same people."""

DNS_KEY = "lifeboat-recovery"


@dataclass(frozen=True)
class LabSecrets:
    """What nobody else may know.

    :param databases: for each system, the passwords of ``superuser``, ``app``, ``backup`` and ``restore``.
    :param users: Airflow's users.
    :param signing_key: Ed25519 private key (PEM) that signs approvals and evidence.
    """

    databases: Mapping[str, Mapping[str, str]] = field(repr=False)
    airflow_database: str = field(repr=False)
    regions: Mapping[str, Mapping[str, Any]] = field(repr=False)
    aws: Mapping[str, str] = field(repr=False)
    slack_token: str = field(repr=False)
    dns_secret: str = field(repr=False)
    users: Mapping[str, str] = field(repr=False)
    signing_key: str = field(repr=False)
    fernet_key: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    session_secret: str = field(repr=False)
    sources: SourceSecrets = field(repr=False)

    @classmethod
    def random(cls) -> Self:
        """New ones for a new lab."""
        word = secrets.token_urlsafe
        roles = ("superuser", "app", "backup", "restore")
        return cls(
            databases={system.name: {role: word(18) for role in roles} for system in SYSTEMS},
            airflow_database=word(18),
            regions={region.store: RegionKeys.random().as_json() for region in REGIONS},
            aws=asdict(Credentials.random()),
            slack_token=word(18),
            dns_secret=_base64_secret(),
            users={user: word(9) for user in AIRFLOW_USERS},
            signing_key=_signing_key(),
            fernet_key=Fernet.generate_key().decode(),
            jwt_secret=word(32),
            session_secret=word(32),
            sources=SourceSecrets.random(),
        )

    @classmethod
    def load_or_make(cls, path: Path) -> Self:
        """The lab's secrets; made when the file is missing, and completed when it is older than one of them."""
        fresh = asdict(cls.random())
        saved = json.loads(path.read_text(encoding="utf-8")) if path.exists() else fresh
        for region, keys in fresh["regions"].items():
            saved["regions"][region] = keys | saved["regions"].get(region, {})
        saved["sources"] = fresh["sources"] | saved.get("sources", {})
        text = json.dumps(saved, indent=1).encode()
        if not path.exists() or path.read_bytes() != text:
            write_private(path, text)
        return cls(**{**saved, "sources": SourceSecrets(**saved["sources"])})

    def region(self, store: str) -> RegionKeys:
        """The keys of one object-store region."""
        return RegionKeys.from_json(self.regions[store])


def connections(secret: LabSecrets, certificates: Certificates, directory: Path) -> dict[str, dict[str, Any]]:
    """Every connection that the policies name, and those of the applications, by id.

    :param directory: the lab's; in ``postgres`` below it, each system's server has a directory with its unix socket,
        named as the system.

    The format is the one of Airflow's ``LocalFilesystemBackend``, which ``lifeboat`` reads too
    (``LIFEBOAT_CONNECTIONS``).
    """
    verify = str(certificates.authority)
    found: dict[str, dict[str, Any]] = {}
    for region in REGIONS:
        keys = secret.region(region.store)
        endpoint = f"https://{LOOPBACK}:{region.ports.gateway}"
        extra = {"endpoint_url": endpoint, "region_name": region.name, "verify": verify}
        for end, who in (("", keys.writer), ("_repo", keys.repository), ("_expiry", keys.expiry)):
            found[f"lifeboat_{region.store}{end}"] = {
                "conn_type": "aws",
                "login": who.access_key,
                "password": who.secret_key,
                "extra": extra,
            }
    found["lifeboat_kms"] = {
        "conn_type": "aws",
        "login": secret.aws["access_key"],
        "password": secret.aws["secret_key"],
        "extra": {"endpoint_url": f"https://{LOOPBACK}:{AWS_PORT}", "region_name": "us-east-1", "verify": verify},
    }
    found["lifeboat_signing"] = {"conn_type": "generic", "password": secret.signing_key}
    found["lifeboat_slack"] = {
        "conn_type": "slackwebhook",
        "host": f"http://{LOOPBACK}:{SLACK_PORT}/services",
        "password": secret.slack_token,
    }
    found["lifeboat_dns"] = {
        "conn_type": "generic",
        "host": LOOPBACK,
        "port": DNS_PORT,
        "login": DNS_KEY,
        "password": secret.dns_secret,
    }
    for system in SYSTEMS:
        for role, name in (("app", system.app_role), ("backup", system.backup_role), ("restore", system.restore_role)):
            found[name] = {
                "conn_type": "postgres",
                "host": LOOPBACK,
                "port": system.database_port,
                "login": name,
                "password": secret.databases[system.name][role],
                "schema": system.database,
            }
        # The socket trusts whoever reaches its directory (mode 700): there is no password to keep.
        found[system.cluster_connection] = {
            "conn_type": "postgres",
            "host": str(directory / "postgres" / system.name),
            "port": system.database_port,
            "login": SUPERUSER,
            "schema": "postgres",
        }
    regions = {region.store: secret.region(region.store) for region in REGIONS}
    return found | source_connections(secret.sources, regions, verify, directory)


def _signing_key() -> str:
    key = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*pem).decode()


def _base64_secret() -> str:
    """A TSIG secret for HMAC-SHA256."""
    return base64.b64encode(secrets.token_bytes(32)).decode()
