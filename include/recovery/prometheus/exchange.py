"""Blocks in the place of a stopped server's data, which are kept aside by a rename."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from include.recovery.content.compare import changes
from include.recovery.content.http_service import Answered, HttpService
from include.recovery.content.port import EVERYTHING, PutBack, Stored
from include.recovery.errors import BackupCorrupt, Refused, SourceError, SourceUnavailable
from include.recovery.prometheus.blocks import measured, unpack

PART = "blocks"


def put_back(stored: Stored, data: Path, server: HttpService, now: datetime) -> PutBack:
    """Make a stopped server's folder hold a backup's blocks.

    :param data: its folder.
    :raises Refused: while the server runs.
    :raises BackupCorrupt: when what was unpacked is not what the inventory lists; the folder is not touched then.
    """
    with _stopped(data, server):
        new = data.with_name(f".{data.name}.restoring-{secrets.token_hex(3)}")
        new.mkdir(mode=0o755)
        try:
            with stored.open(PART) as stream:
                unpack(stream, new, stored.manifest.name, EVERYTHING)
            wrong = list(changes(stored.items(), (block.item() for block in measured(new, BackupCorrupt))))
            if wrong:
                raise BackupCorrupt(f"{stored.manifest.name}: {wrong[0].message}; nothing was put back")
            changed = 0
            if data.exists():
                changed = sum(1 for _ in changes(stored.items(), (block.item() for block in measured(data))))
                note = _given(new, data)
            else:
                changed, note = sum(1 for _ in stored.items()), "give the folder to the server's user"
            aside = _exchanged(new, data, now)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return PutBack(changed, aside, tuple(filter(None, (note, "start the server again"))))


@contextmanager
def _stopped(data: Path, server: HttpService) -> Iterator[None]:
    """Hold the server's own lock, so that it can neither run nor start."""
    lock = data / "lock"
    if _answers(server):
        raise Refused(f"{server.name} at {server.url} still answers; stop it, then put back")
    for pid, path in _users(data):
        raise Refused(f"process {pid} has {path} open, so the server runs; stop it, then put back")
    if not lock.exists():  # Debian's server makes none
        yield
        return
    with lock.open("r+b") as file:
        for take in (fcntl.flock, fcntl.lockf):
            try:
                take(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pid = lock.read_text(errors="replace").strip()
                by = f" by process {pid}" if pid else ""
                raise Refused(f"{lock} is held{by}: the server runs; stop it, then put back") from None
        yield


def _answers(server: HttpService) -> bool:
    try:
        server.ask("GET", "/api/v1/status/buildinfo")
    except SourceUnavailable:
        return False
    except Answered:
        return True
    return True


def _users(data: Path) -> Iterator[tuple[str, str]]:
    """Processes that have files of a folder open, as far as we may look."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            opened = [str(each.readlink()) for each in (process / "fd").iterdir()]
        except OSError:
            continue
        yield from ((process.name, path) for path in opened if path.startswith(f"{data}/"))


def _exchanged(new: Path, data: Path, now: datetime) -> str:
    if not data.exists():
        new.rename(data)
        return "nothing: there was no folder"
    aside = data.with_name(f"{data.name}.before-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}")
    try:
        data.rename(aside)
    except OSError as error:
        raise SourceError(
            f"{data} cannot be renamed ({error.strerror}), so what is there cannot be kept aside; where it is a mount "
            "of its own, let the server use a folder in it"
        ) from error
    try:
        new.rename(data)
    except OSError:
        aside.rename(data)
        raise
    return str(aside)


def _given(new: Path, data: Path) -> str:
    """Owner and rights as before; what a person has to do when we may not."""
    before = data.stat()
    new.chmod(before.st_mode & 0o7777)
    try:
        for parent, folders, files in os.walk(new):
            for name in (*folders, *files):
                os.chown(Path(parent, name), before.st_uid, before.st_gid)
        os.chown(new, before.st_uid, before.st_gid)
    except PermissionError:
        return f"give {data} to uid {before.st_uid}"
    return ""


def discard(folder: Path) -> None:
    """Remove a copy."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
