"""The RDB stream of one moment, as a replica would get it; the server's disk is not touched."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import InsufficientRights, SourceError, SourceUnavailable, ToolFailed
from include.recovery.jobs import Stopped
from include.recovery.processes import Crew
from include.recovery.redis.connect import RIGHTS

MAGIC = b"REDIS"
END = 0xFF
"""The last opcode; a checksum of 8 bytes follows it."""
_CHECKSUM = 8
_MARK = 40
_HEX = frozenset(b"0123456789abcdef")
_CHUNK = 256 * 1024


def transfer(connection: ConnectionInfo, where: str, stop: threading.Event, write: Callable[[bytes], object]) -> int:
    """Have the server send its RDB.

    :param where: for messages.
    :param write: given each piece.
    :return: its bytes.
    :raises SourceUnavailable, InsufficientRights, SourceError: when the server does not send it to its end.
    """
    size = 0
    env = {"PATH": os.environ.get("PATH", os.defpath)}
    if connection.password:
        env["REDISCLI_AUTH"] = connection.password
    argv = _command(connection)
    with _translated(where, stop), Crew(stop) as crew, crew.child(argv, env=env, stdout="pipe") as child:
        for piece in whole(_pieces(child.stdout), where):
            size += len(piece)
            write(piece)
    return size


def whole(pieces: Iterator[bytes], where: str) -> Iterator[bytes]:
    """The RDB in what ``redis-cli --rdb -`` writes, seen to be one from its first byte to its last.

    A server that sends it as it makes it (without a file, the default since 7.0) ends it with a mark of 40 hexadecimal
    digits, and redis-cli writes that too. It cannot be taken for a part of the RDB: nine bytes before an RDB's end is
    0xFF, which is no digit.

    :raises SourceError: when it is none, or ends early.
    """
    held = b""
    begun = False
    for piece in pieces:
        held += piece
        if not begun and len(held) >= len(MAGIC):
            if not held.startswith(MAGIC):
                raise SourceError(f"{where}: the server sent {held[:20]!r} instead of an RDB; is it Redis?")
            begun = True
        if begun and len(held) > _MARK + _CHECKSUM + 1:
            cut = len(held) - (_MARK + _CHECKSUM + 1)
            yield held[:cut]
            held = held[cut:]
    if len(held) > _MARK and _HEX.issuperset(held[-_MARK:]):
        held = held[:-_MARK]
    if not begun or len(held) <= _CHECKSUM or held[-_CHECKSUM - 1] != END:
        raise SourceError(f"{where}: the RDB ended before its end; look into the server's log, then try again")
    yield held


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(_CHUNK):
        yield piece


def _command(connection: ConnectionInfo) -> list[str]:
    where = (
        ["-s", connection.host]
        if connection.host.startswith("/")
        else ["-h", connection.host or "127.0.0.1", "-p", str(connection.port or 6379)]
    )
    login = ["--user", connection.login] if connection.login else []
    tls = ["--tls"] if connection.extra.get("ssl") else []
    if connection.extra.get("ssl_ca_certs"):
        tls += ["--cacert", str(connection.extra["ssl_ca_certs"])]
    return ["redis-cli", *where, *login, *tls, "--no-auth-warning", "--rdb", "-"]


@contextmanager
def _translated(where: str, stop: threading.Event) -> Iterator[None]:
    try:
        yield
    except ToolFailed as error:
        if stop.is_set():
            raise Stopped from error
        said = error.stderr.strip()
        if any(word in said for word in ("NOAUTH", "WRONGPASS", "NOPERM")):
            raise InsufficientRights(f"{where}: the Redis login may not copy it ({said}); {RIGHTS}") from error
        if "SYNC with master failed" in said:
            raise SourceError(
                f"{where}: the server does not let a replica copy it ({said}); a service that forbids SYNC has to be "
                "backed up by its own snapshots"
            ) from error
        raise SourceUnavailable(f"{where}: the Redis server cannot be reached or went away: {said}") from error
