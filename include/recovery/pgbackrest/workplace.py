"""The folders and the file that one pgBackRest works with, on disk."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from include.recovery.errors import LeaseHeld
from include.recovery.pgbackrest.configuration import Configuration, Folders, render


def prepare(configuration: Configuration) -> Path:
    """Make the folders (mode 0700) and write the file (mode 0600), at no moment readable by others.

    Safe to run again: a file that is right already is left alone; another is replaced in one step, so that a server
    that pushes WAL meanwhile reads the old one or the new one.

    :return: the file's path.
    """
    folders = configuration.folders
    for folder in (folders.root, folders.log, folders.lock, folders.spool):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = render(configuration).encode()
    if not _is_there(folders.config, text):
        _write_private(folders.config, text)
    return folders.config


def write_program(path: Path, text: str) -> Path:
    """Write a program that only its owner may run (mode 0700).

    :return: its path.
    """
    _write_private(path, text.encode())
    path.chmod(0o700)
    return path


def end_processes(folders: Folders, seconds: float = 10) -> None:
    """End every pgBackRest that works with a file of options, and wait until it is gone. None is fine too.

    :param seconds: before it is ended by force.
    """
    option, end = f"--config={folders.config}".encode(), time.monotonic() + seconds
    while working := [pid for pid, words in _commands() if option in words and words[0].endswith(b"pgbackrest")]:
        if time.monotonic() > end + seconds:
            raise LeaseHeld(f"pgBackRest (process {working[0]}) does not end; it works with {folders.config}")
        for pid in working:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if time.monotonic() > end else signal.SIGTERM)
        time.sleep(0.05)


def _commands() -> Iterator[tuple[int, list[bytes]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), (entry / "cmdline").read_bytes().split(b"\0")


def written(folders: Folders, option: str) -> str | None:
    """What the file that was written last says of an option; None when it says nothing, or there is no file."""
    try:
        lines = folders.config.read_text().splitlines()
    except FileNotFoundError:
        return None
    return next((line.partition("=")[2] for line in lines if line.startswith(f"{option}=")), None)


def _is_there(path: Path, text: bytes) -> bool:
    try:
        return path.stat().st_mode & 0o777 == 0o600 and path.read_bytes() == text
    except FileNotFoundError:
        return False


def _write_private(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    new.rename(path)
