"""Folders and files of a machine: owners, modes, links, ACLs and extended attributes included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from include.recovery.content.model import Item
from include.recovery.content.port import EVERYTHING, Captured, PutBack, Restored, Selection, Site, Stored
from include.recovery.content.port import Sink as ContentSink
from include.recovery.evidence.model import Check
from include.recovery.files import copies
from include.recovery.files.capture import Capture
from include.recovery.files.commands import ask, held_still
from include.recovery.files.measure import live_items
from include.recovery.files.put_back import PuttingBack
from include.recovery.files.refusals import look_ahead, refuse_unreadable
from include.recovery.fingerprint.model import NotCompared
from include.recovery.jobs import Stopped
from include.recovery.policy.source_kinds.files import FilesSource


class FilesKind:
    """See ``content/port.py``."""

    name = "files"
    unit = "file"

    def describe(self, source: FilesSource) -> str:
        """What the source is, in words."""
        held = ", whose writers hold still meanwhile" if source.quiesce else ""
        return f"files below {', '.join(source.paths)}{held}"

    def precheck(self, site: Site[FilesSource]) -> str:
        """Whether every file can be opened; those that cannot are named."""
        return look_ahead(site.source)

    def capture(self, site: Site[FilesSource], sink: ContentSink) -> Captured:
        """Archive everything while its writers hold still; one part, ``files``."""
        with held_still(site.source.quiesce, site.name):
            began = site.now()
            Capture(site.source, sink, site.stop).run()
        return Captured(snapshot_at=began)

    def live_items(self, site: Site[FilesSource]) -> Iterator[Item]:
        """What is there now, every byte read; a path that is missing holds nothing.

        :raises InsufficientRights: when something cannot be read.
        """

        def trouble(name: str, error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):  # it went while we looked: then it is not there
                refuse_unreadable({name: error.strerror or "no permission"})

        return live_items(site.source, trouble, lambda: _go_on(site))

    def restore(
        self, site: Site[FilesSource], stored: Stored, folder: Path, only: Selection = EVERYTHING
    ) -> Restored:
        """Extract to ``folder/root``, as if that were ``/``."""
        count = copies.extract_copy(stored, folder, only, site.stop.is_set)
        lacking = [f"{each.object}: {each.why}" for each in copies.not_compared(folder)]
        return Restored(0, f"{count:,} files and folders below {folder / copies.TREE}", tuple(lacking))

    def items(self, site: Site[FilesSource], folder: Path) -> Iterator[Item]:
        """What the copy holds, every byte read."""
        return copies.copy_items(folder)

    def not_compared(self, site: Site[FilesSource], folder: Path) -> Sequence[NotCompared]:
        """What this worker could not set on the copy, so that comparing it proves nothing about it."""
        return copies.not_compared(folder)

    def questions(self, site: Site[FilesSource], folder: Path) -> Sequence[Check]:
        """The policy's commands, run on the copy."""
        return [ask(check, folder / copies.TREE) for check in site.source.checks]

    def discard(self, folder: Path) -> None:
        """Remove a copy."""
        copies.remove_copy(folder)

    def put_back(self, site: Site[FilesSource], stored: Stored, only: Selection = EVERYTHING) -> PutBack:
        """Rename what is there aside, and what was backed up into its place."""
        return PuttingBack(
            site.source, stored, lambda: self.live_items(site), site.now(), site.stop.is_set
        ).run(only)


def _go_on(site: Site[FilesSource]) -> None:
    if site.stop.is_set():
        raise Stopped


KIND = FilesKind()
