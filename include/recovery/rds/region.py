"""One region of RDS, through a connection: every call that Lifeboat makes there."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import SourceError
from include.recovery.policy.source_kinds.rds import RdsRegion
from include.recovery.rds.failures import NotThere, answers
from include.recovery.rds.names import as_list
from include.recovery.rds.snapshots import Instance, Snapshot

if TYPE_CHECKING:
    from botocore.loaders import Loader
    from mypy_boto3_rds import RDSClient


class Region:
    """A region, as one connection reaches it.

    :param name: of the region.
    :param definition: what the policy says of it.
    """

    def __init__(self, definition: RdsRegion, connection: ConnectionInfo) -> None:
        named = connection.extra.get("region_name")
        if named and named != definition.region:
            raise SourceError(
                f"connection {connection.id} is for region {named}, and the policy names it for {definition.region}; "
                "correct one of them"
            )
        self.name, self.definition = definition.region, definition
        self._connection = connection
        self._made: RDSClient | None = None
        self._making = threading.Lock()

    @property
    def where(self) -> str:
        """For messages."""
        return f"RDS in {self.name} (connection {self._connection.id})"

    def instance(self, identifier: str) -> Instance | None:
        """A database instance; None when there is none."""
        try:
            with answers("rds:DescribeDBInstances", self.where):
                answer = self._client.describe_db_instances(DBInstanceIdentifier=identifier)
        except NotThere:
            return None
        return next((Instance.of(found, self.name) for found in answer["DBInstances"]), None)

    def instances(self) -> Iterator[Instance]:
        """All database instances."""
        with answers("rds:DescribeDBInstances", self.where):
            for page in self._client.get_paginator("describe_db_instances").paginate():
                for found in page["DBInstances"]:
                    yield Instance.of(found, self.name)

    def snapshot(self, identifier: str) -> Snapshot | None:
        """A snapshot; None when there is none."""
        try:
            with answers("rds:DescribeDBSnapshots", self.where):
                answer = self._client.describe_db_snapshots(DBSnapshotIdentifier=identifier)
        except NotThere:
            return None
        return next((Snapshot.of(found, self.name) for found in answer["DBSnapshots"]), None)

    def snapshots(self) -> Iterator[Snapshot]:
        """All snapshots that somebody asked for; the service's own automatic ones are left out."""
        with answers("rds:DescribeDBSnapshots", self.where):
            for page in self._client.get_paginator("describe_db_snapshots").paginate(SnapshotType="manual"):
                for found in page["DBSnapshots"]:
                    yield Snapshot.of(found, self.name)

    def create(self, instance: str, identifier: str, tags: Mapping[str, str]) -> Snapshot:
        """Ask for a snapshot; it is made after this returns.

        :raises ThereAlready: when there is one of that identifier.
        :raises SourceError: when there is no such instance.
        """
        try:
            with answers("rds:CreateDBSnapshot", self.where):
                answer = self._client.create_db_snapshot(
                    DBInstanceIdentifier=instance, DBSnapshotIdentifier=identifier, Tags=as_list(tags)
                )
        except NotThere as error:
            raise no_such_instance(self, instance) from error
        return Snapshot.of(answer["DBSnapshot"], self.name)

    def copy(self, of: Snapshot, identifier: str, tags: Mapping[str, str], kms_key: str | None) -> Snapshot:
        """Ask for a copy of another region's snapshot in this one; it is made after this returns.

        :param kms_key: of this region; None leaves the copy of an unencrypted snapshot unencrypted.
        :raises ThereAlready: when there is a snapshot of that identifier.
        :raises NotThere: when the original is gone.
        """
        keys: dict[str, Any] = {"KmsKeyId": kms_key} if kms_key else {}
        with answers("rds:CopyDBSnapshot", self.where):
            # With SourceRegion, boto3 signs the request to the other region too, which encrypted snapshots need.
            answer = self._client.copy_db_snapshot(
                SourceDBSnapshotIdentifier=of.arn, TargetDBSnapshotIdentifier=identifier, Tags=as_list(tags),
                SourceRegion=of.region, **keys,
            )  # fmt: skip
        return Snapshot.of(answer["DBSnapshot"], self.name)

    def delete_snapshot(self, identifier: str) -> None:
        """Remove a snapshot. Whoever calls has made sure that it is ours."""
        try:
            with answers("rds:DeleteDBSnapshot", self.where):
                self._client.delete_db_snapshot(DBSnapshotIdentifier=identifier)
        except NotThere:
            return

    def restore(self, snapshot: str, instance: str, tags: Mapping[str, str]) -> Instance:
        """Ask for an instance made of a snapshot: closed to the public, in the policy's network, without a standby.

        :raises ThereAlready: when there is an instance of that identifier.
        :raises NotThere: when there is no such snapshot.
        """
        place: dict[str, Any] = {
            "DBInstanceClass": self.definition.instance_class,
            "DBSubnetGroupName": self.definition.subnet_group,
            "VpcSecurityGroupIds": list(self.definition.security_groups),
        }
        with answers("rds:RestoreDBInstanceFromDBSnapshot", self.where):
            answer = self._client.restore_db_instance_from_db_snapshot(
                DBInstanceIdentifier=instance, DBSnapshotIdentifier=snapshot, PubliclyAccessible=False, MultiAZ=False,
                DeletionProtection=False, AutoMinorVersionUpgrade=False, Tags=as_list(tags),
                **{key: value for key, value in place.items() if value},
            )  # fmt: skip
        return Instance.of(answer["DBInstance"], self.name)

    def delete_instance(self, identifier: str) -> None:
        """Remove an instance with its automatic backups and without a last snapshot. Whoever calls has made sure that
        it is a scratch instance."""
        try:
            with answers("rds:DeleteDBInstance", self.where):
                self._client.delete_db_instance(
                    DBInstanceIdentifier=identifier, SkipFinalSnapshot=True, DeleteAutomatedBackups=True
                )
        except NotThere:
            return

    @property
    def _client(self) -> RDSClient:
        with self._making:
            if self._made is None:
                import boto3
                import botocore.session
                from botocore.config import Config

                # At DEBUG botocore logs whole requests, and a copy's request holds a signed address.
                logger = logging.getLogger("botocore")
                logger.setLevel(max(logger.getEffectiveLevel(), logging.INFO))
                core = botocore.session.get_session()
                core.register_component("data_loader", _descriptions())
                session = boto3.session.Session(
                    botocore_session=core,
                    aws_access_key_id=self._connection.login or None,
                    aws_secret_access_key=self._connection.password or None,
                    region_name=self.name,
                )
                self._made = session.client(
                    "rds",
                    endpoint_url=self._connection.extra.get("endpoint_url") or None,
                    verify=self._connection.extra.get("verify"),
                    config=Config(
                        retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=10, read_timeout=30
                    ),
                )
            return self._made


@lru_cache(maxsize=1)
def _descriptions() -> Loader:
    """What boto3 knows of its services: read once, since RDS's alone takes a good part of a second."""
    from botocore.loaders import create_loader

    return create_loader()


def no_such_instance(region: Region, instance: str) -> SourceError:
    """The error for an instance that is not there."""
    return SourceError(
        f"{region.where} has no instance {instance}; correct 'instance' or 'home' in the policy, or restore it from a "
        "snapshot of Lifeboat"
    )
