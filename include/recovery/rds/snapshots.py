"""A snapshot and an instance, as the service describes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import DBInstanceTypeDef, DBSnapshotTypeDef

AVAILABLE, FAILED = "available", "failed"


@dataclass(frozen=True)
class Snapshot:
    """A snapshot in one region.

    :param status: ``creating``, ``available``, ``failed`` ...
    :param created_at: None until it is made.
    :param percent: how far it is.
    :param allocated_gib: storage of the instance that it was made of.
    :param size: bytes that it holds; 0 where the service does not tell.
    """

    identifier: str
    arn: str
    region: str
    instance: str
    status: str
    engine: str
    version: str
    allocated_gib: int
    encrypted: bool
    kms_key: str | None = None
    created_at: datetime | None = None
    percent: int = 0
    size: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, answer: DBSnapshotTypeDef, region: str) -> Snapshot:
        """From the service's answer."""
        return cls(
            identifier=answer["DBSnapshotIdentifier"],
            arn=answer.get("DBSnapshotArn", ""),
            region=region,
            instance=answer.get("DBInstanceIdentifier", ""),
            status=answer.get("Status", "").lower(),
            engine=answer.get("Engine", ""),
            version=answer.get("EngineVersion", ""),
            allocated_gib=answer.get("AllocatedStorage", 0),
            encrypted=answer.get("Encrypted", False),
            kms_key=answer.get("KmsKeyId") if answer.get("Encrypted") else None,
            created_at=answer.get("SnapshotCreateTime"),
            percent=answer.get("PercentProgress", 0),
            size=answer.get("FullSnapshotSizeInBytes", 0) or 0,
            tags=_tags(answer.get("TagList", ())),
        )

    @property
    def where(self) -> str:
        """For messages."""
        return f"RDS snapshot {self.identifier} in {self.region}"


@dataclass(frozen=True)
class Instance:
    """A database instance.

    :param cluster: of Aurora, whose member it is.
    :param keeps: days that the service keeps its own automatic backups; 0: they are off.
    :param host: None until it takes connections.
    """

    identifier: str
    region: str
    status: str
    engine: str
    version: str
    encrypted: bool
    keeps: int
    cluster: str | None = None
    host: str | None = None
    port: int = 5432
    public: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, answer: DBInstanceTypeDef, region: str) -> Instance:
        """From the service's answer."""
        endpoint = answer.get("Endpoint", {})
        return cls(
            identifier=answer["DBInstanceIdentifier"],
            region=region,
            status=answer.get("DBInstanceStatus", "").lower(),
            engine=answer.get("Engine", ""),
            version=answer.get("EngineVersion", ""),
            encrypted=answer.get("StorageEncrypted", False),
            keeps=answer.get("BackupRetentionPeriod", 0),
            cluster=answer.get("DBClusterIdentifier"),
            host=endpoint.get("Address"),
            port=endpoint.get("Port", 5432),
            public=answer.get("PubliclyAccessible", False),
            tags=_tags(answer.get("TagList", ())),
        )

    @property
    def where(self) -> str:
        """For messages."""
        return f"RDS instance {self.identifier} in {self.region}"


def _tags(given: Iterable[Any]) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in given if "Key" in tag}
