"""Trees as items, read from the disk: a copy that a drill compares, or the files as they are now."""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from include.recovery.content.model import Item
from include.recovery.files.attributes import Lack
from include.recovery.files.content import digest_of
from include.recovery.files.entry import Entry, HardLinks, entry_of, linked, type_of
from include.recovery.files.paths import Skipped
from include.recovery.files.walk import Found, Trouble, roots_of, walk
from include.recovery.policy.source_kinds.files import FilesSource

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Known:
    """What extracting has written down of a thing in a copy.

    :param scaffold: a folder that was made only to hold something else.
    :param alone: the first name of its file, which was not selected.
    :param lack: what it has instead of what it should have.
    """

    scaffold: bool = False
    alone: str = ""
    lack: Lack = field(default_factory=Lack)

    def given_back(self, entry: Entry) -> Entry:
        """An entry with what it should have, where what it has is still what extracting left."""
        if self.lack.owner and self.lack.owner[0] == entry.owner:
            entry = replace(entry, owner=self.lack.owner[1])
        if self.lack.mode and self.lack.mode[0] == entry.mode:
            entry = replace(entry, mode=self.lack.mode[1])
        if self.lack.xattrs and self.lack.xattrs[0] == entry.xattrs:
            entry = replace(entry, xattrs=self.lack.xattrs[1])
        return entry


def live_items(source: FilesSource, trouble: Trouble, stop: Callable[[], None]) -> Iterator[Item]:
    """What the paths of a policy hold now, in order; a path that is missing holds nothing."""
    with roots_of(source.paths) as roots:
        found = walk(roots, trouble, skip=Skipped(source.paths, source.exclude))
        for item in measured_items((each for each in found if type_of(each.stat) is not None), trouble):
            stop()
            yield item


def measured_items(
    found: Iterable[Found], trouble: Trouble, *, known: Callable[[str], Known | None] = lambda _: None
) -> Iterator[Item]:
    """Items of things that come in order, each file's content read.

    :param known: what is written down of a thing.
    """
    links = HardLinks()
    for each in found:
        written = known(each.name) or Known()
        if written.scaffold:
            continue
        try:
            item = _item(each, written, links)
        except OSError as error:
            trouble(each.name, error)
            continue
        yield item


def _item(found: Found, known: Known, links: HardLinks) -> Item:
    if type_of(found.stat) is None:
        return Item(found.name, "a socket or a device")  # no backup holds one, so in a copy it is one too many
    if (first := links.known(found.stat)) is not None:
        return known.given_back(linked(entry_of(found), first[0])).item(first[1])
    stat, content = found.stat, ""
    if modes.S_ISREG(stat.st_mode):
        descriptor = os.open(found.base, _READ, dir_fd=found.folder)
        try:
            content, stat = digest_of(descriptor), os.fstat(descriptor)
        finally:
            os.close(descriptor)
    entry = entry_of(found, stat)
    if known.alone:
        entry = linked(entry, known.alone)
    links.keep(stat, entry.same_as or found.name, content)
    return known.given_back(entry).item(content)
