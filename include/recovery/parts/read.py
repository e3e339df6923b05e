"""A part back into its content, every byte authenticated before it is released; and the check of what is stored."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, cast

import zstandard

from include.recovery.catalog.model import Part
from include.recovery.errors import BackupCorrupt, ObjectMissing, PartDamaged, PartMissing, WrongKey
from include.recovery.parts.message import Decrypting, NotDecryptable
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.parts.write import volume_context
from include.recovery.stores.port import ObjectStore

_BLOCK = 1024 * 1024


def open_part(
    store: ObjectStore,
    part: Part,
    key: bytes,
    context: Mapping[str, str],
    *,
    progress: Progress = NO_PROGRESS,
) -> BinaryIO:
    """Stream a part's content: fetched, decrypted and decompressed as it is read; flat memory.

    What is read is genuine, frame by frame. That nothing is missing at the end, and that the stored bytes have the
    manifest's SHA-512, is known only when ``read`` returns empty: a consumer must read to the end and heed its errors.

    :param context: the backup's identity (``manifest.context``).
    :raises PartMissing, PartDamaged, WrongKey: from ``read``.
    """
    return cast(BinaryIO, io.BufferedReader(_PartReader(store, part, key, context, progress), _BLOCK))


def check_part(store: ObjectStore, part: Part, *, progress: Progress = NO_PROGRESS) -> int:
    """Read a part's stored bytes and compare size and SHA-512 with the manifest. No key needed.

    :return: the bytes read.
    :raises PartMissing, PartDamaged: on the first volume that is not what was written.
    """
    return sum(check_volume(store, part, number, progress=progress) for number in range(1, len(part.volumes) + 1))


def check_volume(store: ObjectStore, part: Part, number: int, *, progress: Progress = NO_PROGRESS) -> int:
    """``check_part`` for one volume; the first is number 1."""
    with _Stored(store, part, number) as stored:
        while block := stored.read(_BLOCK):
            progress.add(part.name, len(block), 0)
        stored.verify()
    return stored.size


def open_behind_marker(store: ObjectStore, part: Part, number: int) -> BinaryIO:
    """Open a volume's stored bytes; when a plain delete has hidden them, their newest version.

    :raises PartMissing: when there is no version either.
    """
    key = part.volumes[number - 1].key
    try:
        return store.open(key)
    except ObjectMissing as missing:
        for version in store.versions(key):
            if version.key == key and not version.marker:
                return store.open(key, version.id)
        raise PartMissing(
            f"{_where(store, part, number)} is missing: the manifest names it and the store does not have it; "
            "restore from another store or recovery point"
        ) from missing


class _PartReader(io.RawIOBase):
    """The raw stream below ``open_part``."""

    def __init__(
        self, store: ObjectStore, part: Part, key: bytes, context: Mapping[str, str], progress: Progress
    ) -> None:
        self._store, self._part, self._key, self._context, self._progress = store, part, key, context, progress
        self._frames = _Frames(self._decrypted())
        self._content: Any = zstandard.ZstdDecompressor().stream_reader(
            cast(BinaryIO, self._frames),
            read_size=zstandard.DECOMPRESSION_RECOMMENDED_INPUT_SIZE,
            read_across_frames=True,
        )
        self._size = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with content."""
        try:
            count = int(self._content.readinto(buffer))
        except zstandard.ZstdError as error:
            raise PartDamaged(f"{self._name()} decrypts, but does not decompress: {error}") from error
        if count == 0 and len(buffer) > 0:
            # zstd is done; the messages may not be. Their ends and digests are checked on the way out.
            while self._frames.read(_BLOCK):
                pass
            if self._size != self._part.content_size:
                raise PartDamaged(
                    f"{self._name()} has {self._size} bytes of content; the manifest says {self._part.content_size}"
                )
        self._size += count
        self._progress.add(self._part.name, 0, count)
        return count

    def close(self) -> None:
        """Give the connection up."""
        self._frames.close()
        super().close()

    def _name(self) -> str:
        return _where(self._store, self._part, len(self._part.volumes))

    def _decrypted(self) -> Iterator[bytes]:
        """The compressed stream, a frame at a time, through all volumes."""
        for number in range(1, len(self._part.volumes) + 1):
            context = volume_context(self._context, self._part.name, number)
            with _Stored(self._store, self._part, number) as stored:
                message = Decrypting(cast(BinaryIO, stored), self._key, context)
                read_before = 0
                try:
                    while frame := message.read():
                        self._progress.add(self._part.name, stored.size - read_before, 0)
                        read_before = stored.size
                        yield frame
                except NotDecryptable as error:
                    raise _verdict(stored, error) from error
                stored.verify()


class _Stored:
    """A volume's stored bytes, hashed as they pass."""

    def __init__(self, store: ObjectStore, part: Part, number: int) -> None:
        self._volume = part.volumes[number - 1]
        self.where = _where(store, part, number)
        self._digest = hashlib.sha512()
        self.size = 0
        self._stream = open_behind_marker(store, part, number)

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._digest.update(data)
        self.size += len(data)
        return data

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> _Stored:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def verify(self) -> None:
        """Read what is left, and compare.

        :raises PartDamaged: when size or SHA-512 differ from the manifest.
        """
        while self.read(_BLOCK):
            pass
        if self.size != self._volume.size:
            raise PartDamaged(
                f"{self.where} has {self.size} bytes; {self._volume.size} were written: "
                "this copy is damaged, restore from another store or recovery point"
            )
        if self._digest.hexdigest() != self._volume.sha512:
            raise PartDamaged(
                f"{self.where} does not have the SHA-512 that was written: "
                "this copy is damaged, restore from another store or recovery point"
            )


class _Frames:
    """An iterator of frames as a readable stream."""

    def __init__(self, frames: Iterator[bytes]) -> None:
        self._frames = frames
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = memoryview(next(self._frames, b""))
        data = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(data) :]
        return bytes(data)

    def close(self) -> None:
        close = getattr(self._frames, "close", None)
        if close is not None:
            close()


def _verdict(stored: _Stored, error: NotDecryptable) -> BackupCorrupt | WrongKey:
    """Why a message does not decrypt: the stored bytes tell damage from a wrong key."""
    try:
        stored.verify()
    except PartDamaged as damage:
        return damage
    if "it is the message of" in str(error):
        return PartDamaged(f"{stored.where} holds something else: {error}")
    return WrongKey(
        f"{stored.where} is stored as it was written, but this key does not open it; "
        "give the key that the backup was made with"
    )


def _where(store: ObjectStore, part: Part, number: int) -> str:
    backup = part.volumes[number - 1].key.rpartition("/parts/")[0]
    return f"backup {backup} in store {store.name}: part {part.name}, volume {number} of {len(part.volumes)}"
