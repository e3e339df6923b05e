"""A tree into a stream; each thing's digest is made from the very bytes that went into it.

A file is looked at before and after it is read. When it changed, it is read again, a few times; a large one is then in
the stream more than once, the last one counting. At the end the whole tree is looked at once more: what came, went or
changed since it was read is named. So a backup that is taken is the tree as it was at one moment.
"""

from __future__ import annotations

import os
import stat as modes
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO

from include.recovery.content.compare import changes, shown
from include.recovery.content.inventory import line_of, read_items
from include.recovery.content.model import Item
from include.recovery.content.port import Sink
from include.recovery.errors import SourceChanged, SourceError
from include.recovery.files.archive import END, header, padding
from include.recovery.files.content import BLOCK, copied, digest_of_bytes, segments_of
from include.recovery.files.entry import Entry, HardLinks, entry_of, flags_of, linked, type_of
from include.recovery.files.paths import Patterns, Skipped
from include.recovery.files.refusals import check_roots, named, refuse_missing, refuse_unreadable
from include.recovery.files.walk import Found, roots_of, walk
from include.recovery.jobs import Stopped
from include.recovery.policy.source_kinds.files import FilesSource

PART = "files"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TRIES = 4
_PAUSE = 0.2
_TICK_NS = 20_000_000
"""A file may change twice within one tick of the clock that files are stamped by; it is read only when that is over."""
Kept = tuple[Entry, str, os.stat_result]
"""What was written of a thing, the digest of its content, and how it looked then."""


@dataclass
class Capture:
    """One backup of some trees.

    :param stop: ends it when set.
    """

    source: FilesSource
    sink: Sink
    stop: threading.Event
    sleep: Callable[[float], None] = time.sleep
    _links: HardLinks = field(default_factory=HardLinks)
    _unreadable: dict[str, str] = field(default_factory=dict)
    _changed: dict[str, str] = field(default_factory=dict)
    _notes: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Take it.

        :raises InsufficientRights: naming everything that cannot be read.
        :raises SourceError: naming what is missing.
        :raises SourceChanged: naming everything that changed meanwhile.
        """
        paths = self.source.paths
        check_roots(paths)
        self._skip = Skipped(paths, self.source.exclude, self.sink.leave_out)
        self._may_change = Patterns(paths, self.source.may_change)
        with tempfile.TemporaryFile() as seen, roots_of(paths) as roots:
            missing = set(paths)
            with self.sink.writing(PART) as out:
                for found in walk(roots, self._trouble, skip=self._skip):
                    self._go_on()
                    missing.discard(found.name)
                    if (stat := self._keep(found, out)) is not None:
                        seen.write(line_of(_state(found.name, stat)))
                refuse_missing(missing)
                refuse_unreadable(self._unreadable)
                out.write(END)
                seen.seek(0)
                self._look_again(read_items(seen, "what was read"))
                self._verdict()
        self._skip.tell()
        for name, note in self._notes.items():
            self.sink.leave_out(f"later states of {shown(name)}", note)

    def _go_on(self) -> None:
        if self.stop.is_set():
            raise Stopped

    def _keep(self, found: Found, out: BinaryIO) -> os.stat_result | None:
        """Write a thing and enter it; how it looked then."""
        try:
            kept = self._entry(found, out)
        except BrokenPipeError:
            raise  # the store's side has ended, and has the reason
        except OSError as error:
            self._trouble(found.name, error)
            return None
        if kept is None:
            return None
        entry, content, stat = kept
        self.sink.item(entry.item(content))
        return stat

    def _entry(self, found: Found, out: BinaryIO) -> Kept | None:
        if type_of(found.stat) is None:
            self.sink.leave_out(shown(found.name), left_out(found.stat))
            return None
        if (known := self._links.known(found.stat)) is not None:
            entry, content = linked(entry_of(found), known[0]), known[1]
            out.write(header(entry))
        elif modes.S_ISREG(found.stat.st_mode):
            return self._file(found, out)
        else:
            entry, content = entry_of(found), ""
            out.write(header(entry))
            if entry.type == "folder":
                with suppress(PermissionError), opened(found, os.O_DIRECTORY) as descriptor:
                    self._tell_flags(found.name, descriptor)
            self._links.keep(found.stat, found.name, content)
        return entry, content, found.stat

    def _file(self, found: Found, out: BinaryIO) -> Kept | None:
        """Read a file until it holds still."""
        may = self._may_change.fitting(found.name)
        for left in reversed(range(_TRIES)):
            try:
                with opened(found) as descriptor:
                    before = self._settled(descriptor)
                    if not modes.S_ISREG(before.st_mode):
                        break
                    entry = entry_of(found, before)
                    read = self._small if before.st_size <= BLOCK else self._large
                    content = read(descriptor, before, entry, out, last=may is not None and left == 0)
                    if content is not None and (may is not None or _same(before, found)):
                        self._links.keep(before, found.name, content)
                        self._tell_flags(found.name, descriptor)
                        return entry, content, before
            except FileNotFoundError:
                if left == 0:
                    raise
            self.sleep(_PAUSE * (_TRIES - left))
        self._changed[found.name] = "changed while it was read"
        return None

    def _tell_flags(self, name: str, descriptor: int) -> None:
        if letters := flags_of(descriptor):
            self.sink.leave_out(f"chattr +{letters} of {shown(name)}", "no archive keeps it; set it after a restore")

    def _settled(self, descriptor: int) -> os.stat_result:
        stat = os.fstat(descriptor)
        if abs(time.time_ns() - stat.st_ctime_ns) < _TICK_NS:
            self.sleep(_TICK_NS / 10**9)
            stat = os.fstat(descriptor)
        return stat

    def _small(
        self, descriptor: int, before: os.stat_result, entry: Entry, out: BinaryIO, *, last: bool
    ) -> str | None:
        """A file of one block: written only when it held still, or on the last of all tries."""
        data = os.pread(descriptor, before.st_size, 0) if before.st_size else b""
        if len(data) != before.st_size or (not last and _stamp(os.fstat(descriptor)) != _stamp(before)):
            return None
        out.write(header(entry, [(0, len(data))] if data else []))
        out.write(data + padding(len(data)))
        return digest_of_bytes(data)

    def _large(
        self, descriptor: int, before: os.stat_result, entry: Entry, out: BinaryIO, *, last: bool
    ) -> str | None:
        """A file of any size, written as it is read."""
        segments = segments_of(descriptor, before)
        out.write(header(entry, segments))
        content = copied(descriptor, before.st_size, segments, out, self._go_on)
        out.write(padding(sum(length for _, length in segments)))
        after = os.fstat(descriptor)
        return content if _stamp(after) == _stamp(before) or (last and after.st_size >= before.st_size) else None

    def _look_again(self, seen: Iterator[Item]) -> None:
        """Name what is not as it was when it was read."""
        with roots_of(self.source.paths) as roots:
            again = walk(roots, self._trouble, skip=Skipped(self.source.paths, self.source.exclude))
            now = (_state(found.name, found.stat) for found in again if type_of(found.stat) is not None)
            for change in changes(seen, now):
                self._go_on()
                how = {"missing": "vanished after it was read", "unexpected": "came while the rest was read"}.get(
                    change.how, "changed after it was read"
                )
                self._change(change.name, how)

    def _trouble(self, name: str, error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            self._change(name, "vanished before it could be read")
        elif isinstance(error, PermissionError):
            self._unreadable[name] = error.strerror or "no permission"
        else:
            raise SourceError(f"{shown(name)} cannot be read: {error.strerror}; look after its disk") from error

    def _change(self, name: str, how: str) -> None:
        may = self._may_change.fitting(name)
        if may is not None:
            self._notes.setdefault(name, f"it {how}, and the policy lets it: {may.why}")
        else:
            self._changed.setdefault(name, how)

    def _verdict(self) -> None:
        refuse_unreadable(self._unreadable)
        if self._changed:
            raise SourceChanged(
                f"while the backup was taken, {named(f'{shown(name)} {how}' for name, how in self._changed.items())}; "
                "no backup of that is right: let its writers hold still (quiesce), or name it in may_change"
            )


@contextmanager
def opened(found: Found, more: int = 0) -> Iterator[int]:
    """A descriptor to read something by, which must be what the walk has found: no link is followed."""
    descriptor = os.open(found.base, _READ | more, dir_fd=found.folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def left_out(stat: os.stat_result) -> str:
    """What a thing is that is not kept, and why."""
    socket = modes.S_ISSOCK(stat.st_mode)
    return f"a {'socket: its program' if socket else 'device: the machine'} makes it anew when it starts"


def _same(before: os.stat_result, found: Found) -> bool:
    """Whether a name still leads to the file that was read, as it was."""
    with suppress(OSError):
        return _stamp(os.stat(found.base, dir_fd=found.folder, follow_symlinks=False)) == _stamp(before)
    return False


def _stamp(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _state(name: str, stat: os.stat_result) -> Item:
    """By what a thing is known not to have changed. A folder's times move when something comes and goes in it."""
    facts: tuple[int, ...] = (stat.st_ino, stat.st_mode, stat.st_uid, stat.st_gid)
    if not modes.S_ISDIR(stat.st_mode):
        facts += (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return Item(name, " ".join(map(str, facts)), stat.st_size if modes.S_ISREG(stat.st_mode) else 0)
