"""The copy of a drill: a tree extracted into a folder of its own, and measured anew from there.

    <folder>/root/...      the tree, as if that were ``/``
    <folder>/lacks.sqlite  what this process could not set: owners, when it is not root; and which folders it made only
                           to hold what was selected

Measuring reads the tree. Only where something could not be set, and is still just as extracting left it, the record of
what the archive brought stands in for it; the comparison says for how many files, and calls it not compared.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from include.recovery.content.model import Item
from include.recovery.content.port import EVERYTHING, Selection, Stored
from include.recovery.errors import BackupCorrupt, SourceError
from include.recovery.files.archive import members
from include.recovery.files.attributes import Lack
from include.recovery.files.capture import PART
from include.recovery.files.entry import Owner, Xattrs
from include.recovery.files.extract import Extraction
from include.recovery.files.measure import Known, measured_items
from include.recovery.files.walk import Root, walk
from include.recovery.fingerprint.model import NotCompared
from include.recovery.processes import run_tool

TREE = "root"
_LACKS = "lacks.sqlite"
_TABLE = "CREATE TABLE lacks (name BLOB PRIMARY KEY, scaffold INT, alone BLOB, lack TEXT) WITHOUT ROWID"
_ENTER = (
    "INSERT INTO lacks VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
    "scaffold = max(scaffold, excluded.scaffold), alone = coalesce(excluded.alone, alone), "
    "lack = coalesce(excluded.lack, lack)"
)
_WHAT = {"owner": "owners", "mode": "modes", "xattrs": "extended attributes", "link": "hard links"}
_WHY = {
    "owner": "owners could not be set by this worker (it is not root, or knows the users by other names); they were "
    "compared as the archive brought them",
    "mode": "modes could not be set by this worker, which is not root; they were compared as the archive brought them",
    "xattrs": "extended attributes could not be set on the copy; they were compared as the archive brought them",
    "link": "their other hard links were not selected; that they belong together was not compared",
}
FOLDER_TIMES = NotCompared(
    object="modification times of folders",
    why="restored and not compared: a temporary file that came and went in a folder would look like a change",
)


def extract_copy(stored: Stored, folder: Path, only: Selection, stop: Callable[[], bool]) -> int:
    """Make a copy in a folder; what was there before is removed.

    :return: how many things it holds.
    """
    remove_copy(folder)
    folder.mkdir(mode=0o700)
    (folder / TREE).mkdir(mode=0o700)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with closing(sqlite3.connect(folder / _LACKS)) as book, stored.open(PART) as stream:
            book.execute(_TABLE)

            def enter(name: str, *, scaffold: int = 0, alone: str | None = None, lack: Lack | None = None) -> None:
                book.execute(_ENTER, (
                    os.fsencode(name), scaffold, os.fsencode(alone) if alone else None,
                    json.dumps(_plain(lack)) if lack else None,
                ))  # fmt: skip

            needed = links_needed(stored, only.wants) if only != EVERYTHING else frozenset()
            count = Extraction(
                place=lambda name: (descriptor, [TREE, *name.split("/")[1:]]),
                wants=only.wants, linked_to=needed, by_name=False,
                lacks=lambda name, lack: enter(name, lack=lack),
                scaffold=lambda name: enter(name, scaffold=1),
                alone=lambda name, first: enter(name, alone=first),
                stop=stop,
            ).run(members(stream, stored.manifest.name))  # fmt: skip
            book.commit()
    finally:
        os.close(descriptor)
    return count


def links_needed(stored: Stored, wants: Callable[[str], bool]) -> frozenset[str]:
    """First names of files that are not wanted, but that wanted names are links to."""
    return frozenset(item.at for item in stored.items() if item.at and wants(item.name) and not wants(item.at))


def copy_items(folder: Path) -> Iterator[Item]:
    """What a copy holds, in order, read anew from its tree.

    :raises BackupCorrupt: when there is no copy.
    """
    _check(folder)

    def trouble(name: str, error: OSError) -> None:
        raise SourceError(f"the copy's {name!r} cannot be read: {error.strerror}") from error

    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with closing(sqlite3.connect(folder / _LACKS)) as book:
            found = walk([Root("", descriptor, TREE)], trouble)
            yield from measured_items(found, trouble, known=lambda name: _known(book, name))
    finally:
        os.close(descriptor)


def not_compared(folder: Path) -> list[NotCompared]:
    """What comparing a copy does not cover, because this worker could not set it."""
    _check(folder)
    counts: Counter[str] = Counter()
    with closing(sqlite3.connect(folder / _LACKS)) as book:
        for alone, lack in book.execute("SELECT alone, lack FROM lacks"):
            counts.update(list(json.loads(lack)) if lack else [])
            counts["link"] += alone is not None
    return [FOLDER_TIMES, *(
        NotCompared(object=f"{_WHAT[what]} of {count:,} file{'s' if count > 1 else ''}", why=_WHY[what])
        for what, count in sorted(counts.items()) if count
    )]  # fmt: skip


def remove_copy(folder: Path) -> None:
    """Remove a folder with everything in it; nothing there is fine too."""
    if not os.path.lexists(folder):
        return
    # Python's own rmtree recurses, and gives up in a tree that is deep.
    run_tool(["rm", "-rf", "--one-file-system", "--", str(folder)], env={"PATH": os.environ.get("PATH", os.defpath)})


def _check(folder: Path) -> None:
    if not (folder / TREE).is_dir() or not (folder / _LACKS).is_file():
        raise BackupCorrupt(f"{folder} holds no copy; restore one first")


def _known(book: sqlite3.Connection, name: str) -> Known | None:
    row = book.execute("SELECT scaffold, alone, lack FROM lacks WHERE name = ?", (os.fsencode(name),)).fetchone()
    if row is None:
        return None
    scaffold, alone, lack = row
    return Known(bool(scaffold), os.fsdecode(alone) if alone else "", _lack(json.loads(lack)) if lack else Lack())


def _plain(lack: Lack) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    if lack.owner:
        plain["owner"] = [asdict(owner) for owner in lack.owner]
    if lack.mode:
        plain["mode"] = lack.mode
    if lack.xattrs:
        plain["xattrs"] = [[[name, base64.b64encode(value).decode()] for name, value in each] for each in lack.xattrs]
    return plain


def _lack(plain: dict[str, Any]) -> Lack:
    def xattrs(pairs: list[list[str]]) -> Xattrs:
        return tuple((name, base64.b64decode(value)) for name, value in pairs)

    lack = Lack()
    if "owner" in plain:
        lack = replace(lack, owner=(Owner(**plain["owner"][0]), Owner(**plain["owner"][1])))
    if "mode" in plain:
        lack = replace(lack, mode=tuple(plain["mode"]))
    if "xattrs" in plain:
        lack = replace(lack, xattrs=(xattrs(plain["xattrs"][0]), xattrs(plain["xattrs"][1])))
    return lack
