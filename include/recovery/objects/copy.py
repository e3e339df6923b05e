"""A copy of objects in a folder.

    index             JSON lines in the order of the keys: key, path below the folder, attributes, copy in the replica
    objects/...       a file for each object, by its key
    unusual/nnn/nnn   those whose key is no safe path: with ``..``, an empty step, a leading or a closing slash, control
                      characters, steps longer than a file's name may be, or one that is a file and a folder at once

The index gives keys and order, so that a copy of millions of objects is measured in flat memory; what is in a file is
always read, and a file that the index does not name is found.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from heapq import merge
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

from include.recovery.content.model import Item
from include.recovery.errors import NotIdentical
from include.recovery.objects.digest import Attributes, measured

INDEX, OBJECTS, UNUSUAL = "index", "objects", "unusual"
_STEP_BYTES, _PATH_BYTES = 255, 2048
_IN_A_FOLDER = 1000


class Entry(NamedTuple):
    """A line of the index.

    :param copy: the version in the replica that should hold the same.
    """

    key: str
    path: str
    attributes: Attributes
    copy: str = ""


class FolderCopy:
    """A copy that is being made. Use it as a context manager.

    :param folder: what is there is replaced.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._unusual = 0
        self._index: TextIO

    def __enter__(self) -> FolderCopy:
        discard(self.folder)
        for each in (self.folder, self.folder / OBJECTS, self.folder / UNUSUAL):
            each.mkdir(mode=0o700)
        self._index = (self.folder / INDEX).open("w", encoding="ascii")
        return self

    def __exit__(self, *_: object) -> None:
        self._index.close()

    def place(self, key: str) -> str:
        """Make the place of an object, an empty file.

        :return: its path below the folder.
        """
        if is_safe(key):
            path = f"{OBJECTS}/{key}"
            try:
                (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / path).open("xb").close()
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                pass  # one of `a` and `a/b`, which a bucket has side by side
            else:
                return path
        number, self._unusual = self._unusual, self._unusual + 1
        path = f"{UNUSUAL}/{number // _IN_A_FOLDER:06}/{number % _IN_A_FOLDER:03}"
        (self.folder / path).parent.mkdir(exist_ok=True)
        (self.folder / path).touch()
        return path

    def open(self, path: str) -> BinaryIO:
        """A place to write to, from its beginning."""
        return (self.folder / path).open("wb")

    def enter(self, entry: Entry) -> None:
        """Name an object that is there, in the order of the keys."""
        self._index.write(json.dumps(entry, separators=(",", ":")) + "\n")

    def leave_out(self, path: str) -> None:
        """Give a place up."""
        (self.folder / path).unlink()


def is_safe(key: str) -> bool:
    """Whether a key may be a path as it is."""
    steps = key.split("/")
    return (
        key.isprintable()
        and len(key.encode()) <= _PATH_BYTES
        and all(step not in ("", ".", "..") and len(step.encode()) <= _STEP_BYTES for step in steps)
    )


def items(folder: Path) -> Iterator[Item]:
    """What a copy holds, in order, measured from its files.

    :raises NotIdentical: when the folder holds no copy.
    """
    extra = iter(sorted(_strangers(folder), key=lambda item: item.order))
    yield from merge(_named(folder), extra, key=lambda item: item.order)


def discard(folder: Path) -> None:
    """Remove a copy; nothing there is fine too."""
    if folder.exists():
        shutil.rmtree(folder)


def _named(folder: Path) -> Iterator[Item]:
    for entry in entries(folder):
        try:
            with (folder / entry.path).open("rb") as content:
                size = os.fstat(content.fileno()).st_size
                yield Item(entry.key, measured(content, entry.attributes), size, entry.path)
        except FileNotFoundError:
            continue  # it is missing, and so not among the items


def _strangers(folder: Path) -> list[Item]:
    """Files that the index does not name; what they are called is kept in memory only when there are any."""
    there = sum(1 for _ in _files(folder))
    if sum((folder / entry.path).is_file() for entry in entries(folder)) == there:
        return []
    named = {entry.path for entry in entries(folder)}
    return [
        Item(f"{path} (a file that no object has)", "", (folder / path).stat().st_size, path)
        for path in _files(folder) if path not in named
    ]  # fmt: skip


def _files(folder: Path) -> Iterator[str]:
    for part in (OBJECTS, UNUSUAL):
        for at, _, names in os.walk(folder / part):
            for name in names:
                yield str((Path(at) / name).relative_to(folder))


def entries(folder: Path) -> Iterator[Entry]:
    """The index.

    :raises NotIdentical: when there is none.
    """
    try:
        with (folder / INDEX).open(encoding="ascii") as lines:
            for line in lines:
                found: list[Any] = json.loads(line)
                yield Entry(*found)
    except FileNotFoundError as error:
        raise NotIdentical(f"{folder} holds no copy of objects: it has no index; restore it again") from error
    except (ValueError, TypeError) as error:
        raise NotIdentical(f"the index of the copy in {folder} cannot be read; restore it again") from error
