"""The port between Lifeboat and the places where backups live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import BinaryIO, Protocol, Self


@dataclass(frozen=True)
class ObjectInfo:
    """One stored object, as a listing shows it.

    :param size: bytes.
    :param modified: when it was stored, UTC.
    :param etag: opaque; changes with the content.
    """

    key: str
    size: int
    modified: datetime
    etag: str


@dataclass(frozen=True)
class ObjectVersion:
    """One version of an object, or a delete marker that hides the versions before it.

    A store without versions shows each object as its only version.

    :param id: opaque; names the version to ``get``, ``open`` and ``delete``.
    :param latest: whether plain reads see this version (or, for a marker, see nothing because of it).
    :param marker: whether this is what a plain delete left behind.
    """

    key: str
    id: str
    size: int
    modified: datetime
    etag: str
    latest: bool
    marker: bool = False


@dataclass(frozen=True)
class UnfinishedUpload:
    """A streaming upload that was begun and neither committed nor aborted: debris of a killed writer.

    :param started: when it was begun, UTC.
    """

    key: str
    id: str
    started: datetime


class ObjectWriter(Protocol):
    """A streaming upload. Nothing exists under the key until ``commit`` returns. Leaving it uncommitted aborts it."""

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes; blocks while the upload window is full."""
        ...

    def commit(self) -> str:
        """Finish, and return the object's ETag."""
        ...

    def abort(self) -> None:
        """Throw away what was uploaded. Safe to call twice, after a commit (no effect) and after a failure."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ObjectStore(Protocol):
    """Objects by key in one bucket (or folder). All methods raise only errors of ``include.recovery.errors``.

    ``StoreUnavailable`` for network trouble and server errors, ``ObjectMissing`` when there is no such object,
    ``PreconditionFailed`` when another writer was first, ``ObjectLocked`` when a version must not be deleted yet,
    ``StoreError`` for every other refusal.
    """

    @property
    def name(self) -> str:
        """The store's name in the policy, such as ``primary``."""
        ...

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        """Store a small object whole and return its ETag.

        :param if_absent: of all writers that ask for this, exactly the first succeeds; the others get
            ``PreconditionFailed``. An object that was plainly deleted from a versioned bucket still counts as written.
        """
        ...

    def get(self, key: str, version: str | None = None) -> tuple[bytes, str]:
        """A small object's content and ETag; the current version unless one is named."""
        ...

    def head(self, key: str) -> ObjectInfo:
        """Size, time and ETag of one object."""
        ...

    def open(self, key: str, version: str | None = None) -> BinaryIO:
        """Stream an object's content; the caller closes it."""
        ...

    def writer(self, key: str) -> ObjectWriter:
        """Begin a streaming upload."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Current objects below a prefix in key order, a page at a time."""
        ...

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """All versions and delete markers below a prefix, in key order.

        Within a key the versions come newest first, and so do the markers; a marker that hides all of them leads.
        """
        ...

    def delete(self, key: str, version: str | None = None) -> None:
        """Delete the current version (on a versioned bucket this leaves a marker), or one version for good.

        Deleting what is not there is no error.
        """
        ...

    def locked_until(self, key: str, version: str) -> datetime | None:
        """Until when object lock keeps a version; None when it does not, ``datetime.max`` (UTC) under a legal hold."""
        ...

    def unfinished(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Streaming uploads below a prefix that are neither committed nor aborted, also of other processes."""
        ...

    def abandon(self, upload: UnfinishedUpload) -> None:
        """Throw an unfinished upload's bytes away. No error when it is gone already."""
        ...

    def copy_from(self, other: ObjectStore, key: str) -> bool:
        """Copy an object from another store without moving its bytes through this process.

        :return: False when the two stores do not share a service; then nothing was done, and the caller must stream.
        """
        ...
