"""A backup being written. It exists from the moment its manifest does, and not before."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from include.recovery.catalog.layout import MANIFEST
from include.recovery.catalog.lease import Lease
from include.recovery.catalog.model import KeyRecord, Manifest, Part, PartRole
from include.recovery.errors import LifeboatError, PartMissing
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.parts.write import store_part
from include.recovery.stores.port import ObjectStore

if TYPE_CHECKING:
    from include.recovery.catalog.catalog import Catalog

_log = logging.getLogger(__name__)


class BackupInProgress:
    """What an engine writes a backup through. Made by ``Catalog.begin``; leaving its ``with`` block without
    ``commit`` removes what was stored.

    :ivar id: of the backup to be.
    :ivar context: its identity, which its key and all its parts are bound to.
    :ivar stop: set when another run has taken over; all writing ends then.
    """

    def __init__(
        self,
        catalog: Catalog,
        identity: dict[str, str],
        *,
        tier: str | None,
        lease: Lease,
        key: bytes,
        key_record: KeyRecord,
        now: Callable[[], datetime],
    ) -> None:
        self.context = identity
        self.id = identity["backup"]
        self.tier = tier
        self.lease = lease
        self.key = key
        self.prefix = "/".join(identity.values()) + "/"
        self._catalog, self._key_record, self._now = catalog, key_record, now
        self._committed = self._ended = False

    @property
    def store(self) -> ObjectStore:
        """Where it is written."""
        return self._catalog.store

    @property
    def stop(self) -> threading.Event:
        """Set when the lease is lost."""
        return self.lease.lost

    def check(self) -> None:
        """Nothing while this run may write.

        :raises LeaseLost: when another run has taken over.
        """
        self.lease.check()

    def store_part(
        self,
        stream: BinaryIO,
        name: str,
        role: PartRole,
        tables: Sequence[str] = (),
        *,
        zstd_level: int = 3,
        finished: Callable[[], None] | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> Part:
        """Store a stream as a part; several threads may store different parts at once.

        :param finished: called at the stream's end, before the part becomes visible; raises when its producer failed.
        :raises LeaseLost: as soon as another run has taken over.
        """
        return store_part(
            stream,
            self.store,
            self.prefix,
            name=name,
            role=role,
            tables=tables,
            key=self.key,
            context=self.context,
            zstd_level=zstd_level,
            progress=progress,
            stop=self.stop,
            finished=finished,
        )

    def commit(self, **fields: Any) -> Manifest:
        """Make the backup exist: its wrapped key, then its manifest, then its row in the index.

        :param fields: the manifest's, but for those that are known here: identity, tier, fence and the end time.
        :raises LeaseLost: when another run has taken over; then nothing counts as a backup.
        :raises PartMissing: when the store does not show every volume at its full size.
        """
        manifest = Manifest(
            system=self.context["system"],
            source=self.context["source"],
            kind=self.context["kind"],
            id=self.id,
            tier=self.tier,
            finished_at=self._now(),
            fence=self.lease.fence,
            **fields,
        )
        self._check_volumes(manifest)
        self.lease.check_fence()
        self._catalog.record(manifest, self.key, self._key_record, before_manifest=self.lease.check_fence)
        self._committed = True
        self._end()
        return manifest

    def abort(self) -> None:
        """Remove what was stored and give the lease up. What cannot be removed now is debris for the sweep."""
        if self._ended:
            return
        try:
            # Uploads clean up after themselves; here are the parts that were complete already. Should there be a
            # manifest (its own write failed half-way), it goes first: nothing may look like a backup meanwhile.
            versions = sorted(self.store.versions(self.prefix), key=lambda version: not version.key.endswith(MANIFEST))
            for version in versions:
                self.store.delete(version.key, version.id)
        except LifeboatError as error:
            _log.warning("backup %s: the sweep will remove what is left: %s", self.prefix, error)
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._committed:
            self.abort()

    def _end(self) -> None:
        self._ended = True
        self.lease.release()

    def _check_volumes(self, manifest: Manifest) -> None:
        stored = {info.key: info.size for info in self.store.list(f"{self.prefix}parts/")}
        for part in manifest.parts:
            for volume in part.volumes:
                if stored.get(volume.key) != volume.size:
                    raise PartMissing(
                        f"backup {self.prefix.rstrip('/')}: {volume.key} was stored with {volume.size} bytes and the "
                        f"store shows {stored.get(volume.key, 'none')}; the backup does not count, run it again"
                    )
