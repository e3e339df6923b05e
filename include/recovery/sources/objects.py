"""User uploads in a versioned bucket, with a replica in the other region."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from include.recovery.content.model import Item
from include.recovery.content.port import EVERYTHING, Captured, PutBack, Restored, Selection, Sink, Site, Stored
from include.recovery.evidence.model import Check
from include.recovery.objects import copy, fetch, history
from include.recovery.objects.capture import capture
from include.recovery.objects.changes import Task, pairs_stored, tasks
from include.recovery.objects.places import places
from include.recovery.objects.precheck import precheck
from include.recovery.objects.put_back import apply
from include.recovery.objects.replica_sample import replica_holds_the_same
from include.recovery.objects.states import live_items
from include.recovery.policy.source_kinds.objects import ObjectsSource

if TYPE_CHECKING:
    from include.recovery.content.compare import Change


class ObjectsKind:
    """See ``include/recovery/objects/``; restores to any moment between backups are in its ``moment.py``."""

    name = "objects"
    unit = "object"

    def describe(self, source: ObjectsSource) -> str:
        """What the source is, in words."""
        below = f" below {source.prefix!r}" if source.prefix else ""
        return f"bucket {source.bucket}{below} with its versions, copied to {source.replica.bucket}"

    def precheck(self, site: Site[ObjectsSource]) -> str:
        """See ``Kind``."""
        return precheck(site)

    def capture(self, site: Site[ObjectsSource], sink: Sink) -> Captured:
        """See ``Kind``."""
        return capture(site, sink)

    def live_items(self, site: Site[ObjectsSource]) -> Iterator[Item]:
        """See ``Kind``."""
        return live_items(site)

    def restore(
        self, site: Site[ObjectsSource], stored: Stored, folder: Path, only: Selection = EVERYTHING
    ) -> Restored:
        """See ``Kind``."""
        return fetch.restore(site, stored, folder, only)

    def items(self, site: Site[ObjectsSource], folder: Path) -> Iterator[Item]:
        """See ``Kind``."""
        return copy.items(folder)

    def questions(self, site: Site[ObjectsSource], folder: Path) -> Sequence[Check]:
        """Whether the replica still holds the same, by a sample."""
        return (replica_holds_the_same(site, folder),)

    def discard(self, folder: Path) -> None:
        """See ``Kind``."""
        copy.discard(folder)

    def preview(self, site: Site[ObjectsSource], stored: Stored, only: Selection = EVERYTHING) -> Iterator[Change]:
        """See ``Previews``: only what has another version, and the same size, is read."""
        return (task.change for task in self._tasks(site, stored, only))

    def put_back(self, site: Site[ObjectsSource], stored: Stored, only: Selection = EVERYTHING) -> PutBack:
        """See ``Kind``."""
        here, there = places(site)
        return apply(
            self._tasks(site, stored, only), here, there, threads=site.source.threads, stop=site.stop,
            progress=site.progress,
        )  # fmt: skip

    def _tasks(self, site: Site[ObjectsSource], stored: Stored, only: Selection) -> Iterator[Task]:
        here, _ = places(site)
        with history.known(site) as known:
            pairs = pairs_stored(here, site.source.prefix, known, stored, only)
            yield from tasks(pairs, here, threads=site.source.threads, stop=site.stop)


KIND = ObjectsKind()
