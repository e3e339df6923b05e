"""One version on its way to the replica: sent once, read again there, compared."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from contextlib import closing

from include.recovery.errors import BackupCorrupt, ObjectMissing, SourceError
from include.recovery.objects.bucket import Bucket
from include.recovery.objects.digest import OWN, Damaged, measured
from include.recovery.objects.listing import Version
from include.recovery.parts.progress import Progress

_log = logging.getLogger(__name__)

VERSION, MODIFIED = f"{OWN}version", f"{OWN}modified"
"""Metadata of a copy: which version it is of. Only to find it again; what it holds is always read."""


class Replicator:
    """Brings versions from a bucket to its replica. Several threads may do so at once."""

    def __init__(self, here: Bucket, there: Bucket, progress: Progress) -> None:
        self.here, self.there, self._progress = here, there, progress

    def bring(self, version: Version, copies: Sequence[Version], expected: str = "") -> tuple[str, str]:
        """Have the replica hold a version.

        :param copies: what the replica has of the key and is no copy of another version, as far as is known.
        :param expected: the digest that the version had when it was read before.
        :return: its digest, and the id of its copy.
        :raises ObjectMissing: when the version is gone from the bucket.
        :raises BackupCorrupt: when the bucket no longer holds what it held, or the replica does not keep what it gets.
        """
        arrived = self._arrived(version, copies)
        if arrived is not None:
            digest = self._read(self.here, version.key, version.id)
            self._refuse_changed(version, digest, expected)
            if self._read(self.there, version.key, arrived) == digest:
                return digest, arrived
            _log.warning("%r: copy %s is damaged; sending it again", version.key, arrived)
        for last in (False, True):
            digest, copy = self._send(version, expected)
            if self._read(self.there, version.key, copy) == digest:
                self._progress.add("replica", version.size, version.size)
                return digest, copy
            if last:
                break
            _log.warning("%r: copy %s is damaged as soon as it is written; sending it again", version.key, copy)
        raise BackupCorrupt(
            f"replica {self.there.bucket}: version {version.id} of {version.key!r} was written twice and reads "
            "different each time; look at the health of that service"
        )

    def _send(self, version: Version, expected: str) -> tuple[str, str]:
        attributes, stream = self.here.fetch(version.key, version.id)
        own = {VERSION: version.id, MODIFIED: str(version.modified)}
        with closing(stream):
            try:
                copy, digest = self.there.store(
                    version.key, stream, version.size, attributes, own=own, expected=expected
                )
            except Damaged:
                self._refuse_changed(version, "", expected)
                raise
            except SourceError as error:
                raise SourceError(f"version {version.id} of {version.key!r} cannot be copied: {error}") from error
        return digest, copy

    def _arrived(self, version: Version, copies: Sequence[Version]) -> str | None:
        """The copy that an earlier run has sent and no backup knows, or that the services' own replication made."""
        of_size = [copy for copy in copies if not copy.marker and copy.size == version.size]
        if any(copy.id == version.id != "null" for copy in of_size):
            return version.id
        for copy in of_size:
            told = self.there.about(version.key, copy.id).get("Metadata", {})
            if told.get(VERSION) == version.id and told.get(MODIFIED) == str(version.modified):
                return copy.id
        return None

    def _read(self, bucket: Bucket, key: str, version: str) -> str:
        attributes, stream = bucket.fetch(key, version)
        with closing(stream):
            return measured(stream, attributes)

    def _refuse_changed(self, version: Version, digest: str, expected: str) -> None:
        if expected and digest != expected:
            raise BackupCorrupt(
                f"bucket {self.here.bucket}: version {version.id} of {version.key!r} no longer holds what it held, and "
                "the replica has lost its copy; restore that key from an older backup's copy, or delete the version"
            )


def unclaimed(copies: Sequence[Version], claimed: Collection[str]) -> list[Version]:
    """Those that are no copy of a known version."""
    return [copy for copy in copies if copy.id not in claimed]


def brought_or_gone(
    replicator: Replicator, version: Version, copies: Sequence[Version], expected: str
) -> tuple[str, str] | None:
    """As ``Replicator.bring``; None when the version went away for good in the meantime."""
    try:
        return replicator.bring(version, copies, expected)
    except ObjectMissing:
        try:
            replicator.here.about(version.key, version.id)
        except ObjectMissing:
            return None
        raise
