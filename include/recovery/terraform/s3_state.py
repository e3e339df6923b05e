"""A state in a bucket with versions, as Terraform's backend ``s3`` keeps it with ``use_lockfile``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from include.recovery.errors import ObjectMissing, PreconditionFailed, SourceError, StoreError
from include.recovery.stores.port import ObjectVersion
from include.recovery.stores.s3 import S3Store
from include.recovery.terraform.backend import Held, LockedError, lock_info
from include.recovery.terraform.document import MOST


class S3State:
    """See ``backend.Backend``.

    :param store: the bucket.
    """

    def __init__(self, store: S3Store, key: str) -> None:
        self._store, self._key, self._lock = store, key, f"{key}.tflock"

    @property
    def where(self) -> str:
        """For messages."""
        return f"Terraform state s3://{self._store.bucket}/{self._key}"

    def check(self) -> str:
        """Whether it is there, in a bucket that keeps versions."""
        self._must_keep_versions()
        newest = self._newest(self._key)
        if newest is None:
            raise SourceError(f"{self.where} does not exist; see 'key' in the policy")
        return f"an object of {newest.size} bytes in a bucket with versions"

    def read(self) -> bytes:
        """One version of the state, with no lock before or after."""
        self._must_be_free()
        newest = self._newest(self._key)
        if newest is None:
            raise SourceError(f"{self.where} does not exist; see 'key' in the policy, and what deleted it")
        data = self._get(newest)
        self._must_be_free()
        again = self._newest(self._key)
        if again is None or again.id != newest.id:
            raise LockedError(Held(operation="a write that has just happened"))
        return data

    @contextmanager
    def locked(self, now: datetime) -> Iterator[None]:
        """Hold Terraform's lock file."""
        self._must_keep_versions()
        mine = self._take(lock_info(f"{self._store.bucket}/{self._key}", now))
        try:
            yield
        finally:
            holder = self._newest(self._lock)
            if holder is not None and holder.id == mine:
                self._store.delete(self._lock)

    def current(self) -> bytes | None:
        """The newest version's content."""
        newest = self._newest(self._key)
        return None if newest is None else self._get(newest)

    def keep_aside(self, now: datetime) -> str:
        """The present version stays below the one that is written."""
        newest = self._newest(self._key)
        return "nothing: there was no state" if newest is None else f"{self.where} version {newest.id}"

    def write(self, data: bytes) -> None:
        """A new version."""
        self._store.put(self._key, data)
        found = self.current()
        if found != data:
            raise StoreError(f"{self.where}: what was written is not what is read back; see its newest versions")

    def _take(self, note: bytes) -> str:
        """Write the lock file unless there is one, and see that ours came first.

        Some services (Ceph's radosgw) do not heed If-None-Match in a bucket with versions, so the versions are asked.
        """
        before = {version.id for version in self._versions(self._lock)}
        self._must_be_free()
        try:
            with self._store.answers(self._lock):
                answer = self._store.client.put_object(
                    Bucket=self._store.bucket, Key=self._lock, Body=note, IfNoneMatch="*"
                )
        except PreconditionFailed:
            self._must_be_free()
            raise LockedError(Held()) from None
        mine = answer["VersionId"]
        later = [version for version in self._versions(self._lock) if version.id not in before]
        first = next((version for version in reversed(later) if not version.marker), None)  # they come newest first
        if first is None or first.id != mine or any(version.marker for version in later):
            self._store.delete(self._lock, mine)
            raise LockedError(Held() if first is None or first.id == mine else Held.from_info(self._get(first)))
        return mine

    def _must_be_free(self) -> None:
        holder = self._newest(self._lock)
        if holder is not None:
            try:
                raise LockedError(Held.from_info(self._get(holder)))
            except ObjectMissing:
                return

    def _must_keep_versions(self) -> None:
        with self._store.answers(self._key):
            status = self._store.client.get_bucket_versioning(Bucket=self._store.bucket).get("Status", "off")
        if status != "Enabled":
            raise SourceError(
                f"{self.where}: the bucket keeps no versions (versioning is {status}), so a state that is overwritten "
                "is lost; switch versioning on"
            )

    def _versions(self, key: str) -> Iterator[ObjectVersion]:
        return (version for version in self._store.versions(key) if version.key == key)

    def _newest(self, key: str) -> ObjectVersion | None:
        newest = next(self._versions(key), None)
        return None if newest is None or newest.marker else newest

    def _get(self, version: ObjectVersion) -> bytes:
        if version.size > MOST:
            raise SourceError(f"{self.where} has {version.size} bytes; at most {MOST} are read")
        return self._store.get(version.key, version.id)[0]
