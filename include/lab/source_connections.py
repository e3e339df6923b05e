"""Passwords and connections of the sources that are no PostgreSQL: buckets, repositories, servers, hosts' files."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from include.lab.buckets import RegionKeys
from include.lab.ports import LOOPBACK
from include.lab.systems import (
    AWS_PORT,
    BUCKETS,
    CLUSTERS,
    GIT_PORT,
    MONGODB_PORT,
    PROMETHEUS_PORT,
    REDIS_PORT,
    REGIONS,
    REPOSITORIES,
    VAULT_PORT,
)

UNSEAL_KEYS = "vault/unseal-keys"
"""Below the lab's directory: what opens its vault, separated by blanks; there once the vault was made."""
PROMETHEUS_DATA = "prometheus/data"
HOSTS = "hosts"
"""Below the lab's directory, a folder for each host whose files are backed up, as if it were that host's ``/``."""
GIT_USER = "lifeboat"


@dataclass(frozen=True)
class SourceSecrets:
    """What nobody else may know.

    :param redis_backup: of the login that may only copy.
    :param vault_role: AppRole ids, of which the second is a password.
    :param kubernetes_reader: the token that may only read.
    """

    git: str
    redis_backup: str
    redis_writer: str
    vault_role: str
    vault_secret: str
    kubernetes_reader: str
    kubernetes_writer: str

    @classmethod
    def random(cls) -> Self:
        """New ones."""
        return cls(*(secrets.token_urlsafe(18) for _ in fields(cls)))


def source_connections(
    secret: SourceSecrets, regions: Mapping[str, RegionKeys], verify: str, directory: Path
) -> dict[str, dict[str, Any]]:
    """By id.

    :param regions: the keys of each region, by its store.
    :param verify: path of the authority that clients trust.
    :param directory: the lab's.
    """
    return {
        **_buckets(regions, verify),
        **{
            connection: _login(GIT_USER, secret.git, conn_type="http", extra={"ca_bundle": verify})
            | {"host": f"https://{LOOPBACK}:{GIT_PORT}"}
            for connection in REPOSITORIES.values()
        },
        **{
            f"{system.replace('-', '_')}_kubernetes{end}": {
                "conn_type": "kubernetes",
                "host": f"https://{LOOPBACK}:{port}",
                "password": token,
                "extra": {"ca_file": verify},
            }
            for system, port in CLUSTERS.items()
            for end, token in (("", secret.kubernetes_reader), ("_restore", secret.kubernetes_writer))
        },
        **{
            f"labdojo_mongodb{end}": {"conn_type": "mongo", "host": LOOPBACK, "port": MONGODB_PORT}
            for end in ("", "_restore")
        },
        "aido_todo_state": _server(REDIS_PORT) | _login("backup", secret.redis_backup, conn_type="redis"),
        "aido_todo_state_restore": _server(REDIS_PORT) | _login("writer", secret.redis_writer, conn_type="redis"),
        "aiaas_vault": {"host": f"https://{LOOPBACK}:{VAULT_PORT}"}
        | _login(secret.vault_role, secret.vault_secret, conn_type="vault", extra={"verify": verify}),
        "aiaas_vault_unseal": {"conn_type": "generic", "password": _unseal_keys(directory)},
        "aiaas_prometheus": _server(PROMETHEUS_PORT)
        | {"conn_type": "http", "extra": {"scheme": "http", "data": str(directory / PROMETHEUS_DATA)}},
        **{
            f"{host.replace('-', '_')}_host": {"conn_type": "generic", "extra": {"root": str(directory / HOSTS / host)}}
            for host in ("labdojo", "rylie-ai")
        },
        **{
            f"ksrce_lab_rds{end}": _login("lifeboat", "rds", conn_type="aws", extra={
                "endpoint_url": f"https://{LOOPBACK}:{AWS_PORT}", "region_name": region.name, "verify": verify,
            })
            for end, region in zip(("", "_second"), REGIONS, strict=True)
        },
    }  # fmt: skip


def _buckets(regions: Mapping[str, RegionKeys], verify: str) -> dict[str, dict[str, Any]]:
    found = {}
    for bucket in BUCKETS:
        region = next(each for each in REGIONS if each.store == bucket.region)
        who = getattr(regions[bucket.region], bucket.who)
        endpoint = f"https://{LOOPBACK}:{region.ports.gateway}"
        extra = {"endpoint_url": endpoint, "region_name": region.name, "verify": verify}
        found[bucket.connection] = _login(who.access_key, who.secret_key, conn_type="aws", extra=extra)
    return found


def _server(port: int) -> dict[str, Any]:
    return {"host": LOOPBACK, "port": port}


def _login(login: str, password: str, *, conn_type: str, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    found = {"conn_type": conn_type, "login": login, "password": password}
    return {**found, "extra": dict(extra)} if extra else found


def _unseal_keys(directory: Path) -> str:
    path = directory / UNSEAL_KEYS
    return path.read_text(encoding="ascii") if path.exists() else ""
