"""What a kind writes a backup through, and reads it through."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from types import TracebackType
from typing import BinaryIO, Self

from include.recovery.catalog.in_progress import BackupInProgress
from include.recovery.catalog.model import CompleteBackup, LeftOut, Manifest, Part
from include.recovery.content.compare import shown
from include.recovery.content.inventory import PART, Tally, read_items
from include.recovery.content.model import Item
from include.recovery.errors import BackupCorrupt, LifeboatError, ManifestInvalid
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.parts.read import open_part
from include.recovery.processes import PIPE_BYTES
from include.recovery.stores.port import ObjectStore


class PartSink:
    """See ``Sink``. Use it as a context manager: the inventory is stored when the block ends well."""

    def __init__(self, backup: BackupInProgress, *, zstd_level: int = 3, progress: Progress = NO_PROGRESS) -> None:
        self._backup, self._level, self._progress = backup, zstd_level, progress
        self._parts: list[Part] = []
        self._left_out: list[LeftOut] = []
        self._lock = threading.Lock()
        self._open = ExitStack()
        self.tally = Tally()

    @property
    def parts(self) -> tuple[Part, ...]:
        """Those that are stored, in the order of their names."""
        return tuple(sorted(self._parts, key=lambda part: part.name))

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What was."""
        return tuple(self._left_out)

    def store(self, stream: BinaryIO, name: str, *, finished: Callable[[], None] | None = None) -> None:
        """See ``Sink``."""
        part = self._backup.store_part(
            stream, name, "inventory" if name == PART else "data", zstd_level=self._level, finished=finished,
            progress=self._progress,
        )
        with self._lock:
            self._parts.append(part)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """See ``Sink``."""
        ends = os.pipe()
        with suppress(OSError):  # a user's share of pipe buffers may be used up; then the pipe is slower
            fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        whole = threading.Event()

        def finished() -> None:
            if not whole.is_set():
                raise LifeboatError(f"what was to be part {name} ended early")

        def read() -> None:
            # Closing its end on a failure makes the writer fail too, instead of waiting for ever.
            with os.fdopen(ends[0], "rb") as stream:
                self.store(stream, name, finished=finished)

        with ThreadPoolExecutor(1, thread_name_prefix=f"part-{name}") as pool:
            storing: Future[None] = pool.submit(read)
            try:
                with os.fdopen(ends[1], "wb", buffering=1024 * 1024) as stream:
                    yield stream
                    stream.flush()
                    whole.set()
            except Exception as error:
                if _by_broken_pipe(error):
                    storing.result()  # why the other side closed is what went wrong
                raise
            storing.result()

    def item(self, item: Item) -> None:
        """See ``Sink``."""
        self._inventory.write(self.tally.add(item))

    def leave_out(self, what: str, why: str) -> None:
        """See ``Sink``."""
        self._left_out.append(LeftOut(what=shown(what), why=why))

    def __enter__(self) -> Self:
        self._inventory = self._open.enter_context(self.writing(PART))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._open.__exit__(kind, error, trace)


def _by_broken_pipe(error: BaseException | None) -> bool:
    """Whether an error is a broken pipe, or came of one: a kind may have said it in words of its own."""
    while error is not None and not isinstance(error, BrokenPipeError):
        error = error.__cause__ or error.__context__
    return error is not None


class StoredParts:
    """See ``Stored``.

    :ivar fetched: stored bytes of the parts that were opened.
    """

    def __init__(
        self, backup: CompleteBackup, store: ObjectStore, key: bytes, progress: Progress = NO_PROGRESS
    ) -> None:
        self.backup, self._store, self._key, self._progress = backup, store, key, progress
        self.fetched = 0

    @property
    def manifest(self) -> Manifest:
        """See ``Stored``."""
        return self.backup.manifest

    @contextmanager
    def open(self, part: str) -> Iterator[BinaryIO]:
        """See ``Stored``."""
        found = next((each for each in self.manifest.parts if each.name == part), None)
        if found is None:
            known = ", ".join(each.name for each in self.manifest.parts)
            raise ManifestInvalid(f"backup {self.manifest.name} has no part {part!r}; it has {known}")
        self.fetched += sum(volume.size for volume in found.volumes)
        with closing(
            open_part(self._store, found, self._key, self.manifest.context, progress=self._progress)
        ) as stream:
            yield stream

    def items(self) -> Iterator[Item]:
        """See ``Stored``; at the end, it is checked against the manifest's fingerprint."""
        tally = Tally()
        with self.open(PART) as stream:
            for item in read_items(stream, self.manifest.name):
                tally.add(item)
                yield item
        content = self.manifest.content
        if content is None or tally.fingerprint().sha512 != content.sha512:
            raise BackupCorrupt(f"backup {self.manifest.name}: its inventory is not the one that its manifest names")
