"""The lab's vault: OpenBao with integrated storage over TLS, unsealed at each start by keys in a file of mode 600.

A vault whose unseal keys lie beside it protects nothing; it is the lab's, so that drills can open a copy of it.
"""

from __future__ import annotations

import json
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from include.lab.errors import LabError
from include.lab.ports import LOOPBACK
from include.lab.source_connections import SourceSecrets
from include.lab.tls import Certificates, write_private

_BACKUP_POLICY = """
path "sys/storage/raft/snapshot" { capabilities = ["read"] }
path "sys/storage/raft/snapshot-force" { capabilities = ["update"] }
path "sys/auth" { capabilities = ["read"] }
path "sys/mounts" { capabilities = ["read"] }
path "sys/policies/acl/*" { capabilities = ["read", "list"] }
path "sys/policies/acl" { capabilities = ["list"] }
path "secret/*" { capabilities = ["read", "list"] }
"""
_SERVING = 'path "secret/data/models/*" { capabilities = ["read"] }'
_ALONE = {"performance_multiplier": 1}
"""It waits for no other nodes before it leads."""
_READY_SECONDS = 60


@dataclass(frozen=True)
class VaultServer:
    """How it is begun.

    :param folder: its data and configuration.
    :param keys: the file of unseal keys.
    """

    folder: Path
    port: int
    certificates: Certificates
    keys: Path
    secret: SourceSecrets = field(repr=False)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"https://{LOOPBACK}:{self.port}"

    def configuration(self) -> Path:
        """Write it; its path."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        path = self.folder / "server.json"
        listener = {
            "address": f"{LOOPBACK}:{self.port}",
            "cluster_address": f"{LOOPBACK}:{self.port + 1}",
            "tls_cert_file": str(self.certificates.certificate),
            "tls_key_file": str(self.certificates.key),
            "tls_min_version": "tls13",
        }
        settings = {
            "storage": {"raft": {"path": str(self.folder / "data"), "node_id": "one", **_ALONE}},
            "listener": [{"tcp": listener}],
            "api_addr": self.url,
            "cluster_addr": f"https://{LOOPBACK}:{self.port + 1}",
            "disable_mlock": True,
        }
        path.write_text(json.dumps(settings), encoding="utf-8")
        return path

    def open(self) -> None:
        """Make it on the first start, unseal it on each, and wait until it leads.

        :raises LabError: when it was made and its keys are gone, or it does not get ready.
        """
        with self._client() as client:
            if not client.get("/v1/sys/init").json()["initialized"]:
                self._begin(client)
            if not self.keys.exists():
                raise LabError(f"{self.keys} is gone, and nothing else opens the vault; remove {self.folder}")
            for key in self.keys.read_text(encoding="ascii").split():
                _call(client, "PUT", "sys/unseal", {"key": key})
            until = time.monotonic() + _READY_SECONDS
            while not client.get("/v1/sys/health", params={"standbyok": "false"}).is_success:
                if time.monotonic() > until:
                    raise LabError(f"the vault was not ready after {_READY_SECONDS} s")
                time.sleep(0.1)

    def _begin(self, client: httpx.Client) -> None:
        made = _call(client, "PUT", "sys/init", {"secret_shares": 3, "secret_threshold": 2})
        keys = made["keys"][:2]
        write_private(self.keys.with_suffix(".made"), " ".join(keys).encode())
        for key in keys:
            _call(client, "PUT", "sys/unseal", {"key": key})
        client.headers["X-Vault-Token"] = made["root_token"]
        until = time.monotonic() + _READY_SECONDS
        while not client.get("/v1/sys/leader").json().get("is_self"):
            if time.monotonic() > until:
                raise LabError(f"the vault leads nothing after {_READY_SECONDS} s")
            time.sleep(0.1)
        self._fill(client)
        _call(client, "PUT", "auth/token/revoke-self")
        del client.headers["X-Vault-Token"]
        self.keys.with_suffix(".made").rename(self.keys)

    def _fill(self, client: httpx.Client) -> None:
        _call(client, "POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        _call(client, "POST", "sys/auth/approle", {"type": "approle"})
        _call(client, "PUT", "sys/policies/acl/backup", {"policy": _BACKUP_POLICY})
        _call(client, "PUT", "sys/policies/acl/serving", {"policy": _SERVING})
        role = "auth/approle/role/lifeboat"
        _call(client, "POST", role, {"token_policies": ["backup"], "token_ttl": "30m"})
        _call(client, "POST", f"{role}/role-id", {"role_id": self.secret.vault_role})
        _call(client, "POST", f"{role}/custom-secret-id", {"secret_id": self.secret.vault_secret})
        for number in range(1, 25):
            secret = {"key": f"key of model {number}", "endpoint": f"https://models.aiaas.example/{number}"}
            _call(client, "POST", f"secret/data/models/model-{number}", {"data": secret})
        for name in ("registry", "billing", "object-store"):
            for version in ("old", "new"):
                _call(client, "POST", f"secret/data/platform/{name}", {"data": {"password": f"{version} {name}"}})

    def _client(self) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.certificates.authority))
        # The first kv mount turns itself into version 2 in the background, and answers 400 meanwhile.
        return httpx.Client(base_url=self.url, verify=context, trust_env=False, timeout=30)


def _call(client: httpx.Client, method: str, path: str, body: Any = None) -> Any:
    until = time.monotonic() + 20
    while True:
        answer = client.request(method, f"/v1/{path}", json=body)
        if answer.is_success:
            return answer.json() if answer.content else None
        upgrading = answer.status_code == 400 and "pgrading" in answer.text
        if not upgrading or time.monotonic() > until:
            raise LabError(f"the vault answers {path} with {answer.status_code}: {answer.text[:200]}")
        time.sleep(0.2)
