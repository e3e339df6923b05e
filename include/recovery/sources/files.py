"""Folders and files of a machine: owners, modes, links, ACLs and extended attributes included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from include.recovery.content.model import Item
from include.recovery.content.port import EVERYTHING, Captured, PutBack, Restored, Selection, Site, Stored
from include.recovery.content.port import Sink as ContentSink
from include.recovery.errors import SourceError
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
        return look_ahead(located(site))

    def capture(self, site: Site[FilesSource], sink: ContentSink) -> Captured:
        """Archive everything while its writers hold still; one part, ``files``."""
        with held_still(site.source.quiesce, site.name):
            began = site.now()
            Capture(located(site), sink, site.stop).run()
        return Captured(snapshot_at=began)

    def live_items(self, site: Site[FilesSource]) -> Iterator[Item]:
        """What is there now, every byte read; a path that is missing holds nothing.

        :raises InsufficientRights: when something cannot be read.
        """

        def trouble(name: str, error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):  # it went while we looked: then it is not there
                refuse_unreadable({name: error.strerror or "no permission"})

        return live_items(located(site), trouble, lambda: _go_on(site))

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
        tree = f"{folder / copies.TREE}{root_of(site)}"
        return [ask(check, Path(tree)) for check in site.source.checks]

    def discard(self, folder: Path) -> None:
        """Remove a copy."""
        copies.remove_copy(folder)

    def put_back(self, site: Site[FilesSource], stored: Stored, only: Selection = EVERYTHING) -> PutBack:
        """Rename what is there aside, and what was backed up into its place."""
        return PuttingBack(
            located(site), stored, lambda: self.live_items(site), site.now(), site.stop.is_set
        ).run(only)


def root_of(site: Site[FilesSource]) -> str:
    """What stands before every path of the policy: where this worker sees the host's files; empty for its own.

    :raises SourceError: when the connection names no such folder, or it is not there.
    """
    if site.source.host_connection is None:
        return ""
    root = site.connection(site.source.host_connection).extra.get("root")
    if not isinstance(root, str) or not root.startswith("/") or not Path(root).is_dir():
        raise SourceError(
            f"{site.name}: connection {site.source.host_connection!r} has {root!r} as 'root' in its extra; it must be "
            "the absolute path of the folder where this worker sees the host's files, so mount them there"
        )
    return root.rstrip("/")


def located(site: Site[FilesSource]) -> FilesSource:
    """The source with its paths as this worker sees them, which is also how items are named.

    :raises SourceError: as ``root_of``.
    """
    root = root_of(site)
    return site.source.model_copy(update={"paths": tuple(f"{root}{path}" for path in site.source.paths)})


def _go_on(site: Site[FilesSource]) -> None:
    if site.stop.is_set():
        raise Stopped


KIND = FilesKind()
