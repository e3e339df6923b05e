"""A link to a Redis server that gives raw answers, and what its errors mean for a backup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisError,
)
from redis.exceptions import (
    ConnectionError as LinkBroken,
)
from redis.exceptions import (
    TimeoutError as LinkSilent,
)
from redis.retry import Retry

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import InsufficientRights, SourceError, SourceUnavailable

_EXTRA = ("ssl", "ssl_ca_certs")
SILENCE_SECONDS = 60.0
_ONCE = Retry(NoBackoff(), 0)
"""Who calls us tries again; a command that was sent twice might be done twice."""
RIGHTS = "a backup needs the commands psync, sync, replconf, info, ping and select"


class Link:
    """Commands to one logical database; answers come as the server sent them, in bytes."""

    def __init__(self, client: Any) -> None:
        # The driver's own readings differ between its versions and turn scores into numbers.
        client.response_callbacks.clear()
        self._client = client

    @classmethod
    def of(cls, connection: ConnectionInfo, database: int = 0) -> Self:
        """To a connection's server.

        :param connection: host (or the path of a unix socket) and port, login and password; ``extra`` may hold ``ssl``
            and ``ssl_ca_certs``.
        """
        unknown = sorted(set(connection.extra) - set(_EXTRA))
        if unknown:
            raise SourceError(
                f"connection {connection.id!r}: found extra {', '.join(unknown)}; allowed are {', '.join(_EXTRA)}"
            )
        where: dict[str, Any] = (
            {"unix_socket_path": connection.host}
            if connection.host.startswith("/")
            else {"host": connection.host or "127.0.0.1", "port": connection.port or 6379, **connection.extra}
        )
        return cls(redis.Redis(
            **where, username=connection.login or None, password=connection.password or None, db=database, protocol=2,
            socket_connect_timeout=10, socket_timeout=SILENCE_SECONDS, retry=_ONCE,
        ))  # fmt: skip

    @classmethod
    def local(cls, socket: str, database: int = 0) -> Self:
        """To a scratch server."""
        return cls(redis.Redis(
            unix_socket_path=socket, db=database, protocol=2, socket_timeout=SILENCE_SECONDS, retry=_ONCE
        ))  # fmt: skip

    def call(self, *command: Any) -> Any:
        """One command."""
        return self._client.execute_command(*command)

    def many(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Many commands in one go; the first error among the answers is raised."""
        with self._client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return list(pipe.execute())

    @contextmanager
    def watching(self, keys: Sequence[bytes]) -> Iterator[Any]:
        """A transaction that only happens while nobody writes these keys: ``multi``, commands, ``execute``."""
        with self._client.pipeline(transaction=True) as pipe:
            pipe.watch(*keys)
            yield pipe

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()


@contextmanager
def translated(where: str) -> Iterator[None]:
    """What the driver raises in the block, as one of ours.

    :param where: for messages, such as ``labdojo/state``.
    :raises SourceUnavailable: when the server cannot be reached or went away.
    :raises InsufficientRights: when it refuses the login, or the login may not do this.
    :raises SourceError: for everything else.
    """
    try:
        yield
    except (AuthenticationError, NoPermissionError) as error:
        raise InsufficientRights(f"{where}: the Redis login may not do this ({error}); {RIGHTS}") from error
    except (LinkBroken, LinkSilent) as error:
        raise SourceUnavailable(f"{where}: the Redis server cannot be reached or went away: {error}") from error
    except RedisError as error:
        if str(error).startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
            raise InsufficientRights(f"{where}: the Redis login may not do this ({error}); {RIGHTS}") from error
        raise SourceError(f"{where}: Redis refused: {error}") from error


def information(link: Link, section: str = "all") -> dict[str, str]:
    """What ``INFO`` says."""
    lines = link.call("INFO", section).decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def databases(link: Link) -> list[int]:
    """The logical databases that hold keys."""
    return sorted(int(name[2:]) for name in information(link, "keyspace") if name.startswith("db"))
