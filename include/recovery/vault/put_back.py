"""A snapshot back into the running cluster; what it holds now is kept aside first, as a snapshot of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from include.recovery.errors import BackupCorrupt, LifeboatError, SourceError, SourceUnavailable
from include.recovery.postgres.scratch_process import wait_until
from include.recovery.vault.snapshot import Snapshot, Tee, read
from include.recovery.vault.take import SNAPSHOT

if TYPE_CHECKING:
    from include.recovery.content.port import Stored
    from include.recovery.vault.client import Vault

_BLOCK = 1024 * 1024
_SETTLES = 15.0
"""Seconds: the server answers before it has taken the snapshot, and tries its keys some five seconds later."""


def save(stream: BinaryIO, path: Path, where: str, wrong: type[LifeboatError]) -> Snapshot:
    """Write a snapshot to a new file that only we can read, checked as it passes; no file when it is not whole."""
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            tee = Tee(stream)
            tee.pour_into(file)
            found = read(cast("BinaryIO", tee), where, wrong)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise LifeboatError(f"{path} exists already and is not overwritten; move it away") from None
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return found


def keep_aside(vault: Vault, folder: Path, name: str, now: datetime) -> Path:
    """Take a snapshot of the cluster as it is into a folder of the worker."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name.replace('/', '-')}-before-{now:%Y%m%dT%H%M%S}.snap"
    with vault.snapshot() as stream:
        save(stream, path, vault.name, SourceError)
    return path


def put_back(vault: Vault, stored: Stored) -> str:
    """Make the cluster hold a backup's snapshot.

    :return: what people should know.
    :raises BackupCorrupt: when the stored snapshot is not whole; the cluster is not touched then.
    """
    with stored.open(SNAPSHOT) as stream:  # wholly read once, before the cluster sees its first byte
        read(stream, stored.manifest.name, BackupCorrupt)
    with stored.open(SNAPSHOT) as stream:
        vault.restore(_chunks(stream))
    # Where the keys have changed since, it seals itself; else nothing tells when it is done, so the time is waited.
    wait_until(lambda: _sealed(vault), _SETTLES)
    if _sealed(vault):
        return "it is sealed now: restart each node, and unseal it with the unseal keys of the time of the backup"
    return "its unseal keys are those of the time of the backup, also where they were changed since"


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


def _sealed(vault: Vault) -> bool:
    try:
        return bool(vault.seal_status()["sealed"])
    except SourceUnavailable:
        return False
