"""A store in a local directory: for copies on the same site, and for tests without a server."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from include.recovery.errors import ObjectMissing, PreconditionFailed, StoreError, StoreUnavailable
from include.recovery.stores.port import ObjectInfo, ObjectStore, ObjectVersion, UnfinishedUpload

_UNFINISHED = ".unfinished"
_ONLY_VERSION = "null"


class FolderStore:
    """Objects as files below a directory. Writes become visible by rename or link, so a reader sees all or nothing.

    :param name: the store's name in the policy.
    :param path: the directory; made when missing.
    """

    def __init__(self, name: str, path: Path | str) -> None:
        self._name = name
        self._root = Path(path)

    @property
    def name(self) -> str:
        """The store's name in the policy."""
        return self._name

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        """Store a small object; with ``if_absent`` exactly one of several concurrent writers succeeds."""
        with self.writer(key) as writer:
            writer.write(data)
            return writer.commit(if_absent=if_absent)

    def get(self, key: str, version: str | None = None) -> tuple[bytes, str]:
        """An object's content and ETag."""
        with self.open(key, version) as stream:
            return stream.read(), _etag(os.fstat(stream.fileno()))

    def head(self, key: str) -> ObjectInfo:
        """Size, time and ETag of one object."""
        with self._answers(key):
            return _info(key, self._path(key).stat())

    def open(self, key: str, version: str | None = None) -> BinaryIO:
        """Stream an object's content."""
        if version not in (None, _ONLY_VERSION):
            raise ObjectMissing(f"{self._where(key)} has no version {version}; a folder keeps only the newest")
        with self._answers(key):
            return cast(BinaryIO, self._path(key).open("rb"))

    def writer(self, key: str) -> FolderWriter:
        """Begin a streaming write into a hidden file."""
        path = self._path(key)
        with self._answers(key):
            return FolderWriter(self, key, path, self._unfinished_folder() / f"{secrets.token_hex(8)}")

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects below a prefix in key order."""
        for key, path in self._files(prefix):
            try:
                yield _info(key, path.stat())
            except FileNotFoundError:
                continue

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """Each object as its only version."""
        for info in self.list(prefix):
            yield ObjectVersion(info.key, _ONLY_VERSION, info.size, info.modified, info.etag, latest=True)

    def delete(self, key: str, version: str | None = None) -> None:
        """Delete an object for good, and the directories that this leaves empty."""
        path = self._path(key)
        with self._answers(key):
            path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self._root:
                break
            try:
                folder.rmdir()
            except OSError:
                break

    def locked_until(self, key: str, version: str) -> datetime | None:
        """None: a folder locks nothing."""
        return None

    def unfinished(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Hidden files that no writer has committed or aborted."""
        for path in sorted(self._unfinished_folder().glob("*")):
            key_file = path / "key"
            try:
                key, started = key_file.read_text(encoding="utf-8"), key_file.stat().st_mtime
            except FileNotFoundError:
                continue
            if key.startswith(prefix):
                yield UnfinishedUpload(key, path.name, datetime.fromtimestamp(started, UTC))

    def abandon(self, upload: UnfinishedUpload) -> None:
        """Remove the hidden file of an unfinished write."""
        shutil.rmtree(self._unfinished_folder() / upload.id, ignore_errors=True)

    def copy_from(self, other: ObjectStore, key: str) -> bool:
        """False: bytes always go through this process."""
        return False

    def _files(self, prefix: str) -> Iterator[tuple[str, Path]]:
        # Walk only the directory that the prefix names, not the whole store.
        start = self._root / prefix.rpartition("/")[0]
        found = []
        for folder, names, files in os.walk(start):
            if _UNFINISHED in names:
                names.remove(_UNFINISHED)
            for file in files:
                path = Path(folder) / file
                key = path.relative_to(self._root).as_posix()
                if key.startswith(prefix):
                    found.append((key, path))
        yield from sorted(found)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if not key or any(part in ("", ".", "..", _UNFINISHED) for part in parts):
            raise StoreError(f"store {self._name}: {key!r} is no object key; use names joined by single slashes")
        return self._root.joinpath(*parts)

    def _unfinished_folder(self) -> Path:
        folder = self._root / _UNFINISHED
        with self._answers(""):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _where(self, key: str) -> str:
        return f"store {self._name}: object {key}"

    @contextmanager
    def _answers(self, key: str) -> Iterator[None]:
        """Errors of the file system as errors of a store."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise ObjectMissing(f"{self._where(key)} does not exist in {self._root}") from error
        except FileExistsError as error:
            raise PreconditionFailed(f"{self._where(key)} exists already and is written only once") from error
        except OSError as error:
            raise StoreUnavailable(f"{self._where(key)}: {error.strerror} ({self._root})") from error


class FolderWriter:
    """A streaming write: into a hidden file, renamed (or linked) to its key at the end."""

    def __init__(self, store: FolderStore, key: str, path: Path, hidden: Path) -> None:
        self._store, self._key, self._path, self._hidden = store, key, path, hidden
        hidden.mkdir(mode=0o700)
        (hidden / "key").write_text(key, encoding="utf-8")
        self._stream = (hidden / "data").open("wb")

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        with self._store._answers(self._key):
            self._stream.write(data)

    def commit(self, *, if_absent: bool = False) -> str:
        """Flush to disk and make the object visible."""
        data = self._hidden / "data"
        with self._store._answers(self._key):
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            etag = _etag(data.stat())
        for attempt in range(3):
            with self._store._answers(self._key):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    if if_absent:
                        os.link(data, self._path)
                    else:
                        data.rename(self._path)
                except FileNotFoundError:
                    # A concurrent delete removed the directory that was just made.
                    if attempt == 2:
                        raise
                    continue
                break
        shutil.rmtree(self._hidden, ignore_errors=True)
        return etag

    def abort(self) -> None:
        """Remove the hidden file."""
        self._stream.close()
        shutil.rmtree(self._hidden, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


def _etag(stat: os.stat_result) -> str:
    """Changes with every write, because each write makes a new file."""
    return f"{stat.st_ino:x}-{stat.st_mtime_ns:x}-{stat.st_size:x}"


def _info(key: str, stat: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC), _etag(stat))
