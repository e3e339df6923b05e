"""What lies outside of git: the objects of Git LFS, of which git itself only keeps pointers.

Their format is public (git-lfs/docs/spec.md): a pointer is a small text file; the object lies in the repository's
folder under its SHA-256, where somebody has fetched it.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from include.recovery.content.model import Item
from include.recovery.errors import BackupCorrupt, SourceError
from include.recovery.git.tool import Git

PART = "lfs"
PREFIX = "lfs/"
_POINTER = re.compile(
    rb"\Aversion https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)
_NAME = re.compile(r"[0-9a-f]{64}")
_LONGEST_POINTER = 1024
_CHUNK = 1024 * 1024


def pointers(git: Git, folder: Path) -> dict[str, int]:
    """The objects that any commit points to, by their SHA-256 in order, with their sizes."""
    small = f"combine:object:type=blob+blob:limit={_LONGEST_POINTER + 1}"
    found: dict[str, int] = {}
    with git.piped(
        ("rev-list", "--all", "--objects", "--no-object-names", "--filter-provided-objects", f"--filter={small}"),
        ("cat-file", "--batch", "--buffer"),
        doing="looking for pointers of Git LFS", at=folder,
    ) as stream:  # fmt: skip
        while line := stream.readline():
            size = int(line.rsplit(b" ", 1)[1])
            content = stream.read(size + 1)
            if pointer := _POINTER.match(content):
                found[pointer[1].decode()] = int(pointer[2])
    return dict(sorted(found.items()))


def place(folder: Path, oid: str) -> Path:
    """Where an object lies in a repository's own folder."""
    return folder / "lfs" / "objects" / oid[:2] / oid[2:4] / oid


def present(folder: Path, wanted: Mapping[str, int]) -> dict[str, int]:
    """Those objects that lie in a repository's own folder."""
    return {oid: size for oid, size in wanted.items() if place(folder, oid).is_file()}


def pack(folder: Path, objects: Mapping[str, int], out: BinaryIO, where: str) -> None:
    """Write objects as a tar, and make sure of each that it is what its name says.

    :raises SourceError: naming the one that is not.
    """
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for oid in objects:
            path = place(folder, oid)
            with path.open("rb") as file:
                entry = tarfile.TarInfo(str(path.relative_to(folder / "lfs" / "objects")))
                entry.size = os.fstat(file.fileno()).st_size
                hashed = _Hashed(file)
                try:
                    tar.addfile(entry, hashed)
                except OSError as error:
                    raise SourceError(f"{where}: object {oid} of Git LFS changed while it was read: {error}") from error
            if hashed.digest.hexdigest() != oid:
                raise SourceError(
                    f"{where}: object {oid} of Git LFS is damaged: its content has another SHA-256; fetch it again "
                    f"with `git lfs fetch`"
                )


def unpack(stream: BinaryIO, folder: Path, where: str, *, replace: bool = True) -> int:
    """Take objects out of a tar and into a repository's own folder.

    :param replace: False leaves alone what is there.
    :return: how many were written.
    :raises BackupCorrupt: for anything else in it.
    """
    written = 0
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for entry in tar:
            oid = entry.name.rsplit("/", 1)[-1]
            content = tar.extractfile(entry) if entry.isreg() and _NAME.fullmatch(oid) else None
            if content is None:
                raise BackupCorrupt(f"{where}: {entry.name!r} in its part {PART} is no object of Git LFS")
            path = place(folder, oid)
            if path.exists() and not replace:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"{oid}.part")
            with unfinished.open("wb") as file:
                while chunk := content.read(_CHUNK):
                    file.write(chunk)
            unfinished.replace(path)
            written += 1
    while stream.read(_CHUNK):
        pass
    return written


def items_in(folder: Path) -> Iterator[Item]:
    """The objects in a repository's own folder, measured anew, in order."""
    root = folder / "lfs" / "objects"
    for path in sorted(each for each in root.glob("??/??/*") if _NAME.fullmatch(each.name)):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield Item(PREFIX + path.name, digest, path.stat().st_size)


class _Hashed:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self.digest.update(chunk)
        return chunk
