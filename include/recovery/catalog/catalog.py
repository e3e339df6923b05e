"""The catalog of one store: every list, picker, retention decision and dashboard reads it through here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from pydantic import ValidationError

from include.recovery.catalog import manifests
from include.recovery.catalog.in_progress import BackupInProgress
from include.recovery.catalog.index import Debris, Entry, Going, Index, IndexObject
from include.recovery.catalog.layout import MANIFEST, new_id, source_prefix, timed_key
from include.recovery.catalog.lease import DEFAULT_TTL, Clock, Lease, Owner, utc_now
from include.recovery.catalog.model import Backup, CompleteBackup, Facts, KeyRecord, Manifest, Proof, Summary, identity
from include.recovery.catalog.picker import choose
from include.recovery.catalog.rebuild import entry_of, index_of, proofs_of, refuse_edited
from include.recovery.catalog.removal import Removed, Remover
from include.recovery.catalog.sweep import sweep
from include.recovery.errors import (
    BackupNotFound,
    KeyUnavailable,
    LifeboatError,
    ObjectMissing,
    WrongKey,
)
from include.recovery.keys.envelope import Keyring
from include.recovery.stores.port import ObjectStore

_log = logging.getLogger(__name__)


class Catalog:
    """What a store holds, and what has been proven about it.

    :param now: the clock of leases and records.
    """

    def __init__(self, store: ObjectStore, *, now: Clock = utc_now) -> None:
        self.store = store
        self._now = now
        self._index = IndexObject(store, lambda: index_of(store))

    # -- looking up

    def backups(self, system: str | None = None, source: str | None = None, kind: str | None = None) -> list[Backup]:
        """Backups with their proofs, newest last; light rows from the index, whatever their number."""
        rows = [
            Backup(manifest=entry.summary, proofs=entry.proofs, store=self.store.name)
            for entry in self._index.read().listed.values()
            if system in (None, entry.summary.system)
            and source in (None, entry.summary.source)
            and kind in (None, entry.summary.kind)
        ]
        return sorted(rows, key=lambda row: (row.manifest.snapshot_at, row.manifest.id))

    def backup(self, system: str, source: str, kind: str, backup_id: str) -> CompleteBackup:
        """One backup with its whole manifest.

        :raises BackupNotFound: when the store has none of that identity.
        :raises ManifestInvalid: when its manifest is unreadable, or not the one that the index and the proofs know.
        """
        prefix = source_prefix(system, source, kind) + backup_id + "/"
        try:
            data = manifests.fetch(self.store, prefix)
        except ObjectMissing as error:
            raise BackupNotFound(
                f"store {self.store.name} has no backup {prefix.rstrip('/')}; list what there is with: "
                f"lifeboat list {system}"
            ) from error
        manifest = manifests.parsed(data, prefix)
        entry = self._index.read().backups.get(prefix)
        if entry is None:
            # A run that died between its manifest and its row; or a copy of the index that lags behind.
            entry = entry_of(self.store, prefix, data, self._proof_keys(prefix))
            self._enter(prefix, entry)
        refuse_edited(prefix, manifests.digest(data), entry)
        return CompleteBackup(manifest=manifest, proofs=entry.proofs, store=self.store.name)

    def complete(self, backup: Backup) -> CompleteBackup:
        """A row of the listing with its whole manifest."""
        facts = backup.manifest
        return self.backup(facts.system, facts.source, facts.kind, facts.id)

    def newest(self, system: str, source: str, kind: str | None = None) -> CompleteBackup:
        """The newest backup that is not damaged.

        :raises BackupNotFound: when there is none.
        """
        return self.pick(system, source, kind, "newest")

    def pick(self, system: str, source: str, kind: str | None = None, wish: str = "newest") -> CompleteBackup:
        """The backup that a wish names (``picker.py``), with its whole manifest.

        :raises BackupNotFound: when none fits, saying which were skipped and why.
        """
        choice = choose(self.backups(system, source, kind), wish, self._now(), what=f"{system}/{source}")
        for reason in choice.skipped:
            _log.warning("skipped %s", reason)
        return self.complete(choice.backup)

    def problems(self) -> dict[str, str]:
        """Backups whose manifest cannot be used, by name, with the reason."""
        return {prefix.rstrip("/"): why for prefix, why in self._index.read().invalid.items()}

    def debris(self) -> dict[str, Debris]:
        """What killed runs left behind and object lock keeps, by prefix."""
        return dict(self._index.read().debris)

    def going(self, below: str = "") -> dict[str, Going]:
        """Backups that retention has let go and of which something is still there, by prefix.

        :param below: only those of a system, such as ``labdojo/``, or of a source, such as ``labdojo/main-db/``.
        """
        return {prefix: mark for prefix, mark in self._index.read().going.items() if prefix.startswith(below)}

    # -- writing

    def begin(
        self,
        system: str,
        source: str,
        kind: str,
        *,
        tier: str | None = None,
        owner: Owner,
        keyring: Keyring,
        ttl: timedelta = DEFAULT_TTL,
    ) -> BackupInProgress:
        """Take the lease and make a key for a new backup.

        :raises LeaseHeld: when another run writes the same backup.
        :raises KeyUnavailable: when the key cannot be wrapped; then there is no backup to lose later.
        """
        now = self._now()
        place = source_prefix(system, source, kind)
        backup_id = new_id(now)
        context = identity(system, source, kind, backup_id)
        lease = Lease.acquire(
            self.store,
            f"{place}leases/{tier or 'by-hand'}/",
            owner,
            writing=f"{place}{backup_id}/",
            ttl=ttl,
            now=self._now,
        )
        try:
            key, record = keyring.new_key(context)
        except BaseException:
            lease.release()
            raise
        return BackupInProgress(self, context, tier=tier, lease=lease, key=key, key_record=record, now=self._now)

    def record(
        self,
        manifest: Manifest,
        key: bytes,
        key_record: KeyRecord,
        *,
        before_manifest: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a backup exist: wrapped key, manifest, row in the index, in this order.

        :param before_manifest: called at the last moment; raises when the backup must not exist.
        """
        self.append_key(manifest, key_record)
        data = manifests.sealed(manifest, key)
        before_manifest()
        self.store.put(manifest.prefix + MANIFEST, data, if_absent=True)
        self._enter(manifest.prefix, Entry(summary=manifest.summary(), manifest_sha512=manifests.digest(data)))

    def append_proof(self, manifest: Facts, proof: Proof) -> Proof:
        """Keep what was proven about a backup.

        :return: the proof as it was stored, with the manifest's digest.
        """
        prefix = manifest.prefix
        entry = self._index.read().backups.get(prefix)
        known = entry is not None
        if entry is None:
            data = manifests.fetch(self.store, prefix)
            entry = entry_of(self.store, prefix, data, self._proof_keys(prefix))
        if proof.manifest_sha512 is None:
            proof = proof.model_copy(update={"manifest_sha512": entry.manifest_sha512})
        key = timed_key(f"{prefix}proofs/", proof.at)
        self.store.put(key, proof.model_dump_json(indent=1).encode(), if_absent=True)
        self._enter(prefix, entry.with_proofs((proof,)), known=known)
        return proof

    def proofs(self, manifest: Facts) -> list[Proof]:
        """All proofs of a backup in full, oldest first, from their own objects."""
        return proofs_of(self.store, self._proof_keys(manifest.prefix))

    def remove(
        self,
        backup: Facts,
        *,
        why: str,
        by: str,
        deleter: ObjectStore | None = None,
        first: Callable[[], object] | None = None,
    ) -> Removed:
        """Take a backup out of the store, manifest first; ``removal.py`` says how, and what object lock changes.

        :param why: the reason, for the record that stays.
        :param deleter: the same store with credentials that may delete versions; None: these may.
        :param first: removes what of the backup is elsewhere.
        :raises ObjectLocked: when nothing locks it, and still the store refuses.
        :raises StoreUnavailable: perhaps in the middle; ``Remover.resume`` goes on.
        """
        summary = backup.summary() if isinstance(backup, Manifest) else Summary.model_validate(backup.model_dump())
        return self.remover(deleter).remove(summary, why=why, by=by, first=first)

    def remover(self, deleter: ObjectStore | None = None) -> Remover:
        """What removes backups from this store, and goes on with what was interrupted."""
        return Remover(self.store, deleter or self.store, self._index.update, self._now)

    # -- keys

    def append_key(self, manifest: Facts, record: KeyRecord) -> None:
        """Keep one more wrapped form of a backup's key; the newest is the one that counts."""
        key = timed_key(f"{manifest.prefix}keys/", record.created_at)
        self.store.put(key, record.model_dump_json(indent=1).encode(), if_absent=True)

    def key_record(self, manifest: Facts) -> KeyRecord:
        """The newest wrapped form of a backup's key.

        :raises KeyUnavailable: when there is none, or it cannot be read.
        :raises WrongKey: when it is another backup's.
        """
        keys = sorted({v.key for v in self.store.versions(f"{manifest.prefix}keys/") if not v.marker})
        if not keys:
            raise KeyUnavailable(
                f"backup {manifest.name} in store {self.store.name} has no wrapped key below keys/; "
                "copy that folder from another store"
            )
        try:
            record = KeyRecord.model_validate_json(manifests.read_behind_marker(self.store, keys[-1]))
        except ValidationError as error:
            raise KeyUnavailable(
                f"{keys[-1]} in store {self.store.name} is not a key record; copy it from another store"
            ) from error
        if record.context != manifest.context:
            raise WrongKey(
                f"{keys[-1]} in store {self.store.name} is the key of backup {'/'.join(record.context.values())}; "
                "copy the right one from another store"
            )
        return record

    def key(self, manifest: Facts, keyring: Keyring) -> bytes:
        """A backup's own key; with it in hand, the manifest's seal is checked.

        :raises KeyUnavailable: ``WrongKey`` or ``KeyDisabled``, with a sentence.
        :raises ManifestInvalid: when the manifest was changed since the backup was made.
        """
        key = keyring.unwrap(self.key_record(manifest))
        data = manifests.fetch(self.store, manifest.prefix)
        manifests.verify_seal(data, key, manifest.prefix)
        if isinstance(manifest, Manifest) and manifests.parsed(data, manifest.prefix) != manifest:
            raise manifests.edited(manifest.prefix, "it is not the one that this run began with")
        return key

    # -- evidence

    def put_evidence(self, path: str, data: bytes) -> str:
        """Keep a report, an approval or any other small record, written once.

        :param path: below the store, such as ``labdojo/drills/20261121T.../report.json``.
        :return: its key.
        :raises PreconditionFailed: when it exists already.
        """
        self.store.put(path, data, if_absent=True)
        return path

    def evidence(self, prefix: str) -> list[str]:
        """Keys of the records below a prefix, oldest first where their names begin with a time."""
        return sorted({version.key for version in self.store.versions(prefix) if not version.marker})

    def get_evidence(self, key: str) -> bytes:
        """A record's content, also when a plain delete has hidden it.

        :raises ObjectMissing: when there is none.
        """
        return manifests.read_behind_marker(self.store, key)

    # -- upkeep

    def rebuild_index(self) -> Index:
        """Make the index again from the manifests and proofs.

        Digests that the old index knows are kept, so that rebuilding cannot wash an edited manifest clean.
        """
        rebuilt = index_of(self.store)

        def change(old: Index) -> Index:
            kept = {
                prefix: old.backups.get(prefix, entry).with_proofs(entry.proofs)
                for prefix, entry in rebuilt.backups.items()
            }
            going = {prefix: mark for prefix, mark in old.going.items() if prefix in kept or not mark.whole}
            return Index(backups=kept, invalid=rebuilt.invalid, debris=old.debris, going=going)

        return self._index.update(change)

    def sweep(
        self,
        grace: timedelta,
        now: datetime | None = None,
        *,
        system: str | None = None,
        deleter: ObjectStore | None = None,
    ) -> list[str]:
        """Remove debris older than a grace period; mark what object lock keeps; bring the index up to date.

        :param system: sweep only this system's.
        :param deleter: the same store with credentials that may delete versions; None: these may.
        :return: prefixes of what was removed.
        """
        prefix = "" if system is None else f"{system}/"
        outcome = sweep(self.store, grace, now or self._now(), prefix=prefix, deleter=deleter)
        self.rebuild_index()
        self._index.update(lambda index: index.with_debris(prefix, outcome.waiting))
        return outcome.removed

    # -- inside

    def _enter(self, prefix: str, entry: Entry, *, known: bool = False) -> None:
        """Put a row into the index. The manifest counts, not the row: when this fails, the sweep makes up for it.

        :param known: the index had the row a moment ago; when it has it no more, the backup was removed meanwhile.
        """
        try:
            self._index.update(
                lambda index: index if known and prefix not in index.backups else index.with_backup(prefix, entry)
            )
        except LifeboatError as error:
            _log.warning("backup %s is stored, but the index could not be updated: %s", prefix.rstrip("/"), error)

    def _proof_keys(self, prefix: str) -> list[str]:
        return sorted({v.key for v in self.store.versions(f"{prefix}proofs/") if not v.marker})
