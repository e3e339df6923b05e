"""Objects of a backup brought to a folder: from the bucket's versions, or else from the replica's."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from include.recovery.content.model import Item
from include.recovery.content.port import Restored
from include.recovery.errors import BackupCorrupt, ObjectMissing, SourceUnavailable, StoreError, StoreUnavailable
from include.recovery.objects.bucket import Bucket
from include.recovery.objects.changes import Wanted, stored_wanted
from include.recovery.objects.copy import Entry, FolderCopy
from include.recovery.objects.digest import BLOCK, Attributes, Damaged, digest
from include.recovery.objects.in_order import Later, in_order
from include.recovery.objects.names import Names
from include.recovery.objects.places import places

if TYPE_CHECKING:
    from include.recovery.content.port import Selection, Site, Stored
    from include.recovery.parts.progress import Progress
    from include.recovery.policy.source_kinds.objects import ObjectsSource


class _Fetched(NamedTuple):
    """What became of an object.

    :param entry: None when it could not be had.
    :param size: bytes that were read for it.
    :param why: why the bucket did not have it, or (without an entry) why nobody has.
    """

    entry: Entry | None
    size: int
    path: str
    why: str = ""


def restore(site: Site[ObjectsSource], stored: Stored, folder: Path, only: Selection) -> Restored:
    """Make a copy. What the bucket has lost comes from the replica; without the bucket's region, everything does.

    :raises BackupCorrupt: in the end, naming what neither has; everything else is in the folder.
    :raises SourceUnavailable: when neither can be reached.
    """
    here, there = places(site)
    told, lost, count, fetched = Names(), Names(), 0, 0
    with FolderCopy(folder) as copy:
        work = _Work(here, there, copy, site.progress)
        with closing(in_order(work.jobs(stored, only), threads=site.source.threads, stop=site.stop)) as everything:
            for found in everything:
                fetched += found.size
                if found.entry is None:
                    copy.leave_out(found.path)
                    lost.add(found.why)
                    continue
                copy.enter(found.entry)
                count += 1
                if found.why:
                    told.add(found.why)
    if lost:
        raise BackupCorrupt(
            f"backup {stored.manifest.name}: {count} objects are in {folder}, and {lost.count} cannot be had any more: "
            f"{lost}"
        )
    notes = (f"from the replica: {told}",) if told else ()
    return Restored(fetched, f"{count} objects in {folder}", notes)


class _Work:
    def __init__(self, here: Bucket, there: Bucket, copy: FolderCopy, progress: Progress) -> None:
        self._here, self._there, self._copy, self._progress = here, there, copy, progress
        self._unreachable = threading.Event()

    def jobs(self, stored: Stored, only: Selection) -> Iterator[_Fetched | Later[_Fetched]]:
        # Places are made one after the other, so that of two keys that want one place the first always gets it.
        for key, wanted in stored_wanted(stored, only):
            yield Later(functools.partial(self._fetch, wanted, self._copy.place(key)))

    def _fetch(self, wanted: Wanted, path: str) -> _Fetched:
        item = wanted.item
        why = self._from_bucket(wanted, path)
        if isinstance(why, _Fetched):
            return why
        if not wanted.copy:
            return _Fetched(None, 0, path, f"{item.name!r} ({why}; no copy of it is known)")
        try:
            attributes = self._download(self._there, item, wanted.copy, path)
        except (ObjectMissing, Damaged) as error:
            what = "damaged" if isinstance(error, Damaged) else "gone"
            return _Fetched(None, 0, path, f"{item.name!r} ({why}; its copy in the replica is {what} too)")
        except StoreUnavailable as error:
            raise SourceUnavailable(f"{item.name!r}: {why}, and the replica cannot be reached: {error}") from error
        return _Fetched(Entry(item.name, path, attributes, wanted.copy), item.size, path, why)

    def _from_bucket(self, wanted: Wanted, path: str) -> _Fetched | str:
        """The object, or why not."""
        item, whole = wanted.item, "everything else, as the bucket cannot be reached"
        if self._unreachable.is_set():
            return whole
        try:
            attributes = self._download(self._here, item, item.at, path)
        except ObjectMissing:
            return f"version {item.at} of {item.name!r} is gone from the bucket"
        except Damaged:
            return f"version {item.at} of {item.name!r} is damaged in the bucket"
        except StoreUnavailable:
            self._unreachable.set()  # for this restore: each try would take a minute
            return whole
        except StoreError as error:
            return f"the bucket refuses version {item.at} of {item.name!r}: {error}"
        return _Fetched(Entry(item.name, path, attributes, wanted.copy), item.size, path)

    def _download(self, bucket: Bucket, item: Item, version: str, path: str) -> Attributes:
        """Into its place.

        :raises Damaged: when it is not what was backed up.
        """
        attributes, stream = bucket.fetch(item.name, version)
        content = hashlib.sha256()
        with closing(stream), self._copy.open(path) as file:
            while block := stream.read(BLOCK):
                content.update(block)
                file.write(block)
                self._progress.add("objects", len(block), len(block))
        if digest(content.hexdigest(), attributes) != item.digest:
            raise Damaged(f"version {version} of {item.name!r} is not what was backed up")
        return attributes
