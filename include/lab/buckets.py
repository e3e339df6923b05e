"""Users and buckets of a region: versioned, with no more rights than their use needs; locked where nothing expires."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config

from include.lab.ceph import CephCluster

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OWNER, WRITER, EXPIRER, REPOSITORY_WRITER = "lifeboat-owner", "lifeboat", "lifeboat-expiry", "lifeboat-repository"
UPLOADS, TERRAFORM = "uploads", "terraform"

APPEND_ONLY = (
    "s3:PutObject",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:GetObjectRetention",
    "s3:GetObjectLegalHold",
    "s3:PutObjectRetention",
    "s3:PutObjectLegalHold",
    "s3:DeleteObject",
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:ListBucketMultipartUploads",
    "s3:ListMultipartUploadParts",
    "s3:AbortMultipartUpload",
    "s3:GetBucketLocation",
    "s3:GetBucketVersioning",
    "s3:GetBucketObjectLockConfiguration",
)
"""What the offsite writer may do. ``DeleteObject`` leaves a marker; deleting a version is not among it."""

EXPIRY_ACTIONS = ("s3:DeleteObject", "s3:DeleteObjectVersion")
"""What retention needs besides, under a user of its own: it can neither read nor write, nor shorten a lock."""

REPOSITORY_ACTIONS = (
    "s3:PutObject",
    "s3:GetObject",
    "s3:DeleteObject",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListMultipartUploadParts",
    "s3:AbortMultipartUpload",
    "s3:GetBucketLocation",
)
"""What pgBackRest needs. It expires by ``DeleteObject``; the versions below the markers are out of its reach."""


APPLICATION_ACTIONS = (
    "s3:PutObject",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:DeleteObject",
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:ListBucketMultipartUploads",
    "s3:ListMultipartUploadParts",
    "s3:AbortMultipartUpload",
    "s3:GetBucketLocation",
    "s3:GetBucketVersioning",
    "s3:GetLifecycleConfiguration",
)
"""What is done with a versioned bucket of an application: everything, but no version ever goes."""


@dataclass(frozen=True)
class Credentials:
    """An access key of S3."""

    access_key: str
    secret_key: str = field(repr=False)

    @classmethod
    def random(cls) -> Self:
        """New ones, of the usual length."""
        return cls(secrets.token_hex(10).upper(), secrets.token_hex(20))


@dataclass(frozen=True)
class RegionKeys:
    """Who may do what in one region.

    :param owner: owns the buckets; nobody but the lab itself uses it.
    :param writer: what Lifeboat logs in with.
    :param repository: what pgBackRest logs in with.
    :param expiry: what retention deletes with.
    :param uploads: what applications upload with, and Lifeboat backs uploads up with.
    :param terraform: what Terraform keeps its state with.
    """

    owner: Credentials
    writer: Credentials
    repository: Credentials
    expiry: Credentials
    uploads: Credentials
    terraform: Credentials

    @classmethod
    def random(cls) -> Self:
        """New ones for a new lab."""
        return cls(*(Credentials.random() for _ in range(6)))

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What ``as_json`` gave."""
        return cls(**{who: Credentials(**keys) for who, keys in saved.items()})

    def as_json(self) -> dict[str, Any]:
        """For the lab's file of secrets."""
        return asdict(self)


def client(endpoint: str, region: str, credentials: Credentials, authority: Path) -> S3Client:
    """An S3 client that verifies the lab's certificate strictly."""
    config = Config(
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"},
        retries={"max_attempts": 5, "mode": "standard"},
    )
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        verify=str(authority),
        config=config,
    )


def make_bucket(
    cluster: CephCluster, region: str, keys: RegionKeys, bucket: str, *, locked_days: int | None, append_only: bool
) -> None:
    """A versioned bucket with object lock.

    :param locked_days: each object is under COMPLIANCE retention so long; None: only what asks for it.
    :param append_only: the writer cannot delete a version, whatever its retention.
    """
    cluster.make_user(OWNER, keys.owner.access_key, keys.owner.secret_key)
    cluster.make_user(WRITER, keys.writer.access_key, keys.writer.secret_key)
    s3 = client(cluster.endpoint, region, keys.owner, cluster.certificates.authority)
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    if locked_days:
        s3.put_object_lock_configuration(
            Bucket=bucket,
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": locked_days}},
            },
        )
    grant(cluster, region, keys, bucket, append_only=append_only)


def grant(cluster: CephCluster, region: str, keys: RegionKeys, bucket: str, *, append_only: bool) -> None:
    """Let writer and expiry into a bucket, each with its own rights.

    :param append_only: the writer cannot delete a version, whatever its retention.
    """
    cluster.make_user(EXPIRER, keys.expiry.access_key, keys.expiry.secret_key)
    s3 = client(cluster.endpoint, region, keys.owner, cluster.certificates.authority)
    _allow(s3, bucket, {WRITER: APPEND_ONLY if append_only else ("s3:*",), EXPIRER: EXPIRY_ACTIONS})


def make_repository_bucket(cluster: CephCluster, region: str, keys: RegionKeys, bucket: str) -> None:
    """A versioned bucket without object lock, for pgBackRest's repository; its owner comes with ``make_bucket``."""
    cluster.make_user(REPOSITORY_WRITER, keys.repository.access_key, keys.repository.secret_key)
    s3 = client(cluster.endpoint, region, keys.owner, cluster.certificates.authority)
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    _allow(s3, bucket, {REPOSITORY_WRITER: REPOSITORY_ACTIONS})


def make_application_bucket(cluster: CephCluster, region: str, keys: RegionKeys, bucket: str, who: str) -> None:
    """A versioned bucket of an application; its owner comes with ``make_bucket``. What is there already stays.

    :param who: its user, ``UPLOADS`` or ``TERRAFORM``.
    """
    user: Credentials = getattr(keys, who)
    if who not in json.loads(cluster.admin("user", "list")):
        cluster.make_user(who, user.access_key, user.secret_key)
    s3 = client(cluster.endpoint, region, keys.owner, cluster.certificates.authority)
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    _allow(s3, bucket, {who: APPLICATION_ACTIONS})


def _allow(s3: S3Client, bucket: str, rights: Mapping[str, Sequence[str]]) -> None:
    """Let these users do this with the bucket and its objects, and nobody else anything."""
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": [f"arn:aws:iam:::user/{user}"]},
                "Action": list(actions),
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            }
            for user, actions in rights.items()
        ],
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
