"""Git repositories: see ``include/recovery/git/``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from include.recovery.content.compare import shown
from include.recovery.content.model import Item
from include.recovery.content.port import EVERYTHING, Captured, PutBack, Restored, Selection, Sink, Site, Stored
from include.recovery.evidence.model import Check
from include.recovery.git import bundle, lfs, trees
from include.recovery.git.copy import discard, items_of, repository_of, restore_copy
from include.recovery.git.environment import environment
from include.recovery.git.frozen import Frozen, frozen, look
from include.recovery.git.items import Objects, in_order, measure_objects
from include.recovery.git.put_back import put_back
from include.recovery.git.questions import ask
from include.recovery.git.submodules import submodules
from include.recovery.git.tool import Git, version
from include.recovery.processes import Crew

if TYPE_CHECKING:
    from include.recovery.policy.source_kinds.git import GitSource

_NAMED = 100
"""So many objects of Git LFS, or paths, are named; the rest is counted."""


class GitKind:
    """See ``content/port.py``."""

    name = "git"
    unit = "item"

    def describe(self, source: GitSource) -> str:
        """What the source is, in words."""
        return f"git repository {source.repository}"

    def precheck(self, site: Site[GitSource]) -> str:
        """Whether it can be backed up completely, in a clause."""
        refs = look(site)
        return f"{len(refs.refs)} refs can be read, HEAD is {refs.head or 'unknown'}"

    def capture(self, site: Site[GitSource], sink: Sink) -> Captured:
        """Bundle, archive and objects of Git LFS, of refs that were frozen before."""
        with frozen(site, check=True) as now:
            for what, why in now.left_out:
                sink.leave_out(shown(what), why)
            for each in submodules(now.git, now.folder, now.refs):
                sink.leave_out(shown(each.words), "it is another repository; make it a source of its own")
            objects = measure_objects(now.git, now.folder)
            self._store_bundle(now, sink)
            large = self._store_large_objects(now, sink)
            self._store_archive(now, sink, site.source.archive_without)
            for item in in_order(now.refs, _files(now, site.source), _large(large), objects):
                sink.item(item)
            return Captured(
                snapshot_at=now.at, lsn=now.refs.head_id, tools={"git": version(now.git)}, size=objects.size
            )

    def live_items(self, site: Site[GitSource]) -> Iterator[Item]:
        """What it holds now, in order."""
        with frozen(site, empty=True) as now:
            objects: Objects = measure_objects(now.git, now.folder)
            held = lfs.present(now.origin, lfs.pointers(now.git, now.folder)) if now.address.local else {}
            yield from in_order(now.refs, _files(now, site.source), _large(held), objects)

    def restore(
        self, site: Site[GitSource], stored: Stored, folder: Path, only: Selection = EVERYTHING
    ) -> Restored:
        """A bare repository, and the files of the archive beside it. ``git fsck`` must find nothing wrong."""
        with _at_home(site) as git:
            restore_copy(git, stored, folder, only, known_flaws=_flaws(site.source))
        return Restored(0, f"bare repository {repository_of(folder)}")

    def items(self, site: Site[GitSource], folder: Path) -> Iterator[Item]:
        """What a copy holds, in order."""
        with _at_home(site) as git:
            yield from items_of(git, folder)

    def questions(self, site: Site[GitSource], folder: Path) -> Sequence[Check]:
        """``git fsck``, and commits of all ages checked out."""
        with _at_home(site) as git:
            return ask(git, repository_of(folder), source=site.source.name, known_flaws=_flaws(site.source))

    def discard(self, folder: Path) -> None:
        """Remove a copy."""
        discard(folder)

    def put_back(self, site: Site[GitSource], stored: Stored, only: Selection = EVERYTHING) -> PutBack:
        """The refs as they were; what they are now stays under ``refs/lifeboat/``."""
        return put_back(site, stored, only)

    def _store_bundle(self, now: Frozen, sink: Sink) -> None:
        with now.git.stream(
            "pack-objects", "--all", "--stdout", "--delta-base-offset", "--quiet", doing="packing its objects",
            at=now.folder,
        ) as child:  # fmt: skip
            stream = bundle.Joined(bundle.header(now.refs), child.stdout)
            sink.store(cast("BinaryIO", stream), bundle.PART, finished=child.check)

    def _store_archive(self, now: Frozen, sink: Sink, without: tuple[str, ...]) -> None:
        if now.refs.head_id is None:
            sink.leave_out("the archive", "HEAD names a branch without commits; the bundle has all refs")
            return
        with now.git.stream(
            "archive", "--format=tar", now.refs.head_id, doing="archiving its files", at=now.folder
        ) as child:
            sink.store(child.stdout, trees.PART, finished=child.check)
        names: dict[bytes, int] = {}
        for entry in trees.listed(now.git, now.folder, now.refs.head_id):
            at = trees.left_out_at(entry.path, without)
            if at is not None:
                names[at] = names.get(at, 0) + 1
        for at, count in list(names.items())[:_NAMED]:
            what = shown(os.fsdecode(at)) + (f" ({count} files)" if count > 1 else "")
            sink.leave_out(f"archive: {what}", "the policy leaves it out of the archive; the bundle has it")
        if len(names) > _NAMED:
            sink.leave_out(f"archive: {len(names) - _NAMED} more paths", "as those before")

    def _store_large_objects(self, now: Frozen, sink: Sink) -> dict[str, int]:
        wanted = lfs.pointers(now.git, now.folder)
        held = lfs.present(now.origin, wanted) if now.address.local else {}
        if held:
            with sink.writing(lfs.PART) as out:
                lfs.pack(now.origin, held, out, now.git.where)
        missing = [oid for oid in wanted if oid not in held]
        for oid in missing[:_NAMED]:
            sink.leave_out(f"Git LFS object {oid}, {wanted[oid]} bytes", "only its pointer is here; its server has it")
        if len(missing) > _NAMED:
            sink.leave_out(f"{len(missing) - _NAMED} more Git LFS objects", "as those before")
        return held


def _files(now: Frozen, source: GitSource) -> Iterator[Item]:
    if now.refs.head_id is None:
        return
    for entry in trees.listed(now.git, now.folder, now.refs.head_id):
        if not entry.submodule and trees.left_out_at(entry.path, source.archive_without) is None:
            yield entry.item


def _large(held: dict[str, int]) -> Iterator[Item]:
    for oid, size in held.items():
        yield Item(lfs.PREFIX + oid, oid, size)


def _flaws(source: GitSource) -> tuple[str, ...]:
    return tuple(each.problem for each in source.known_flaws)


@contextmanager
def _at_home(site: Site[GitSource]) -> Iterator[Git]:
    """Git for work on our own folders."""
    with Crew(site.stop) as crew:
        yield Git(environment(), crew, site.name)


KIND = GitKind()
