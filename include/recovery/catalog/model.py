"""What the catalog keeps: manifests, keys, proofs and leases as JSON objects beside the backups.

``docs/format.md`` documents the format for people who have to read it without Lifeboat.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime

from include.recovery.catalog.kept_elsewhere import ManagedCopy, ManagedSnapshot, PhysicalBackup
from include.recovery.catalog.record import Record
from include.recovery.content.model import ContentFingerprint
from include.recovery.fingerprint.model import DatabaseFingerprint

__all__ = [
    "Backup",
    "CompleteBackup",
    "Encryption",
    "Export",
    "Facts",
    "KeyRecord",
    "LeftOut",
    "ManagedCopy",
    "ManagedSnapshot",
    "Manifest",
    "Part",
    "PartRole",
    "PhysicalBackup",
    "Proof",
    "ProofLevel",
    "Recipient",
    "RecipientType",
    "Record",
    "Summary",
    "Volume",
    "identity",
]


class ProofLevel(StrEnum):
    """How far a backup has been proven, lowest first."""

    STORED = "stored"
    REPLICATED = "replicated"
    RESTORED = "restored"
    IDENTICAL = "identical"
    VALIDATED = "validated"

    @property
    def rank(self) -> int:
        """Position on the ladder, 0 for ``stored``."""
        return list(ProofLevel).index(self)


class Volume(Record):
    """One stored object of a part.

    :param key: its full key in the store.
    :param size: stored bytes.
    :param sha512: hex digest of the stored bytes.
    """

    key: str
    size: int
    sha512: str


PartRole = Literal["globals", "schema", "data", "inventory", "export"]


class Part(Record):
    """One logical stream of a backup, stored as one or more encrypted volumes.

    :param name: unique in the backup: ``schema``, ``globals``, ``rest``, ``table-0001`` ...
    :param role: what it holds, so that a restore knows when to apply it.
    :param tables: the qualified, quoted names of the tables whose rows are here; empty means "not by table".
    :param content_size: bytes before compression.
    """

    name: str
    role: PartRole
    volumes: tuple[Volume, ...]
    tables: tuple[str, ...] = ()
    content_size: int


class Encryption(Record):
    """How the parts are encrypted; the key itself is in ``keys/``."""

    format: Literal["aws-encryption-sdk-raw-aes"] = "aws-encryption-sdk-raw-aes"
    algorithm: str = "AES-256-GCM"
    frame_bytes: int = 1024 * 1024


class LeftOut(Record):
    """Something of the source that the backup does not contain, and why."""

    what: str
    why: str


class Export(Record):
    """A query's result as CSV, from the snapshot of the backup.

    :param part: name of the part that holds it.
    :param query: as it was run, with its order; run on a restored copy, it must give the same CSV.
    :param sha512: of the CSV, header line and all, before compression.
    """

    name: str
    part: str
    query: str
    columns: tuple[str, ...]
    rows: int
    sha512: str
    note: str | None = None


class Facts(Record):
    """What is known about a backup at a glance; the manifest holds more, the index holds this.

    :param system: with ``source``, ``kind`` and ``id`` the backup's identity, and its place in the store.
    :param id: sorts by time.
    :param snapshot_at: the moment whose data the backup holds.
    :param lsn: the write-ahead log's position then.
    :param parent: id of the backup that this one needs, when it is not complete by itself.
    :param source_size: bytes.
    :param hold: keep it until somebody lifts the hold.
    :param fence: number of the lease it was written under; a later writer has a higher one.
    :param physical: where a pgBackRest backup is; such a backup has no parts.
    :param managed: where a managed service's snapshot is; such a backup has no parts either.
    """

    schema_version: Literal[1] = 1
    system: str
    source: str
    kind: str
    id: str
    tier: str | None = None
    started_by: str
    started_at: AwareDatetime
    snapshot_at: AwareDatetime
    finished_at: AwareDatetime
    lsn: str | None = None
    server_version: str
    tool_versions: dict[str, str]
    parent: str | None = None
    database: str | None = None
    compression: str
    source_size: int = 0
    note: str | None = None
    hold: bool = False
    fence: int
    physical: PhysicalBackup | None = None
    managed: ManagedSnapshot | None = None

    @property
    def prefix(self) -> str:
        """Where the backup's objects are, with a trailing slash."""
        return f"{self.system}/{self.source}/{self.kind}/{self.id}/"

    @property
    def name(self) -> str:
        """The backup's identity, as people and messages write it."""
        return self.prefix.rstrip("/")

    @property
    def context(self) -> dict[str, str]:
        """The identity that its key and all its parts are cryptographically bound to."""
        return identity(self.system, self.source, self.kind, self.id)


class Summary(Facts):
    """A manifest's row in the index: light, because a listing shows thousands. Restoring needs the manifest itself.

    :param stored_size: bytes of all volumes; of a physical backup, what the repository holds for it.
    :param tables: how many tables' rows it holds; 0 when nobody counted.
    :param items: how many items of a source that is no database.
    """

    stored_size: int
    tables: int
    items: int = 0


class Manifest(Facts):
    """The birth certificate of a backup: written last and once; its existence means that the backup exists."""

    parts: tuple[Part, ...]
    encryption: Encryption = Encryption()
    fingerprint: DatabaseFingerprint | None = None
    content: ContentFingerprint | None = None
    left_out: tuple[LeftOut, ...] = ()
    exports: tuple[Export, ...] = ()

    @property
    def stored_size(self) -> int:
        """Bytes of all volumes; of a physical backup, what the repository holds for it; of a managed snapshot, what
        the service tells."""
        if self.physical is not None:
            return self.physical.repository_size
        if self.managed is not None:
            return self.managed.size
        return sum(volume.size for part in self.parts for volume in part.volumes)

    @property
    def tables(self) -> int:
        """How many tables' rows it holds."""
        if self.fingerprint is not None:
            return len(self.fingerprint.tables)
        return sum(len(part.tables) for part in self.parts)

    @property
    def items(self) -> int:
        """How many items of a source that is no database it holds."""
        return self.content.items if self.content is not None else 0

    def summary(self) -> Summary:
        """Its row in the index."""
        facts = {name: getattr(self, name) for name in Facts.model_fields}
        return Summary(**facts, stored_size=self.stored_size, tables=self.tables, items=self.items)


def identity(system: str, source: str, kind: str, backup_id: str) -> dict[str, str]:
    """The encryption context of a backup."""
    return {"system": system, "source": source, "kind": kind, "backup": backup_id}


RecipientType = Literal["aws-kms", "rsa-oaep-sha512"]


class Recipient(Record):
    """One way to unwrap a backup's key.

    :param type: ``aws-kms`` or ``rsa-oaep-sha512`` (escrow).
    :param key_id: KMS key ARN, or SHA-256 fingerprint of the escrow public key.
    :param ciphertext: base64.
    """

    type: RecipientType
    key_id: str
    ciphertext: str


class KeyRecord(Record):
    """A backup's own key, wrapped for every recipient. Rotation appends a new record and edits none.

    :param context: identity of the backup; a KMS unwraps only with it.
    :param check: tells whether an unwrapped key is the right one.
    """

    schema_version: Literal[1] = 1
    created_at: AwareDatetime
    context: dict[str, str]
    recipients: tuple[Recipient, ...]
    check: str


class Proof(Record):
    """One act of proving, appended by a drill, a replication or a scrub and never edited.

    :param level: what was tried; ``ok`` tells whether it held.
    :param by: the run or person.
    :param store: whose copy was tried.
    :param manifest_sha512: of the manifest object as it was then, so that a later edit is noticed.
    """

    schema_version: Literal[1] = 1
    level: ProofLevel
    ok: bool
    at: AwareDatetime
    by: str
    store: str
    detail: str
    failures: tuple[str, ...] = ()
    seconds: float | None = None
    evidence: str | None = None
    manifest_sha512: str | None = None


class Backup(Record):
    """A backup with what has been proven about it since: one row of every list and picker.

    Its copies, one in each store, are judged apart: trouble with one says nothing about another.

    :param manifest: the whole manifest, or its summary in a listing.
    :param store: the store that was asked; empty when no particular one was.
    """

    manifest: Summary | Manifest
    proofs: tuple[Proof, ...] = ()
    store: str = ""

    @property
    def level(self) -> ProofLevel:
        """The highest level that any copy stands at."""
        stores = {proof.store for proof in self.proofs}
        return max((self.level_in(store) for store in stores), key=lambda level: level.rank, default=ProofLevel.STORED)

    def level_in(self, store: str) -> ProofLevel:
        """The level that one store's copy stands at: the highest proven since a proof at that level or below failed."""
        reached = ProofLevel.STORED
        for proof in self._proofs_of(store):
            if proof.ok:
                reached = max(reached, proof.level, key=lambda level: level.rank)
            elif proof.level.rank <= reached.rank:
                reached = ProofLevel.STORED if proof.level.rank == 0 else list(ProofLevel)[proof.level.rank - 1]
        return reached

    @property
    def damaged(self) -> bool:
        """Whether the copy in ``store`` is damaged; where no store was asked for, whether every copy is."""
        if self.store:
            return self.damage_in(self.store) is not None
        stores = {proof.store for proof in self.proofs}
        return bool(stores) and all(self.damage_in(store) is not None for store in stores)

    def damage_in(self, store: str) -> Proof | None:
        """The failed proof that makes one store's copy unfit, until a proof at its level or above succeeds.

        A failed validation does not: the copy is what was backed up, and what was backed up broke a rule.
        """
        failed: Proof | None = None
        for proof in self._proofs_of(store):
            if proof.ok:
                if failed is not None and proof.level.rank >= failed.level.rank:
                    failed = None
            elif proof.level is not ProofLevel.VALIDATED:
                failed = proof
        return failed

    @property
    def proven_at(self) -> datetime | None:
        """When a restored copy was last found identical (or better)."""
        times = [p.at for p in self.proofs if p.ok and p.level.rank >= ProofLevel.IDENTICAL.rank]
        return max(times, default=None)

    def _proofs_of(self, store: str) -> list[Proof]:
        return sorted((proof for proof in self.proofs if proof.store == store), key=lambda proof: proof.at)


class CompleteBackup(Backup):
    """A backup with its whole manifest: what restoring, verifying and comparing need."""

    manifest: Manifest
