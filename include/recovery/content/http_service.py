"""A server that is spoken to over HTTP: JSON answers and streams, with errors that name who said no and why."""

from __future__ import annotations

import io
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, Self, cast

import httpx

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import SourceError, SourceUnavailable
from include.recovery.jobs import Stopped

_CHUNK = 1024 * 1024


class Answered(SourceError):
    """The server answered, and the answer is no.

    :param status: of HTTP.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class HttpService:
    """One server. Use it as a context manager.

    :param name: for messages, such as ``Vault of depot/secrets``.
    :param headers: sent with each request; may hold a secret.
    :param basic: name and password.
    :param verify: path of a CA certificate; False accepts any certificate; None means the system's authorities.
    :param socket: path of a unix socket to speak through.
    :param stop: ends a stream when set.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        basic: tuple[str, str] | None = None,
        verify: str | bool | None = None,
        socket: str | None = None,
        timeout: float = 60,
        stop: threading.Event | None = None,
    ) -> None:
        self.name, self.url = name, url.rstrip("/")
        self._stop = stop or threading.Event()
        context: ssl.SSLContext | bool = verify is not False
        if isinstance(verify, str):
            context = ssl.create_default_context(cafile=verify)
        self._client = httpx.Client(
            base_url=self.url, headers=dict(headers or {}), auth=basic, timeout=httpx.Timeout(timeout, connect=10),
            follow_redirects=True, trust_env=False,
            transport=httpx.HTTPTransport(uds=socket, verify=context),
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def header(self, name: str, value: str) -> None:
        """Send a header with each request from now on."""
        self._client.headers[name] = value

    def ask(
        self, method: str, path: str, *, json: Any = None, query: Mapping[str, str] | None = None,
        content: Iterable[bytes] | None = None, fine: tuple[int, ...] = (),
    ) -> Any:  # fmt: skip
        """One request; the answer's JSON, None when it is empty.

        :param content: a body to stream.
        :param fine: statuses that are no error besides 2xx.
        :raises SourceUnavailable: when the server does not answer, or answers with an error of its own.
        :raises Answered: when it refuses.
        """
        try:
            answer = self._client.request(
                method, path, json=json, params=dict(query or {}), content=content,
                follow_redirects=content is None,  # a stream cannot be sent twice
            )  # fmt: skip
        except httpx.HTTPError as error:
            raise self._lost(error) from error
        if not answer.is_success and answer.status_code not in fine:
            raise self._refused(answer, path)
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise Answered(f"{self.name} at {self.url} answers {path} with no JSON", answer.status_code) from error

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """The body of an answer as a stream; a connection that breaks raises when it is read.

        :raises SourceUnavailable, Answered: as ``ask``.
        """
        try:
            with self._client.stream("GET", path) as answer:
                if not answer.is_success:
                    answer.read()
                    raise self._refused(answer, path)
                yield cast("BinaryIO", io.BufferedReader(_Body(self, answer), _CHUNK))
        except httpx.HTTPError as error:
            raise self._lost(error) from error

    def _lost(self, error: httpx.HTTPError) -> SourceUnavailable:
        return SourceUnavailable(f"{self.name} at {self.url} does not answer, or went away: {error}")

    def _refused(self, answer: httpx.Response, path: str) -> SourceUnavailable | Answered:
        said = " ".join(answer.text[:300].split()) or answer.reason_phrase
        text = f"{self.name} at {self.url} answers {path.partition('?')[0]} with {answer.status_code}: {said}"
        if answer.status_code >= 500 or answer.status_code == 429:
            return SourceUnavailable(text)
        return Answered(text, answer.status_code)


class _Body(io.RawIOBase):
    """The raw bytes of an answer."""

    def __init__(self, service: HttpService, answer: httpx.Response) -> None:
        self._service, self._chunks, self._rest = service, answer.iter_raw(), memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes.

        :raises SourceUnavailable: when the connection breaks.
        """
        if self._service._stop.is_set():
            raise Stopped
        try:
            while not self._rest:
                self._rest = memoryview(next(self._chunks))
        except StopIteration:
            return 0
        except httpx.HTTPError as error:
            raise self._service._lost(error) from error
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def address(connection: ConnectionInfo, *, port: int) -> str:
    """The URL of a connection: its host, when that is one already, else made of scheme (``extra``), host and port.

    :param port: when the connection names none.
    """
    if "://" in connection.host:
        return connection.host
    scheme = connection.extra.get("scheme", "https")
    return f"{scheme}://{connection.host}:{connection.port or port}"
