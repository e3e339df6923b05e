"""The port between Lifeboat and the places where backups live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol


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


class ObjectWriter(Protocol):
    """A streaming upload. Nothing exists under the key until ``commit`` returns."""

    def write(self, data: bytes) -> None:
        """Take the next bytes; blocks while the upload window is full."""
        ...

    def commit(self) -> str:
        """Finish, and return the object's ETag."""
        ...

    def abort(self) -> None:
        """Throw away what was uploaded. Safe to call twice and after a failure."""
        ...


class ObjectStore(Protocol):
    """Objects by key in one bucket (or folder). All methods raise only errors of ``include.recovery.errors``.

    ``StoreUnavailable`` for network trouble and 5xx, ``ObjectMissing`` for 404, ``PreconditionFailed`` for 412.
    """

    @property
    def name(self) -> str:
        """The store's name in the policy, such as ``primary``."""
        ...

    def put(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """Store a small object whole and return its ETag.

        :param if_absent: refuse with ``PreconditionFailed`` when the key exists.
        :param if_match: refuse with ``PreconditionFailed`` unless the stored ETag is this one.
        """
        ...

    def get(self, key: str) -> tuple[bytes, str]:
        """A small object's content and ETag."""
        ...

    def head(self, key: str) -> ObjectInfo:
        """Size, time and ETag of one object."""
        ...

    def open(self, key: str) -> BinaryIO:
        """Stream an object's content; the caller closes it."""
        ...

    def writer(self, key: str) -> ObjectWriter:
        """Begin a streaming (multipart) upload."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Current objects below a prefix in key order, a page at a time."""
        ...

    def delete(self, key: str) -> None:
        """Delete the current version; on a versioned bucket this leaves a marker."""
        ...
