"""What the catalog keeps: manifests, keys, proofs and leases as JSON objects beside the backups.

``docs/format.md`` documents the format for people who have to read it without Lifeboat.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from include.recovery.fingerprint.model import DatabaseFingerprint

SCHEMA_VERSION = 1


class Record(BaseModel):
    """Base of everything stored: unchangeable, and strict about what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class Part(Record):
    """One logical stream of a backup, stored as one or more encrypted volumes.

    :param name: unique in the backup: ``schema``, ``globals``, ``rest``, ``table-0001`` ...
    :param role: what it holds, so that a restore knows when to apply it.
    :param tables: the qualified, quoted names of the tables whose rows are here; empty means "not by table".
    :param content_size: bytes before compression.
    """

    name: str
    role: Literal["globals", "schema", "data"]
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


class Manifest(Record):
    """The birth certificate of a backup: written last and once; its existence means that the backup exists."""

    schema_version: Literal[1] = SCHEMA_VERSION
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
    parts: tuple[Part, ...]
    encryption: Encryption = Encryption()
    compression: str
    fingerprint: DatabaseFingerprint | None
    left_out: tuple[LeftOut, ...] = ()
    source_size: Annotated[int, Field(description="size of the source, bytes")] = 0
    note: str | None = None
    hold: bool = False
    fence: int

    @property
    def prefix(self) -> str:
        """Where the backup's objects are, with a trailing slash."""
        return f"{self.system}/{self.source}/{self.kind}/{self.id}/"

    @property
    def stored_size(self) -> int:
        """Bytes of all volumes."""
        return sum(volume.size for part in self.parts for volume in part.volumes)


class Recipient(Record):
    """One way to unwrap a backup's key.

    :param type: ``aws-kms`` or ``rsa-oaep-sha512`` (escrow).
    :param key_id: KMS key ARN, or SHA-256 fingerprint of the escrow public key.
    :param ciphertext: base64.
    """

    type: Literal["aws-kms", "rsa-oaep-sha512"]
    key_id: str
    ciphertext: str


class KeyRecord(Record):
    """A backup's own key, wrapped for every recipient. Rotation appends a new record and edits none."""

    schema_version: Literal[1] = SCHEMA_VERSION
    created_at: AwareDatetime
    context: dict[str, str]
    recipients: tuple[Recipient, ...]


class Proof(Record):
    """One act of proving, appended by a drill, a replication or a scrub and never edited."""

    schema_version: Literal[1] = SCHEMA_VERSION
    level: ProofLevel
    ok: bool
    at: AwareDatetime
    by: str
    store: str
    detail: str
    failures: tuple[str, ...] = ()
    seconds: float | None = None
    evidence: str | None = None


class Backup(Record):
    """A manifest with what has been proven about it since: one row of every list and picker."""

    manifest: Manifest
    proofs: tuple[Proof, ...] = ()

    @property
    def level(self) -> ProofLevel:
        """The highest level proven; a later failed proof of restoring does away with earlier ones."""
        reached = ProofLevel.STORED
        for proof in sorted(self.proofs, key=lambda p: p.at):
            if proof.ok:
                reached = max(reached, proof.level, key=lambda level: level.rank)
            else:
                reached = ProofLevel.STORED
        return reached

    @property
    def damaged(self) -> bool:
        """Whether the newest proof failed."""
        newest = max(self.proofs, key=lambda proof: proof.at, default=None)
        return newest is not None and not newest.ok

    @property
    def proven_at(self) -> datetime | None:
        """When a restored copy was last found identical (or better)."""
        times = [p.at for p in self.proofs if p.ok and p.level.rank >= ProofLevel.IDENTICAL.rank]
        return max(times, default=None)
