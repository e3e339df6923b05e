"""The API of Vault and OpenBao, as far as it is needed here."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, BinaryIO
from urllib.parse import quote

from include.recovery.connections import ConnectionInfo
from include.recovery.content.http_service import Answered, HttpService, address
from include.recovery.errors import LifeboatError, SourceError

PORT = 8200
SNAPSHOT = "sys/storage/raft/snapshot"
_TOKEN = "X-Vault-Token"  # noqa: S105  the name of a header
_SNAPSHOT_SECONDS = 600


class Vault:
    """One server, or a cluster's.

    :param service: how it is reached.
    """

    def __init__(self, service: HttpService) -> None:
        self._service = service

    @classmethod
    @contextmanager
    def opened(cls, connection: ConnectionInfo, name: str, stop: threading.Event | None = None) -> Iterator[Vault]:
        """The server of a connection, logged in: by AppRole when the connection has a login (role id; the password is
        the secret id), else the password is a token.

        :param name: for messages.
        """
        verify = connection.extra.get("verify")
        namespace = {"X-Vault-Namespace": connection.extra["namespace"]} if connection.extra.get("namespace") else {}
        with HttpService(
            name, address(connection, port=PORT), headers=namespace, verify=verify, stop=stop, timeout=_SNAPSHOT_SECONDS
        ) as service:
            vault = cls(service)
            if connection.login:
                mount = connection.extra.get("approle_mount", "approle")
                body = {"role_id": connection.login, "secret_id": connection.password}
                answer = vault.ask("POST", f"auth/{mount}/login", body)
                vault.log_in(answer["auth"]["client_token"])
            else:
                vault.log_in(connection.password)
            yield vault

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self._service.name} at {self._service.url}"

    def log_in(self, token: str) -> None:
        """Work with this token from now on."""
        self._service.header(_TOKEN, token)

    def ask(self, method: str, path: str, body: Any = None, *, fine: tuple[int, ...] = ()) -> Any:
        """One request; what it answers.

        :param path: below ``/v1/``, not quoted.
        """
        return self._service.ask(method, f"/v1/{quote(path)}", json=body, fine=fine)

    def read(self, path: str) -> Any:
        """The data at a path; None when there is nothing."""
        try:
            answer = self._service.ask("GET", f"/v1/{quote(path)}")
        except Answered as error:
            if error.status == 404:
                return None
            raise
        return answer["data"] if answer else None

    def version_of(self, path: str, version: str) -> Any:
        """One version of a secret of kv version 2; None when it is gone."""
        try:
            return self._service.ask("GET", f"/v1/{quote(path)}", query={"version": version})["data"]["data"]
        except Answered as error:
            if error.status == 404:
                return None
            raise

    def names(self, path: str) -> list[str]:
        """The names below a path, in the order of their bytes; folders end with a slash."""
        try:
            answer = self._service.ask("GET", f"/v1/{quote(path)}", query={"list": "true"})
        except Answered as error:
            if error.status == 404:
                return []
            raise
        return sorted(answer["data"]["keys"], key=lambda name: name.encode("utf-8", "surrogateescape"))

    def seal_status(self) -> dict[str, Any]:
        """Sealed or not, version, kind of seal and storage."""
        found: dict[str, Any] = self.ask("GET", "sys/seal-status")
        return found

    def index(self) -> int:
        """The raft log's position that has been applied."""
        return int(self.ask("GET", "sys/leader").get("raft_applied_index", 0))

    def capabilities(self, paths: Sequence[str]) -> dict[str, list[str]]:
        """What the token may do at each path."""
        found: dict[str, list[str]] = self.ask("POST", "sys/capabilities-self", {"paths": list(paths)})
        return found

    def snapshot(self) -> AbstractContextManager[BinaryIO]:
        """A snapshot as the server makes it."""
        return self._service.open(f"/v1/{SNAPSHOT}")

    def restore(self, chunks: Iterator[bytes]) -> None:
        """Make the cluster hold a snapshot, also one of a cluster with other unseal keys."""
        self._service.ask("POST", f"/v1/{SNAPSHOT}-force", content=chunks)

    def unseal(self, keys: Sequence[str], whose: str) -> None:
        """Unseal it, if it is sealed.

        :param whose: where the keys are from, for messages.
        :raises SourceError: when they do not open it.
        """
        status = self.seal_status()
        needed = int(status["t"])
        if len(keys) < needed and status["sealed"]:
            raise SourceError(f"{whose} gives {len(keys)} unseal keys, and {self.name} needs {needed}; add the others")
        for key in keys if status["sealed"] else ():
            try:
                status = self.ask("POST", "sys/unseal", {"key": key})
            except LifeboatError as error:
                raise SourceError(f"the unseal keys of {whose} do not open {self.name}: {error}") from None
            if not status["sealed"]:
                return
        if status["sealed"]:
            raise SourceError(
                f"the unseal keys of {whose} do not open {self.name}; after a rekey, older backups need "
                "the keys of then"
            )

    def root_token(self, keys: Sequence[str]) -> str:
        """A new root token, made by a server's unseal keys. Revoke it after use."""
        self.ask("DELETE", "sys/generate-root/attempt")
        attempt = self.ask("POST", "sys/generate-root/attempt", {})
        for key in keys:
            answer = self.ask("POST", "sys/generate-root/update", {"key": key, "nonce": attempt["nonce"]})
            if answer["complete"]:
                coded = answer.get("encoded_token") or answer["encoded_root_token"]
                plain = base64.b64decode(coded + "=" * (-len(coded) % 4))
                return bytes(a ^ b for a, b in zip(plain, attempt["otp"].encode(), strict=True)).decode()
        raise SourceError(f"{self.name} gave no root token for the unseal keys")


def unseal_keys(connection: ConnectionInfo) -> list[str]:
    """The keys in a connection's password, separated by blanks, commas or line breaks.

    :raises SourceError: when there are none.
    """
    keys = connection.password.replace(",", " ").split()
    if not keys:
        raise SourceError(f"connection {connection.id!r} has no unseal keys; put them into its password")
    return keys
