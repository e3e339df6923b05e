"""Blocks: folders of files that never change, named by a ULID. As items, packed into a part, and unpacked from it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from include.recovery.content.model import Item
from include.recovery.content.port import Selection
from include.recovery.errors import BackupCorrupt, LifeboatError, SourceError

_BLOCK = 1024 * 1024
META = "meta.json"


@dataclass
class Block:
    """What is measured of a block.

    :param files: path within it, size and SHA-256.
    """

    name: str
    files: list[tuple[str, int, str]] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)

    def item(self) -> Item:
        """All of its files as one item."""
        digest = hashlib.sha256(json.dumps(self.files).encode()).hexdigest()
        times = f"{self.meta.get('minTime', '')}..{self.meta.get('maxTime', '')}"
        return Item(self.name, digest, sum(size for _, size, _ in self.files), times)


def is_block(path: Path) -> bool:
    """Whether a folder is a block: 26 letters and digits, and a description."""
    return len(path.name) == 26 and path.name.isalnum() and (path / META).is_file()


def measured(folder: Path, wrong: type[LifeboatError] = SourceError) -> Iterator[Block]:
    """Every block of a folder, read through; what is no block is passed over.

    :param wrong: what to raise for a block that cannot be read.
    """
    for path in sorted(folder.iterdir(), key=lambda each: os.fsencode(each.name)):
        if path.is_dir() and is_block(path):
            block = Block(path.name)
            for name, file in _files(path, wrong):
                with _opened(file, wrong) as stream:
                    block.files.append(_passed(name, stream))
            block.meta = _description((path / META).read_bytes(), path.name, wrong)
            yield block


def pack(folder: Path, to: BinaryIO) -> Iterator[Block]:
    """Write every block of a snapshot as a tar archive, and give each as it was read.

    :raises SourceError: for anything in it that is no block, and for what cannot be read.
    """
    with tarfile.open(fileobj=to, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.iterdir(), key=lambda each: os.fsencode(each.name)):
            if not path.is_dir() or not is_block(path):
                raise SourceError(f"{path} is no block of Prometheus; look what it is, and take it away")
            block = Block(path.name)
            for name, file in _files(path, SourceError):
                with _opened(file, SourceError) as stream:
                    member = tarfile.TarInfo(f"{path.name}/{name}")
                    member.size, member.mode = os.fstat(stream.fileno()).st_size, 0o644
                    hashed = _Hashed(stream)
                    archive.addfile(member, cast("Any", hashed))
                    block.files.append((name, hashed.size, hashed.hexdigest))
            block.meta = _description((path / META).read_bytes(), path.name, SourceError)
            yield block


def unpack(stream: BinaryIO, folder: Path, where: str, only: Selection) -> int:
    """Write the wanted blocks of an archive into a folder.

    :return: how many files were written.
    :raises BackupCorrupt: when it is no whole archive of blocks.
    """
    count = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                if not member.isreg() or path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
                    raise BackupCorrupt(f"{where}: its archive holds {member.name!r}, which is no file of a block")
                content = archive.extractfile(member)
                if content is None or not only.wants(path.parts[0]):
                    continue
                target = folder / path
                target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                with target.open("xb") as file:
                    while data := content.read(_BLOCK):
                        file.write(data)
                count += 1
        while stream.read(_BLOCK):  # only at its end a part is known to be whole
            pass
    except tarfile.TarError as error:
        raise BackupCorrupt(f"{where}: its archive of blocks cannot be read ({error})") from error
    return count


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._digest, self.size = stream, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        """Read and hash."""
        data = self._stream.read(size)
        self._digest.update(data)
        self.size += len(data)
        return data

    @property
    def hexdigest(self) -> str:
        """Of what was read."""
        return self._digest.hexdigest()


def _passed(name: str, stream: BinaryIO) -> tuple[str, int, str]:
    hashed = _Hashed(stream)
    while hashed.read(_BLOCK):
        pass
    return name, hashed.size, hashed.hexdigest


def _files(block: Path, wrong: type[LifeboatError]) -> Iterator[tuple[str, Path]]:
    """Every file of a block by its path within it, in order."""
    found = []
    for parent, folders, names in os.walk(block, onerror=_raise):
        folders.sort()
        for name in names:
            path = Path(parent, name)
            if not stat.S_ISREG(path.lstat().st_mode):
                raise wrong(f"{path} is no plain file, and blocks have nothing else; look what it is")
            found.append((path.relative_to(block).as_posix(), path))
    return iter(sorted(found))


def _raise(error: OSError) -> None:
    raise SourceError(
        f"{error.filename} cannot be read: {error.strerror}; give this worker's user the right"
    ) from error


def _opened(path: Path, wrong: type[LifeboatError]) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise wrong(f"{path} cannot be read: {error.strerror}; give this worker's user the right") from error


def _description(data: bytes, name: str, wrong: type[LifeboatError]) -> dict[str, Any]:
    problem = wrong(f"block {name}: its {META} is damaged; remove the block from the server, or repair it")
    try:
        meta: dict[str, Any] = json.loads(data)
        right = meta["ulid"] == name and int(meta["maxTime"]) >= int(meta["minTime"])
    except (ValueError, KeyError, TypeError) as error:
        raise problem from error
    if not right:
        raise problem
    return meta
