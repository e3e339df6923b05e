"""A store in an S3 bucket: AWS, Ceph radosgw and whatever else speaks the protocol.

What differs between services, all of it tried:

- **First writer wins.** AWS honours ``If-None-Match: *`` always; radosgw only on buckets without versions, and takes
  every writer on versioned ones. There the versions themselves decide: they have one order that all clients see, and
  whoever wrote the oldest was first. So ``put(if_absent=True)`` looks at the versions after writing, and a writer that
  was not first takes its version back.
- **Checksums.** Part and object checksums are sent as plain headers, never as trailers, which radosgw refuses over TLS.
  radosgw ignores them, so over plain HTTP the payload is signed (SHA-256), which it checks; over TLS the channel itself
  is authenticated, and the payload goes unsigned.
- **Empty ETag.** radosgw answers the completion of a multipart upload without one; HEAD has it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import (
    ObjectLocked,
    ObjectMissing,
    PreconditionFailed,
    StoreError,
    StoreUnavailable,
)
from include.recovery.stores.download import ResumingDownload
from include.recovery.stores.port import ObjectInfo, ObjectStore, ObjectVersion, UnfinishedUpload
from include.recovery.stores.upload import PART_BYTES, MultipartWriter

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3.client import S3Client

Answers = Callable[[str], AbstractContextManager[None]]
"""Made by ``S3Store._answers``: for a key, a context in which boto3's errors become those of a store."""

_COPY_PART_BYTES = 512 * 1024 * 1024
_MISSING = {"NoSuchKey", "404", "NotFound", "NoSuchVersion"}
_LOST_RACE = {"PreconditionFailed", "412", "ConditionalRequestConflict"}
_BUSY = {"SlowDown", "Throttling", "RequestTimeout"}


class S3Store:
    """One bucket.

    :param name: the store's name in the policy.
    :param endpoint_url: of the S3 service; None for AWS.
    :param verify: path of a CA certificate, or False to accept any certificate.
    :param part_bytes: size of the parts of a streaming upload.
    """

    def __init__(
        self,
        name: str,
        bucket: str,
        *,
        endpoint_url: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        region: str | None = None,
        verify: str | bool | None = None,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._name = name
        self._bucket = bucket
        self._endpoint_url = endpoint_url
        self._credentials = (access_key, secret_key)
        self._region = region
        self._verify = verify
        self._part_bytes = part_bytes
        self._made: S3Client | None = None
        self._making = threading.Lock()

    @classmethod
    def from_connection(cls, name: str, bucket: str, connection: ConnectionInfo) -> S3Store:
        """A bucket of the service that a connection describes: login and password are the access keys (both empty:
        the machine's own role); ``extra`` may hold ``endpoint_url``, ``region_name`` and ``verify``."""
        return cls(
            name,
            bucket,
            endpoint_url=connection.extra.get("endpoint_url") or None,
            access_key=connection.login or None,
            secret_key=connection.password or None,
            region=connection.extra.get("region_name") or None,
            verify=connection.extra.get("verify"),
        )

    def __repr__(self) -> str:
        return f"S3Store({self._name!r}, {self._bucket!r}, endpoint_url={self._endpoint_url!r})"

    @property
    def name(self) -> str:
        """The store's name in the policy."""
        return self._name

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._bucket

    @property
    def client(self) -> S3Client:
        """The boto3 client, made at first use (it costs a second and 40 MiB) and shared by all threads."""
        with self._making:
            if self._made is None:
                self._made = self._connect()
            return self._made

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        """Store a small object; with ``if_absent`` exactly one of several concurrent writers succeeds."""
        if not if_absent:
            with self._answers(key):
                return self.client.put_object(Bucket=self._bucket, Key=key, Body=data)["ETag"].strip('"')
        if first_version(self, key) is not None:
            raise self._written(key)
        mine = None
        try:
            with self._answers(key):
                answer = self.client.put_object(Bucket=self._bucket, Key=key, Body=data, IfNoneMatch="*")
            mine = answer.get("VersionId", "null")
        except PreconditionFailed:
            pass
        first = first_version(self, key)
        if first is None:
            raise StoreUnavailable(f"{self._where(key)} was written and is gone again; try again")
        if first.id != mine:
            if mine is not None:
                self._take_back(key, mine)
            # When the answer to our first attempt got lost, boto3 tries again and comes second to itself.
            if self.get(key, first.id)[0] != data:
                raise self._written(key)
        return first.etag

    def get(self, key: str, version: str | None = None) -> tuple[bytes, str]:
        """An object's content and ETag."""
        with self._answers(key):
            answer = self.client.get_object(Bucket=self._bucket, Key=key, **_version(version))
            return answer["Body"].read(), answer["ETag"].strip('"')

    def head(self, key: str) -> ObjectInfo:
        """Size, time and ETag of one object."""
        with self._answers(key):
            answer = self.client.head_object(Bucket=self._bucket, Key=key)
        return ObjectInfo(key, answer["ContentLength"], answer["LastModified"], answer["ETag"].strip('"'))

    def open(self, key: str, version: str | None = None) -> BinaryIO:
        """Stream an object's content; a broken connection is taken up again where it broke."""
        return ResumingDownload.begin(self.client, self._bucket, key, self._answers, version)

    def writer(self, key: str) -> MultipartWriter:
        """Begin a streaming upload."""
        return MultipartWriter(self.client, self._bucket, key, self._answers, part_bytes=self._part_bytes)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Current objects below a prefix in key order."""
        for page in self._pages("list_objects_v2", prefix):
            for entry in page.get("Contents", ()):
                yield ObjectInfo(entry["Key"], entry["Size"], entry["LastModified"], entry["ETag"].strip('"'))

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """All versions and delete markers below a prefix, newest first within a key."""
        for page in self._pages("list_object_versions", prefix):
            found = [
                ObjectVersion(
                    v["Key"], v["VersionId"], v["Size"], v["LastModified"], v["ETag"].strip('"'), v["IsLatest"]
                )
                for v in page.get("Versions", ())
            ] + [
                ObjectVersion(m["Key"], m["VersionId"], 0, m["LastModified"], "", m["IsLatest"], marker=True)
                for m in page.get("DeleteMarkers", ())
            ]
            # boto3 gives versions and markers apart, each newest first within a key. Python's sort keeps that order.
            yield from sorted(found, key=lambda v: (v.key, not v.latest))

    def delete(self, key: str, version: str | None = None) -> None:
        """Delete the current version (leaving a marker where the bucket has versions), or one version for good."""
        try:
            with self._answers(key):
                self.client.delete_object(Bucket=self._bucket, Key=key, **_version(version))
        except ObjectMissing:
            return
        except StoreError as error:
            if version is not None and _code(error.__cause__) in ("AccessDenied", "ObjectLocked", "InvalidRequest"):
                raise ObjectLocked(
                    f"{self._where(key)} version {version} may not be deleted: {error.__cause__}"
                ) from error
            raise

    def locked_until(self, key: str, version: str) -> datetime | None:
        """Until when object lock keeps a version; ``datetime.max`` under a legal hold."""
        try:
            with self._answers(key):
                head = self.client.head_object(Bucket=self._bucket, Key=key, VersionId=version)
        except ObjectMissing:
            return None
        if head.get("ObjectLockLegalHoldStatus") == "ON":
            return datetime.max.replace(tzinfo=UTC)
        return head.get("ObjectLockRetainUntilDate")

    def unfinished(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Multipart uploads that are neither completed nor aborted."""
        for page in self._pages("list_multipart_uploads", prefix):
            for upload in page.get("Uploads", ()):
                yield UnfinishedUpload(upload["Key"], upload["UploadId"], upload["Initiated"])

    def abandon(self, upload: UnfinishedUpload) -> None:
        """Abort an unfinished multipart upload."""
        try:
            with self._answers(upload.key):
                self.client.abort_multipart_upload(Bucket=self._bucket, Key=upload.key, UploadId=upload.id)
        except StoreError as error:
            if _code(error.__cause__) != "NoSuchUpload" and not isinstance(error, ObjectMissing):
                raise

    def copy_from(self, other: ObjectStore, key: str) -> bool:
        """Copy inside the service, where both buckets are of one service and one account."""
        if not isinstance(other, S3Store) or (other._endpoint_url, other._credentials, other._region) != (
            self._endpoint_url,
            self._credentials,
            self._region,
        ):
            return False
        from boto3.s3.transfer import TransferConfig

        chunk = _COPY_PART_BYTES
        with self._answers(key):
            self.client.copy(
                {"Bucket": other._bucket, "Key": key},
                self._bucket,
                key,
                Config=TransferConfig(multipart_threshold=chunk, multipart_chunksize=chunk, max_concurrency=4),
            )
        return True

    def _connect(self) -> S3Client:
        import boto3
        from botocore.config import Config
        from botocore.session import Session

        secure = self._endpoint_url is None or self._endpoint_url.startswith("https:")
        core = Session()
        core.register_component("data_loader", _models())
        session = boto3.session.Session(
            aws_access_key_id=self._credentials[0],
            aws_secret_access_key=self._credentials[1],
            region_name=self._region or "us-east-1",
            botocore_session=core,
        )
        return session.client(
            "s3",
            endpoint_url=self._endpoint_url,
            verify=self._verify,
            config=Config(
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"mode": "standard", "total_max_attempts": 5},
                max_pool_connections=32,
                connect_timeout=10,
                read_timeout=60,
                s3={
                    "addressing_style": "auto" if self._endpoint_url is None else "path",
                    "payload_signing_enabled": not secure,
                },
            ),
        )

    def _written(self, key: str) -> PreconditionFailed:
        return PreconditionFailed(f"{self._where(key)} exists already and is written only once")

    def _take_back(self, key: str, version: str) -> None:
        try:
            self.delete(key, version)
        except ObjectLocked:
            # It stays as a later version, which nobody who asks for the first one reads.
            return

    def _pages(self, operation: str, prefix: str) -> Iterator[Any]:
        paginator = self.client.get_paginator(operation)  # type: ignore[call-overload]
        pages = iter(paginator.paginate(Bucket=self._bucket, Prefix=prefix))
        while True:
            with self._answers(prefix):
                page = next(pages, None)
            if page is None:
                return
            yield page

    def _where(self, key: str) -> str:
        return f"store {self._name}: object {key} in bucket {self._bucket}"

    @contextmanager
    def _answers(self, key: str) -> Iterator[None]:
        """Turn boto3's errors into those of a store."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ClientError as error:
            raise self._refusal(key, error) from error
        except NoCredentialsError as error:
            raise StoreError(f"store {self._name}: no credentials; set login and password of its connection") from error
        except (BotoCoreError, HTTPError, OSError) as error:
            raise StoreUnavailable(
                f"{self._where(key)}: the service at {self._address} does not answer: {error}"
            ) from error

    answers = _answers
    """For callers of ``client``."""

    def _refusal(self, key: str, error: ClientError) -> StoreError | StoreUnavailable:
        code = _code(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _MISSING:
            return ObjectMissing(f"{self._where(key)} does not exist")
        if code in _LOST_RACE or status == 412:
            return self._written(key)
        if code == "NoSuchBucket":
            return StoreError(f"store {self._name}: bucket {self._bucket} does not exist at {self._address}; create it")
        if status >= 500 or status == 429 or code in _BUSY:
            return StoreUnavailable(f"{self._where(key)}: the service at {self._address} is in trouble: {error}")
        return StoreError(f"{self._where(key)} was refused by {self._address}: {error}")

    @property
    def _address(self) -> str:
        return self._endpoint_url or f"AWS {self._region or 'us-east-1'}"


@functools.cache
def _models() -> Any:
    """What boto3 reads from its own files for each client, half a second long; one reading is enough for all."""
    from botocore.loaders import Loader
    from botocore.session import Session

    found: Loader = Session().get_component("data_loader")
    return found


def first_version(store: ObjectStore, key: str) -> ObjectVersion | None:
    """The oldest version of an object, also behind delete markers: what its first writer wrote."""
    mine = [version for version in store.versions(key) if version.key == key and not version.marker]
    return mine[-1] if mine else None


def _version(version: str | None) -> Any:
    return {} if version is None else {"VersionId": version}


def _code(error: BaseException | None) -> str:
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
