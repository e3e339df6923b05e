"""What a Vault holds, item by item. Digests are keyed by a random key of the backup, so nothing is told by them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Any

from include.recovery.content.model import Item
from include.recovery.fingerprint.model import NotCompared
from include.recovery.vault.client import Vault

MOUNTED = ("type", "accessor", "uuid", "description", "options", "config", "local", "seal_wrap")
"""What is compared of a mount; versions of plugins belong to the server that runs."""
NEEDED = {"sys/auth": "read", "sys/mounts": "read", "sys/policies/acl": "list", "sys/policies/acl/any": "read"}
"""What the listing needs besides reading and listing all of kv."""

UNLISTED = (
    NotCompared(
        object="other engines and methods",
        why="leases, identities, roles, keys of transit and pki, cubbyholes and audit devices are in the snapshot's "
        "state, whose SHA-256 is compared; they are not read one by one",
    ),
    NotCompared(object="namespaces", why="only the connection's own namespace is listed"),
)


def unopened(why: str) -> NotCompared:
    """What is not proven when nobody opens the copy."""
    return NotCompared(
        object="content",
        why=f"{why}: only the snapshot's position and the SHA-256 of its sealed state are compared; that it can be "
        "unsealed, and what is in it, is unproven",
    )


class Inventory:
    """Lists what a server holds.

    :param vault: logged in, with a right to read everything.
    :param key: of the backup.
    """

    def __init__(self, vault: Vault, key: bytes) -> None:
        self._vault, self._key = vault, key

    def items(self) -> Iterator[Item]:
        """In order: authentication methods, secrets of kv, mounts, policies."""
        mounts: dict[str, Any] = self._vault.read("sys/mounts") or {}
        yield from self._mounted("auth", self._vault.read("sys/auth") or {})
        for path in sorted(mounts, key=str.encode):
            if mounts[path]["type"] in ("kv", "generic"):
                yield from self._secrets(path, (mounts[path].get("options") or {}).get("version") == "2")
        yield from self._mounted("mount", mounts)
        for name in self._vault.names("sys/policies/acl"):
            yield self._item(f"policy/{name}", self._vault.read(f"sys/policies/acl/{name}"))

    def _mounted(self, what: str, mounts: Mapping[str, Any]) -> Iterator[Item]:
        for path in sorted(mounts, key=str.encode):
            yield self._item(f"{what}/{path}", {name: mounts[path].get(name) for name in MOUNTED})

    def _secrets(self, mount: str, versioned: bool, below: str = "") -> Iterator[Item]:
        for name in self._vault.names(f"{mount}metadata/{below}" if versioned else f"{mount}{below}"):
            path = below + name
            if name.endswith("/"):
                yield from self._secrets(mount, versioned, path)
            elif versioned:
                yield self._item(f"kv/{mount}{path}", self._versions(mount, path))
            else:
                yield self._item(f"kv/{mount}{path}", self._vault.read(f"{mount}{path}"))

    def _versions(self, mount: str, path: str) -> Any:
        metadata = self._vault.read(f"{mount}metadata/{path}") or {}
        # A version that ends by itself may do so before a copy is looked at: of such only the dates count.
        lasting = [
            number
            for number, version in metadata.get("versions", {}).items()
            if not version["destroyed"] and not version["deletion_time"]
        ]
        return metadata, {number: self._vault.version_of(f"{mount}data/{path}", number) for number in lasting}

    def _item(self, name: str, value: Any) -> Item:
        text = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        return Item(name, hmac.new(self._key, text, hashlib.sha256).hexdigest())
