"""The part of a backup: a tar of texts; and the tree of files that it becomes."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import unquote

from include.recovery.content.model import Item
from include.recovery.content.port import EVERYTHING, Selection, Stored
from include.recovery.errors import BackupCorrupt
from include.recovery.kubernetes.document import (
    CLUSTER,
    NAMESPACES,
    canonical,
    is_cut,
    item_of,
    name_at,
    parsed,
)

PART = "resources"
SELECTED = "selection"
"""A file that says that a tree is not all of its backup."""
_OBJECTS = (f"{CLUSTER}/", f"{NAMESPACES}/")
_BLOCK = 1024 * 1024


class Archive:
    """Writes the tar. Ended only when the block ends well, so that what broke off is no archive.

    :param at: the time of all files in it.
    """

    def __init__(self, stream: BinaryIO, at: datetime) -> None:
        # Not by TarFile: one that is given up still writes when it is collected.
        self._stream, self._at, self._size = stream, int(at.timestamp()), 0

    def add(self, path: str, content: bytes) -> None:
        """Add a file, readable by its owner alone."""
        member = tarfile.TarInfo(path)
        member.size, member.mtime, member.mode = len(content), self._at, 0o600
        self._write(member.tobuf(tarfile.PAX_FORMAT))
        self._write(content)
        self._fill(tarfile.BLOCKSIZE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._write(bytes(2 * tarfile.BLOCKSIZE))
            self._fill(tarfile.RECORDSIZE)

    def _write(self, content: bytes) -> None:
        self._stream.write(content)
        self._size += len(content)

    def _fill(self, multiple: int) -> None:
        self._write(bytes(-self._size % multiple))


def members(stored: Stored) -> Iterator[tuple[str, bytes]]:
    """The files of a backup, one by one: path and content.

    :raises BackupCorrupt: when the part is damaged, incomplete or no such tar.
    """
    with stored.open(PART) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    content = tar.extractfile(member) if member.isfile() else None
                    if content is None or not _is_safe(member.name):
                        raise BackupCorrupt(
                            f"backup {stored.manifest.name}: its part holds {member.name!r}, which no export writes"
                        )
                    yield member.name, content.read()
        except tarfile.TarError as error:
            raise BackupCorrupt(f"backup {stored.manifest.name}: its part is no whole tar ({error})") from error
        while stream.read(_BLOCK):
            pass  # only at its end is a part known to be whole


def is_object(path: str) -> bool:
    """Whether a file of the tar is an object, and no export of values."""
    return path.startswith(_OBJECTS)


def wanted(path: str, content: bytes, only: Selection) -> bool:
    """Whether an object is selected."""
    return only == EVERYTHING or only.wants(name_at(path, parsed(content, path) if is_cut(path) else None))


def unpack(stored: Stored, folder: Path, only: Selection) -> int:
    """Make a new tree of files, readable by its owner alone, of the objects that are selected.

    :return: their number.
    """
    discard(folder)
    folder.mkdir(mode=0o700)
    count = 0
    for path, content in members(stored):
        if is_object(path):
            if wanted(path, content, only):
                write_private(folder / path, content)
                count += 1
        elif only == EVERYTHING or "/" not in path:
            write_private(folder / path, content)
    if only != EVERYTHING:
        write_private(folder / SELECTED, "\n".join(only.prefixes).encode())
    return count


def write_private(path: Path, content: bytes) -> None:
    """Write a file that nobody else may read, in folders that nobody else may enter."""
    missing = [each for each in path.parents if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def discard(folder: Path) -> None:
    """Remove a tree; nothing there is fine too."""
    if folder.exists():
        shutil.rmtree(folder)


def files(folder: Path) -> Iterator[Path]:
    """The files of all objects of a tree, in the order of the objects' names as far as folders tell it."""
    found: dict[Path, list[Path]] = {}
    for scope in (CLUSTER, NAMESPACES):
        for path in (folder / scope).rglob("*"):
            if not path.is_dir():
                found.setdefault(path.parent, []).append(path)
    for parent in sorted(found, key=lambda each: _order(each.relative_to(folder))):
        yield from sorted(found[parent])


def items(folder: Path) -> Iterator[Item]:
    """What a tree holds, measured from its files, in order. A file that is no object is an item that equals none."""
    last, held = None, list[Item]()
    for path in files(folder):
        if path.parent != last:
            yield from sorted(held, key=lambda item: item.order)
            last, held = path.parent, []
        held.append(_item(folder, path))
    yield from sorted(held, key=lambda item: item.order)


def _item(folder: Path, path: Path) -> Item:
    where = path.relative_to(folder).as_posix()
    try:
        content = path.read_bytes()
        found = parsed(content, where)
    except (OSError, BackupCorrupt):
        return Item(name_at(where), "no object", path.lstat().st_size)
    return item_of(name_at(where, found), canonical(found))


def _order(folder: Path) -> bytes:
    return (unquote(folder.as_posix()) + "/").encode("utf-8", "surrogateescape")


def _is_safe(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts
