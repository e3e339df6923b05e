"""One stream into one part: compress, encrypt, upload, and hash what is stored. Nothing touches the disk.

    stream ──> zstd (two threads) ──4 MiB frames──> AES-256-GCM ──256 KiB──> SHA-512 ──> multipart upload (two threads)

The calling thread reads, encrypts and hashes; zstd, AES and SHA-512 all release the interpreter's lock, so several
parts are stored at once. Memory is three upload buffers of 5 MiB and two frames, whatever the size.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, cast

from include.recovery.catalog.model import Part, PartRole, Volume
from include.recovery.errors import LeaseLost, LifeboatError
from include.recovery.parts.compress import Compressed
from include.recovery.parts.message import encrypting
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.stores.port import ObjectStore

VOLUME_BYTES = 43 * 1024**3
"""Compressed bytes of one volume: 8,800 parts of 5 MiB, below S3's limit of 10,000."""


def store_part(
    stream: BinaryIO,
    store: ObjectStore,
    prefix: str,
    *,
    name: str,
    role: PartRole,
    tables: Sequence[str],
    key: bytes,
    context: Mapping[str, str],
    zstd_level: int = 3,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
    finished: Callable[[], None] | None = None,
    volume_bytes: int = VOLUME_BYTES,
) -> Part:
    """Store everything that a stream gives, as one part in one or more volumes.

    :param stream: read to its end in one thread.
    :param prefix: the backup's place in the store, with a trailing slash.
    :param tables: qualified names of the tables whose rows are in the stream.
    :param zstd_level: level 1 is taken instead where this one does not make the stream smaller.
    :param context: the backup's identity; the part's and volume's names are added for each message.
    :param stop: once set, storing ends with ``LeaseLost`` and nothing new becomes visible.
    :param finished: called at the stream's end and before its last bytes become visible; raises when the stream's
        producer failed, so that half a dump is never stored as a whole one.
    """
    content = _Counted(stream)
    frames = Compressed(content, zstd_level)
    compressed = _Volumes(cast(BinaryIO, frames))
    volumes: list[Volume] = []
    try:
        while compressed.begin(volume_bytes):
            number = len(volumes) + 1
            volumes.append(
                _store_volume(
                    compressed,
                    store,
                    volume_key(prefix, name, number),
                    key,
                    volume_context(context, name, number),
                    tell=lambda stored: progress.add(name, stored, content.taken()),
                    stop=stop or threading.Event(),
                    finished=finished,
                )
            )
    except BaseException:
        # Volumes of a part that failed are debris at once; without this they would wait for the sweep.
        for volume in volumes:
            _forget(store, volume.key)
        raise
    finally:
        frames.close()
    return Part(name=name, role=role, volumes=tuple(volumes), tables=tuple(tables), content_size=content.total)


def volume_key(prefix: str, part: str, number: int) -> str:
    """Where a volume is stored."""
    return f"{prefix}parts/{part}.{number:04d}"


def volume_context(context: Mapping[str, str], part: str, number: int) -> dict[str, str]:
    """The encryption context of a volume: no message can pass for another one."""
    return {**context, "part": part, "volume": str(number)}


def _store_volume(
    compressed: _Volumes,
    store: ObjectStore,
    key: str,
    data_key: bytes,
    context: Mapping[str, str],
    *,
    tell: Callable[[int], None],
    stop: threading.Event,
    finished: Callable[[], None] | None,
) -> Volume:
    digest = hashlib.sha512()
    size = 0
    with store.writer(key) as writer:
        for piece in encrypting(cast(BinaryIO, compressed), data_key, context):
            _check(stop, key)
            digest.update(piece)
            writer.write(piece)
            size += len(piece)
            tell(len(piece))
        if compressed.at_end and finished is not None:
            finished()
        _check(stop, key)
        writer.commit()
    return Volume(key=key, size=size, sha512=digest.hexdigest())


def _check(stop: threading.Event, key: str) -> None:
    if stop.is_set():
        raise LeaseLost(f"stopped storing {key}: this run was told to stop, or another one has taken over")


def _forget(store: ObjectStore, key: str) -> None:
    try:
        for version in list(store.versions(key)):
            store.delete(version.key, version.id)
    except LifeboatError:
        return


class _Counted:
    """A stream that knows how much was read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._readinto = stream.readinto  # type: ignore[attr-defined]  # typeshed: every binary stream of io has it
        self.total = 0
        self._told = 0

    def readinto(self, buffer: memoryview) -> int:
        """Read into a buffer, and count."""
        count = int(self._readinto(buffer) or 0)
        self.total += count
        return count

    def taken(self) -> int:
        """Bytes read since the last call."""
        new, self._told = self.total - self._told, self.total
        return new


class _Volumes:
    """The compressed stream, cut into volumes. A volume ends where its budget or the stream does."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._ahead = b""
        self._left = 0
        self._begun = False
        self.at_end = False

    def begin(self, budget: int) -> bool:
        """Allow so many more bytes; False when the stream has none left (but an empty stream has one volume)."""
        if self._begun and self._look_ahead():
            return False
        self._begun, self._left = True, budget
        return True

    def read(self, size: int = -1) -> bytes:
        """All the bytes asked for, until the volume's end."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._ahead[:wanted]
        self._ahead = self._ahead[wanted:]
        if len(data) < wanted:
            data += self._stream.read(wanted - len(data))
        self._left -= len(data)
        if len(data) < wanted or (self._left == 0 and self._look_ahead()):
            self.at_end = True
        return data

    def _look_ahead(self) -> bool:
        """Whether the stream is at its end."""
        if not self._ahead:
            self._ahead = self._stream.read(1)
        return not self._ahead
