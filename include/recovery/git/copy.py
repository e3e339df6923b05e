"""A restored copy of a repository: a bare repository, and the files of its archive beside it.

    <folder>/repository.git    all refs and objects; objects of Git LFS in its ``lfs/objects``
    <folder>/archive/          the files of HEAD as they were kept
    <folder>/copy.json         what was asked for

The bundle is never written to disk: its pack goes straight into the copy's own.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from include.recovery.content.model import Item
from include.recovery.errors import BackupCorrupt, CopyLost, LifeboatError, ToolFailed
from include.recovery.git import bundle, lfs, trees
from include.recovery.git.cache import init
from include.recovery.git.frozen import fsck
from include.recovery.git.items import OBJECTS, in_order, measure_objects
from include.recovery.git.refs import HEAD, Ref, Refs, read_local, symbolic_target
from include.recovery.git.tool import Git

if TYPE_CHECKING:
    from include.recovery.content.port import Selection, Stored

ARCHIVE = "archive"
_REPOSITORY = "repository.git"
_ASKED = "copy.json"


def repository_of(folder: Path) -> Path:
    """The bare repository of a copy."""
    return folder / _REPOSITORY


def refs_of(items: Iterable[Item], wanted: Selection) -> tuple[str, tuple[Ref, ...]]:
    """HEAD and the refs in an inventory, as far as they are wanted; where symbolic refs lead is not known there."""
    head, refs = "", []
    for item in items:
        if not wanted.wants(item.name):
            continue
        if item.name == HEAD:
            head = item.digest
        elif item.name.startswith("refs/"):
            target = symbolic_target(item.digest)
            refs.append(Ref(item.name, "" if target else item.digest, target))
    return head, tuple(refs)


def restore_repository(
    git: Git, stored: Stored, folder: Path, only: Selection, *, known_flaws: tuple[str, ...] = ()
) -> Refs:
    """Make a bare repository from a backup's bundle, and have git check all of it.

    :param folder: must not exist.
    :param only: refs that are wanted; the objects of the others come too.
    :return: the refs that it has now.
    :raises BackupCorrupt: when the bundle is not what the inventory says, or does not pass ``git fsck``.
    """
    name = stored.manifest.name
    head, wanted = refs_of(stored.items(), only)
    with stored.open(bundle.PART) as stream:
        found = bundle.read_header(stream, name)
        init(git, folder, found.object_format)
        try:
            git.feed("index-pack", "--stdin", stream=stream, doing="unpacking the bundle", at=folder)
        except ToolFailed as error:
            raise _unfit(name, error) from error
        except LifeboatError as error:
            if isinstance(error, BackupCorrupt):
                raise
            raise _unfit(name, error) from error
    refs = tuple(ref._replace(object_id=_id_of(found, ref, name)) for ref in wanted)
    try:
        write_refs(git, folder, refs)
        _set_head(git, folder, head, found)
    except LifeboatError as error:
        raise _unfit(name, error) from error
    if wrong := fsck(git, folder, known_flaws):
        raise BackupCorrupt(f"{name}: git fsck --full --strict refuses the restored copy: {wrong}; use another copy")
    return Refs(refs, head, found.refs.get(HEAD))


def write_refs(git: Git, folder: Path, refs: Iterable[Ref]) -> None:
    """Make refs in a repository that has none of them, all or none."""
    chosen = tuple(refs)
    commands = b"".join(
        b"create " + ref.order + b"\0" + ref.object_id.encode() + b"\0" for ref in chosen if not ref.target
    )
    git.feed("update-ref", "--stdin", "-z", stream=BytesIO(commands), doing="writing its refs", at=folder)
    git.run("pack-refs", "--all", doing="writing its refs", at=folder)
    for ref in chosen:
        if ref.target:
            git.run("symbolic-ref", ref.name, ref.target, doing="writing its refs", at=folder)


def restore_copy(
    git: Git, stored: Stored, folder: Path, only: Selection, *, known_flaws: tuple[str, ...] = ()
) -> None:
    """Make a copy in a folder; what was there is removed."""
    discard(folder)
    folder.mkdir(mode=0o700)
    repository, parts = repository_of(folder), {part.name for part in stored.manifest.parts}
    restore_repository(git, stored, repository, only, known_flaws=known_flaws)
    if trees.PART in parts and touches(only, trees.PREFIX):
        (folder / ARCHIVE).mkdir()
        with stored.open(trees.PART) as stream:
            trees.extract(git, stream, folder / ARCHIVE)
    if lfs.PART in parts and touches(only, lfs.PREFIX):
        with stored.open(lfs.PART) as stream:
            lfs.unpack(stream, repository, stored.manifest.name)
    (folder / _ASKED).write_text(json.dumps({"only": only.prefixes}), encoding="utf-8")


def items_of(git: Git, folder: Path) -> Iterator[Item]:
    """What a copy holds, in order, measured from it alone; of what was not asked for, nothing.

    :raises CopyLost: when there is no copy.
    """
    asked, repository = folder / _ASKED, repository_of(folder)
    if not asked.is_file():
        raise CopyLost(f"{folder}: there is no whole copy of a repository here; restore it again")
    prefixes = tuple(json.loads(asked.read_text(encoding="utf-8"))["only"])
    refs, dangling = read_local(git, repository)
    # A symbolic ref that leads nowhere is listed by nobody else.
    lost = tuple(Ref(name, "", os.fsdecode(_target(git, repository, name))) for name in dangling)
    refs = Refs(tuple(sorted((*refs.refs, *lost), key=lambda ref: ref.order)), refs.head, refs.head_id)
    files: Iterable[Item] = ()
    if (folder / ARCHIVE).is_dir():
        files = trees.files_in(folder / ARCHIVE, _object_format(git, repository))
    objects = measure_objects(git, repository)
    for item in in_order(refs, files, lfs.items_in(repository), objects):
        if not prefixes or (item.name.startswith(prefixes) and item.name != OBJECTS):
            yield item


def discard(folder: Path) -> None:
    """Remove a copy."""
    if folder.exists():
        shutil.rmtree(folder)


def _set_head(git: Git, folder: Path, head: str, found: bundle.Header) -> None:
    target = symbolic_target(head)
    if target:
        git.run("symbolic-ref", HEAD, target, doing="setting HEAD", at=folder)
    elif head:
        git.run("update-ref", "--no-deref", HEAD, head, doing="setting HEAD", at=folder)
    elif HEAD in found.refs:  # not asked for; a repository always has one
        git.run("symbolic-ref", HEAD, "refs/heads/unknown", doing="setting HEAD", at=folder)


def _id_of(found: bundle.Header, ref: Ref, name: str) -> str:
    """What the bundle says that a ref points to.

    :raises BackupCorrupt: when the inventory says something else.
    """
    object_id = found.refs.get(ref.name)
    if object_id is None or (ref.object_id and object_id != ref.object_id):
        raise BackupCorrupt(
            f"{name}: its inventory has {ref.name} at {ref.object_id or ref.target}, its bundle has it at "
            f"{object_id or 'nothing'}; use another copy"
        )
    return object_id


def _unfit(name: str, error: Exception) -> BackupCorrupt:
    return BackupCorrupt(f"{name}: its bundle cannot become a repository: {error}; use another copy")


def _object_format(git: Git, repository: Path) -> str:
    said = git.run("rev-parse", "--show-object-format", doing="asking for its format", at=repository)
    return said.decode().strip()


def _target(git: Git, repository: Path, name: str) -> bytes:
    return git.run("symbolic-ref", name, doing="reading a symbolic ref", at=repository).rstrip(b"\n")


def touches(only: Selection, prefix: str) -> bool:
    """Whether any item whose name begins so can be wanted."""
    return not only.prefixes or any(each.startswith(prefix) or prefix.startswith(each) for each in only.prefixes)
