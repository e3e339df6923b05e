"""A running Prometheus: what it must allow, its snapshots, and the answers to queries."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from include.recovery.connections import ConnectionInfo
from include.recovery.content.http_service import Answered, HttpService, address
from include.recovery.errors import SourceError, SourceUnavailable

PORT = 9090
_SNAPSHOT_SECONDS = 600
_OURS = ".lifeboat"


def service(connection: ConnectionInfo, name: str) -> HttpService:
    """How the server of a connection is reached: with login and password, or with the password as a bearer token."""
    basic = (connection.login, connection.password) if connection.login else None
    bearer = {"Authorization": f"Bearer {connection.password}"} if connection.password and not basic else {}
    return HttpService(
        name, address(connection, port=PORT), headers=bearer, basic=basic, verify=connection.extra.get("verify"),
        timeout=_SNAPSHOT_SECONDS,
    )  # fmt: skip


def version(server: HttpService) -> str:
    """Of the server."""
    return str(server.ask("GET", "/api/v1/status/buildinfo")["data"]["version"])


def check(server: HttpService, data: Path) -> str:
    """Whether it lets us take snapshots, and its folder is the one that we see.

    :raises SourceError: naming the switch that it lacks.
    """
    flags: dict[str, str] = server.ask("GET", "/api/v1/status/flags")["data"]
    if flags.get("web.enable-admin-api") != "true":
        raise SourceError(
            f"{server.name} at {server.url} gives no snapshots; start it with --web.enable-admin-api (and let nobody "
            "else reach that port, or put a proxy with authentication before it)"
        )
    return f"version {version(server)}, snapshots allowed, data in {data}"


@contextmanager
def snapshot(server: HttpService, data: Path) -> Iterator[Path]:
    """A snapshot's folder: hard links to all blocks, and the newest samples as a block of their own.

    It is removed when the block ends, however; and so is one that an earlier run has left, when it was killed.

    :param data: the server's folder as we see it.
    :raises SourceError: when the snapshot is not where it must be.
    """
    folder = data / "snapshots"
    for mark in folder.glob(f"*{_OURS}"):
        _remove(folder / mark.name.removesuffix(_OURS), mark)
    try:
        name = server.ask("POST", "/api/v1/admin/tsdb/snapshot")["data"]["name"]
    except SourceUnavailable as error:
        if "admin APIs disabled" in str(error):
            raise SourceError(f"{error}; start it with --web.enable-admin-api") from error
        raise
    made, mark = folder / name, folder / f"{name}{_OURS}"
    if not made.is_dir():
        raise SourceError(
            f"{server.name} at {server.url} made snapshot {name}, which is not in {folder}: 'data' in the policy is "
            "not its folder, or this worker does not see it; remove that snapshot by hand"
        )
    failed = True
    try:
        mark.touch()
        yield made
        failed = False
    finally:
        _remove(made, mark, quiet=failed)


def ask(server: HttpService, query: str, at: float) -> tuple[float | None, str]:
    """The one value that a query gives at a moment, and what it gave in words.

    :param at: seconds since 1970.
    """
    try:
        answer = server.ask("GET", "/api/v1/query", query={"query": query, "time": f"{at:.3f}"})["data"]
    except Answered as error:
        return None, str(error)
    found: Any = answer["result"]
    if answer["resultType"] == "scalar":
        return float(found[1]), str(found[1])
    if answer["resultType"] != "vector" or len(found) != 1:
        return None, f"{len(found)} series, and a question wants one value" if found else "nothing"
    return float(found[0]["value"][1]), str(found[0]["value"][1])


def _remove(made: Path, mark: Path, *, quiet: bool = False) -> None:
    try:
        if made.exists():
            shutil.rmtree(made)
        mark.unlink(missing_ok=True)
    except OSError as error:
        if not quiet:
            raise SourceError(
                f"snapshot {made} cannot be removed ({error.strerror}); it holds disk space: remove it, and give this "
                "worker's user the right to"
            ) from error
