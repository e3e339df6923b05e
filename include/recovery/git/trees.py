"""Files of a commit: as the repository lists them, and as they lie in a folder. Both give the same items.

What is compared is what git keeps: the path, the content, whether it is a link, and whether it can be executed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from include.recovery.content.model import Item
from include.recovery.errors import BackupCorrupt
from include.recovery.git.tool import Git, records

PART = "archive"
PREFIX = "archive/"
"""Names of items that are files of the archive begin with this."""
AS_STORED = "-export-subst -text -ident -filter !eol !crlf !working-tree-encoding"
"""Attributes with which git writes files as they are stored, whatever the repository's own attributes say."""
_CHUNK = 1024 * 1024


class Entry(NamedTuple):
    """A file, link or submodule of a commit.

    :param mode: as git writes it: 100644, 100755, 120000 (a link), 160000 (a submodule).
    :param size: bytes; 0 for a submodule.
    """

    path: bytes
    mode: str
    object_id: str
    size: int

    @property
    def submodule(self) -> bool:
        """Whether it is a commit of another repository."""
        return self.mode == "160000"

    @property
    def item(self) -> Item:
        """For the inventory."""
        return _item(self.path, _plain(self.mode), self.object_id, self.size)


def listed(git: Git, folder: Path, commit: str) -> Iterator[Entry]:
    """Everything in a commit, in the order of the paths' bytes."""
    with git.stream(
        "ls-tree", "-r", "-z", "-l", "--full-tree", commit, doing=f"listing the files of {commit}", at=folder
    ) as child:
        for record in records(child.stdout, b"\0"):
            facts, _, path = record.partition(b"\t")
            mode, _, object_id, size = facts.decode().split()
            yield Entry(path, mode, object_id, 0 if size == "-" else int(size))


def left_out_at(path: bytes, names: Sequence[str]) -> bytes | None:
    """The beginning of a path at which an archive leaves it out; None when it is in it.

    :param names: of files and folders at any depth, ``*`` and ``?`` standing for anything.
    """
    pieces = path.split(b"/")
    for depth, piece in enumerate(pieces, 1):
        if any(fnmatchcase(os.fsdecode(piece), name) for name in names):
            return b"/".join(pieces[:depth])
    return None


def attributes(names: Sequence[str]) -> str:
    """What ``info/attributes`` must say for ``git archive`` to leave out just these, and to change nothing.

    A repository's own ``export-ignore`` does not count: what it hides would be missing without a word.
    """
    return "\n".join([f"* -export-ignore {AS_STORED}", *(f"{name} export-ignore" for name in names), ""])


def files_in(folder: Path, object_format: str) -> Iterator[Item]:
    """What lies in a folder, measured anew, in the order of the paths' bytes.

    :raises BackupCorrupt: for something that git could not have stored, such as a socket.
    """
    yield from _walk(os.fsencode(folder), b"", object_format)


def extract(git: Git, stream: BinaryIO, folder: Path) -> None:
    """Unpack an archive (tar) into an empty folder; owners and modes of the machine that wrote it do not count.

    :raises LifeboatError: when it cannot be unpacked whole.
    """
    argv = [
        "tar", "--extract", "--file=-", f"--directory={folder}", "--no-same-owner", "--no-same-permissions",
        "--no-overwrite-dir", "--warning=no-timestamp",
    ]  # fmt: skip
    with git.crew.child(argv, env=git.env, stdin="pipe") as child:
        child.feed(stream)


def object_id_of(stream: BinaryIO, size: int, object_format: str) -> str:
    """The id that git gives a file's content."""
    digest = hashlib.new(object_format, b"blob %d\0" % size, usedforsecurity=False)
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _walk(root: bytes, below: bytes, object_format: str) -> Iterator[Item]:
    with os.scandir(root + b"/" + below) as found:
        # As git sorts: a folder as if its name ended with a slash.
        entries = sorted(found, key=lambda each: each.name + (b"/" if each.is_dir(follow_symlinks=False) else b""))
    for entry in entries:
        path = below + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, path + b"/", object_format)
        elif entry.is_symlink():
            target = os.readlink(entry.path)  # noqa: PTH115 - a Path could not give its bytes
            digest = hashlib.new(object_format, b"blob %d\0" % len(target) + target, usedforsecurity=False)
            yield _item(path, "120000", digest.hexdigest(), len(target))
        elif entry.is_file():
            with Path(os.fsdecode(entry.path)).open("rb") as stream:
                facts = os.fstat(stream.fileno())
                object_id = object_id_of(cast("BinaryIO", stream), facts.st_size, object_format)
            mode = "100755" if facts.st_mode & stat.S_IXUSR else "100644"
            yield _item(path, mode, object_id, facts.st_size)
        else:
            raise BackupCorrupt(f"{os.fsdecode(entry.path)!r} is neither file nor link; remove the copy, restore again")


def _item(path: bytes, mode: str, object_id: str, size: int) -> Item:
    return Item(PREFIX + os.fsdecode(path), f"{mode} {object_id}", size)


def _plain(mode: str) -> str:
    """Old repositories have other modes for files, which mean the same."""
    return mode if mode == "120000" else ("100755" if int(mode, 8) & 0o100 else "100644")
