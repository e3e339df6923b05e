"""A stream into a tree: never outside of it, through no link, and each folder finished when the stream has left it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from include.recovery.content.compare import shown
from include.recovery.errors import BackupCorrupt
from include.recovery.files.archive import Member
from include.recovery.files.attributes import Lack, apply
from include.recovery.files.entry import Entry
from include.recovery.jobs import Stopped

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Place = tuple[int, list[str]]
"""A folder's descriptor, and the way from there."""


@dataclass
class Extraction:
    """One stream that becomes files.

    :param place: where a path belongs.
    :param wants: which paths are wanted.
    :param linked_to: paths that are not wanted, but whose content is, since a wanted path is another link to it.
    :param by_name: see ``attributes.apply``.
    :param lacks: told the path of each thing that is not all that it should be.
    :param scaffold: told of each folder that was made only to hold something wanted.
    :param alone: told the path of a wanted link whose first name is not wanted, and that name.
    :param stop: asked before each thing.
    """

    place: Callable[[str], Place]
    wants: Callable[[str], bool]
    linked_to: frozenset[str]
    by_name: bool
    lacks: Callable[[str, Lack], None]
    scaffold: Callable[[str], None]
    alone: Callable[[str, str], None]
    stop: Callable[[], bool]
    _open: list[Entry] = field(default_factory=list)
    _held: dict[str, tuple[int, str]] = field(default_factory=dict)
    _kept: tuple[tuple[int, tuple[str, ...]], int] | None = None

    def run(self, members: Iterable[Member]) -> int:
        """Take everything that is wanted out of the stream.

        :return: how many things.
        :raises BackupCorrupt: when the stream is not in order.
        """
        count, last = 0, b""
        try:
            for member in members:
                if self.stop():
                    raise Stopped
                name = member.entry.name
                order = os.fsencode(name)
                if order < last:
                    raise BackupCorrupt(f"the archive has {shown(name)} behind {last!r}, out of its order")
                again, last = order == last, order
                self._finish_before(order)
                if self.wants(name):
                    count += not again
                    self._make(member, again=again)
                elif name in self.linked_to and not member.hard_link:
                    self._hold(member, again=again)
            self._finish_before(None)
            for folder, base in self._held.values():
                os.unlink(base, dir_fd=folder)
        finally:
            self._forget_folder()
        return count

    def _make(self, member: Member, *, again: bool) -> None:
        entry = member.entry
        folder, base = self._folder_of(entry.name)
        if again:
            os.unlink(base, dir_fd=folder)  # it changed while it was backed up; this is how it was in the end
        if member.hard_link and entry.same_as in self._held:
            from_, held = self._held[entry.same_as]
            os.link(held, base, src_dir_fd=from_, dst_dir_fd=folder, follow_symlinks=False)
            self.alone(entry.name, entry.same_as)
            self._dress(entry, folder, base)
        elif member.hard_link:
            from_place, way = self.place(entry.same_as)
            from_ = enter_folder(from_place, way[:-1])
            try:
                os.link(way[-1], base, src_dir_fd=from_, dst_dir_fd=folder, follow_symlinks=False)
            finally:
                os.close(from_)
            self._dress(entry, folder, base)  # it has all that already; what it lacks is told for each of its names
        elif entry.type == "folder":
            os.mkdir(base, 0o700, dir_fd=folder)
            self._open.append(entry)
        else:
            _create(member, folder, base)
            self._dress(entry, folder, base)

    def _hold(self, member: Member, *, again: bool) -> None:
        """Keep the content of a file that is not wanted, for the links to it that are."""
        base = f".held-{len(self._held) - again}"
        folder, _ = self.place(member.entry.name)
        if again:
            os.unlink(base, dir_fd=folder)
        _create(member, folder, base)
        apply(member.entry, folder, base, by_name=self.by_name)
        self._held[member.entry.name] = folder, base

    def _dress(self, entry: Entry, folder: int, base: str) -> None:
        lack = apply(entry, folder, base, by_name=self.by_name)
        if lack:
            self.lacks(entry.name, lack)

    def _finish_before(self, order: bytes | None) -> None:
        """Give folders that the stream has left their modes and times; writing into them would have changed those."""
        while self._open and (order is None or _is_behind(order, os.fsencode(self._open[-1].name) + b"/")):
            entry = self._open.pop()
            folder, base = self._folder_of(entry.name)
            self._dress(entry, folder, base)

    def _folder_of(self, name: str) -> tuple[int, str]:
        """Descriptor of the folder that a path belongs in, and its name there."""
        top, way = self.place(name)
        key = top, tuple(way[:-1])
        if self._kept is None or self._kept[0] != key:
            start, done = top, 0
            if self._kept is not None:
                (kept_top, kept_way), descriptor = self._kept
                if kept_top == top and key[1][: len(kept_way)] == kept_way:
                    start, done = descriptor, len(kept_way)  # a deep tree is not entered from its top each time
            made: list[int] = []
            descriptor = enter_folder(start, way[done:-1], made)
            self._forget_folder()
            self._kept = key, descriptor
            words = name.split("/")
            for depth in (done + number for number in made):
                above = "/".join(words[: len(words) - (len(way) - 1 - depth)])
                if above:
                    self.scaffold(above)
        return self._kept[1], way[-1]

    def _forget_folder(self) -> None:
        if self._kept is not None:
            os.close(self._kept[1])
            self._kept = None


def _is_behind(order: bytes, inside: bytes) -> bool:
    return order > inside and not order.startswith(inside)


def enter_folder(top: int, way: list[str], made: list[int] | None = None) -> int:
    """Open a folder step by step, through no link.

    :param made: given, missing folders are made, and get their place in the way in this list.
    """
    descriptor = os.dup(top)
    for depth, word in enumerate(way):
        try:
            try:
                below = os.open(word, _FOLDER, dir_fd=descriptor)
            except FileNotFoundError:
                if made is None:
                    raise
                os.mkdir(word, 0o755, dir_fd=descriptor)
                made.append(depth)
                below = os.open(word, _FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def _create(member: Member, folder: int, base: str) -> None:
    entry = member.entry
    if entry.type == "link":
        os.symlink(entry.target, base, dir_fd=folder)
    elif entry.type == "fifo":
        os.mkfifo(base, 0o600, dir_fd=folder)
    else:
        descriptor = os.open(base, _NEW, 0o600, dir_fd=folder)
        try:
            _fill(descriptor, member)
        finally:
            os.close(descriptor)


def _fill(descriptor: int, member: Member) -> None:
    """Write a file's bytes to their places; between them, holes stay holes."""
    places = iter(member.segments)
    offset, left = next(places, (0, 0))
    for block in member.content:
        rest = memoryview(block)
        while rest:
            while left == 0:
                offset, left = next(places)
            written = os.pwrite(descriptor, rest[:left], offset)
            rest, offset, left = rest[written:], offset + written, left - written
    if os.fstat(descriptor).st_size != member.entry.size:
        os.ftruncate(descriptor, member.entry.size)
