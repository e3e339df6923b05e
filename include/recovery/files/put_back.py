"""A backup in the place of what is there now, which is kept aside first. Safe to run again after any end.

Everything is extracted beside its path first. Then, for each path of the policy that differs: what is there is renamed
aside, and what was extracted takes its place. Between these two renames the path is missing; running again fills it.
With a selection, the same is done for each file that differs (``chosen.py``).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from include.recovery.content.compare import Change, changes, shown
from include.recovery.content.model import Item
from include.recovery.content.port import EVERYTHING, PutBack, Selection, Stored
from include.recovery.errors import Refused
from include.recovery.files.chosen import exchange_chosen
from include.recovery.files.refusals import named
from include.recovery.files.stage import asides, clear, fill, new_aside, root_of, staged
from include.recovery.policy.source_kinds.files import FilesSource


@dataclass(frozen=True)
class PuttingBack:
    """What putting back is done with.

    :param live: what the site holds now, in order.
    :param stop: asked now and then; the work ends when it says so.
    """

    source: FilesSource
    stored: Stored
    live: Callable[[], Iterable[Item]]
    now: datetime
    stop: Callable[[], bool]

    def run(self, only: Selection) -> PutBack:
        """Do it.

        :raises Refused: when a path is a mount point, or is not the policy's any more. Nothing was touched then.
        :raises InsufficientRights: when this process may not set what has to be set. Nothing was touched then.
        """
        clear(self.source.paths)
        found = list(changes(
            (item for item in self.stored.items() if only.wants(item.name)),
            (item for item in self.live() if only.wants(item.name)),
        ))  # fmt: skip
        roots = list(dict.fromkeys(root_of(change.name, self.source.paths) for change in found))
        before = {root: asides(Path(root)) for root in self.source.paths}
        kept: list[Path] = []
        alone: list[str] = []
        if found and only == EVERYTHING:
            kept = self._whole(self._with_linked(roots))
        elif found:
            kept, alone = exchange_chosen(self.stored, found, roots, only, self.now, self.stop)
        return self._result(found, kept, before, alone)

    def _with_linked(self, roots: list[str]) -> list[str]:
        """With paths that share a file with one of these: it stays one file only if all of them are exchanged."""
        paths = self.source.paths
        linked = {
            frozenset((root_of(item.name, paths), root_of(item.at, paths))) for item in self.stored.items() if item.at
        }
        wanted = set(roots)
        while more := [pair for pair in linked if pair & wanted and not pair <= wanted]:
            wanted = wanted.union(*more)
        return [root for root in paths if root in wanted]

    def _whole(self, roots: list[str]) -> list[Path]:
        for root in roots:
            if Path(root).is_mount():
                raise Refused(
                    f"{root} is a mount point, which cannot be renamed; put back a selection of what is in it, or name "
                    "the folders in it in paths"
                )
        kept = []
        beginnings = tuple(f"{root}/" for root in roots)
        with staged(roots) as stages:
            fill(stages, self.stored, lambda name: f"{name}/".startswith(beginnings), self.stop)
            for root in roots:
                path, new = Path(root), stages[root].new / Path(root).name
                if os.path.lexists(path):
                    aside = new_aside(path, self.now)
                    rename(path, aside / path.name)
                    kept.append(aside)
                if os.path.lexists(new):  # else the backup has nothing there
                    rename(new, path)
        return kept

    def _result(
        self, found: list[Change], kept: list[Path], before: dict[str, list[Path]], alone: list[str]
    ) -> PutBack:
        earlier = [str(folder) for folders in before.values() for folder in folders]
        notes = []
        if earlier:
            notes.append(f"kept aside by earlier tries: {', '.join(earlier)}")
        if kept and self.stored.manifest.left_out:
            notes.append("what the backup leaves out is now only in what was kept aside")
        if alone:
            names = named(map(shown, alone))
            notes.append(f"files of their own now, since their other hard links were not selected: {names}")
        aside = ", ".join(map(str, kept)) or ", ".join(earlier) or "nothing had to be kept aside"
        return PutBack(len(found), aside, tuple(notes))


def rename(old: Path, new: Path) -> None:
    """Give something another place on the same file system.

    :raises Refused: when something is mounted there.
    """
    try:
        old.rename(new)
    except OSError as error:
        if error.errno in {errno.EBUSY, errno.EXDEV}:
            raise Refused(f"{old} cannot be renamed, since something is mounted there; unmount it first") from error
        raise
    descriptor = os.open(new.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
