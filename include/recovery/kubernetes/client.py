"""The API server over HTTPS: answers become values, or errors of ours that say where and what to do."""

from __future__ import annotations

import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import InsufficientRights, LifeboatError, SourceError, SourceUnavailable
from include.recovery.jobs import Stopped
from include.recovery.kubernetes.document import Object

PAGE = 100
"""Objects that one answer of a list may hold."""
MANAGER = "lifeboat"
"""Who the API server notes as the writer of a field."""
_BUSY = (429, 503)
_TRIES = 4
_TIMEOUT = httpx.Timeout(60, connect=10)
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class Answered(SourceError):
    """The API server answered, and the answer is no.

    :param status: of HTTP.
    :param reason: the API's own word for it, such as ``Conflict``, ``Invalid``, ``Expired``.
    :param fields: those that it names as the cause.
    :param said: its sentence; may quote values, so it is not shown for Secrets.
    """

    def __init__(self, what: str, status: int, reason: str, fields: tuple[str, ...], said: str) -> None:
        self.status, self.reason, self.fields, self.said = status, reason, fields, said
        super().__init__(f"{what}: the API server answers {status} {reason}: {said}")


class Expired(Answered):
    """The moment that a list was begun at is no longer kept: begin again."""


class Api:
    """A connection to an API server. Use it as a context manager.

    :param stop: ends waiting when set.
    """

    def __init__(self, connection: ConnectionInfo, stop: threading.Event | None = None) -> None:
        self.where = f"the Kubernetes cluster of connection {connection.id}"
        self.address = _address(connection)
        self._stop = stop or threading.Event()
        self._http = httpx.Client(
            base_url=self.address, verify=_trusted(connection, self.address), timeout=_TIMEOUT, trust_env=False,
            headers={"Authorization": f"Bearer {_token(connection)}", "Accept": "application/json"},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, what: str, **query: str | int) -> Object:
        """Read one answer.

        :param what: that is asked for, as messages name it.
        :raises SourceUnavailable: when the server is gone, or too busy for long.
        :raises InsufficientRights: when the token is refused, or lacks the right.
        :raises Answered: for any other refusal.
        """
        return self._ask("GET", path, what, query=query)

    def find(self, path: str, what: str) -> Object | None:
        """Read an object; None when there is none."""
        try:
            return self.get(path, what)
        except Answered as answered:
            if answered.status == 404:
                return None
            raise

    def pages(self, path: str, what: str) -> Iterator[Object]:
        """The answers of one list, page by page, all of one moment.

        :raises Expired: when that moment is gone, or a page is of another one.
        """
        revision, go_on = "", ""
        while True:
            query: dict[str, str | int] = {"limit": PAGE}
            if go_on:
                query["continue"] = go_on
            page = self.get(path, what, **query)
            metadata = page.get("metadata")
            if not isinstance(metadata, dict) or not isinstance(page.get("items", []), list | None):
                raise SourceError(f"{self.where}: the answer to the list of {what} is no list")
            found = str(metadata.get("resourceVersion") or "")
            if revision and found != revision:
                raise Expired(what, 410, "Expired", (), "a later page was of another moment than the first")
            revision = found
            yield page
            go_on = metadata.get("continue") or ""
            if not go_on:
                return

    def patch(self, path: str, what: str, body: Object, kind: str, *, dry_run: bool) -> Object:
        """Apply (``APPLY``) or merge (``MERGE``) a change, and return the object as it is then.

        :param dry_run: the server checks all and keeps nothing.
        """
        query: dict[str, str | int] = {"fieldManager": MANAGER}
        if kind == APPLY:
            query["force"] = "true"
        if dry_run:
            query["dryRun"] = "All"
        return self._ask("PATCH", path, what, query=query, body=body, kind=kind)

    def _ask(
        self, method: str, path: str, what: str, *, query: Mapping[str, str | int], body: Object | None = None,
        kind: str = "",
    ) -> Object:  # fmt: skip
        content = None if body is None else json.dumps(body).encode()
        for tried in range(1, _TRIES + 1):
            if self._stop.is_set():
                raise Stopped
            try:
                with self._http.stream(
                    method, path, params=dict(query), content=content, headers={"Content-Type": kind} if kind else None
                ) as answer:
                    # Not ``read``: it would keep the bytes in the answer, which lives until cycles are collected.
                    given = b"".join(answer.iter_bytes())
            except httpx.HTTPError as error:
                said = type(error).__name__ + (f": {error}" if isinstance(error, httpx.ConnectError) else "")
                raise SourceUnavailable(
                    f"{self.where} went away or does not answer ({said}) while {what} was asked for; "
                    f"see whether {self.address} can be reached from this worker"
                ) from error
            if answer.status_code not in _BUSY or tried == _TRIES:
                return self._value(answer, given, what)
            self._stop.wait(_seconds(answer))
        raise AssertionError

    def _value(self, answer: httpx.Response, given: bytes, what: str) -> Object:
        try:
            value = json.loads(given)
        except ValueError:
            value = None
        if answer.is_success:
            if not isinstance(value, dict):
                raise SourceUnavailable(f"{self.where}: the answer to {what} is no JSON object: is it the API server?")
            return value
        status = value if isinstance(value, dict) else {}
        said, reason = str(status.get("message") or ""), str(status.get("reason") or "")
        match answer.status_code:
            case 401:
                raise InsufficientRights(
                    f"{self.where} does not accept the token: it is wrong or has expired; put a new one "
                    "into the connection"
                )
            case 403:
                raise InsufficientRights(f"{self.where} refuses {what}: {said or 'forbidden'}")
            case 410:
                raise Expired(what, 410, reason, (), said)
            case code if code >= 500 or code == 429:
                raise SourceUnavailable(f"{self.where} answers {code} to {what}: {said or reason or 'no reason given'}")
            case code:
                causes = (status.get("details") or {}).get("causes") or ()
                fields = tuple(str(cause.get("field")) for cause in causes if cause.get("field"))
                raise Answered(f"{self.where}: {what}", code, reason, fields, said)


def _address(connection: ConnectionInfo) -> str:
    host = connection.host if "//" in connection.host else f"{connection.schema or 'https'}://{connection.host}"
    parts = urlsplit(host)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise LifeboatError(f"connection {connection.id}: its host is no address such as https://10.0.0.1:6443")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise LifeboatError(
            f"connection {connection.id}: the token must not travel in the clear; give an https address"
        )
    if "@" in parts.netloc:
        raise LifeboatError(f"connection {connection.id}: its host holds a login; the token belongs into its password")
    port = f":{connection.port}" if connection.port and parts.port is None else ""
    return f"{parts.scheme}://{parts.netloc}{port}{parts.path}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _trusted(connection: ConnectionInfo, address: str) -> ssl.SSLContext:
    if address.startswith("http:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; reading all authorities takes time
    given = connection.extra
    try:
        return ssl.create_default_context(cafile=given.get("ca_file"), cadata=given.get("ca"))
    except (OSError, ssl.SSLError, ValueError) as error:
        raise LifeboatError(
            f"connection {connection.id}: its 'ca' or 'ca_file' holds no certificates ({error})"
        ) from None


def _token(connection: ConnectionInfo) -> str:
    path, token = connection.extra.get("token_file"), connection.password
    if path:
        try:
            token = Path(str(path)).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            raise LifeboatError(f"connection {connection.id}: its token_file {path} cannot be read") from None
    token = token.strip()
    if not token:
        raise LifeboatError(f"connection {connection.id} has no token: give it as password, or name a token_file")
    if not (token.isascii() and token.isprintable()) or " " in token:
        # Whoever sends it would quote it in his complaint.
        raise LifeboatError(f"connection {connection.id}: its token holds blanks, line breaks or letters that none has")
    return token


def _seconds(answer: httpx.Response) -> float:
    try:
        return min(max(float(answer.headers.get("Retry-After", "1")), 0.1), 15)
    except ValueError:
        return 1
