"""A bucket with versions: what it lists, what its clock says, and objects with their attributes, in and out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast
from urllib.parse import unquote_plus

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import SourceError
from include.recovery.objects.digest import Attributes, Damaged, as_request, attributes_of, digest
from include.recovery.objects.listing import FOLLOWING, ROWS, Version, mend, read_page
from include.recovery.stores.download import ResumingDownload
from include.recovery.stores.port import ObjectVersion, UnfinishedUpload
from include.recovery.stores.s3 import S3Store

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

MIB = 1024 * 1024
WHOLE_BYTES = 8 * MIB
"""Objects up to this size are sent in one request; longer ones in parts of at least this size."""
COPIED_WHOLE_BYTES = 64 * MIB
"""The service copies objects up to this size in one request; longer ones in parts of at least this size."""
_MOST_PARTS = 9_000


class Bucket(S3Store):
    """One bucket of a source, or of its replica.

    :ivar page_keys: versions in a page of a listing.
    """

    page_keys = 1000

    @classmethod
    def of(cls, name: str, bucket: str, connection: ConnectionInfo) -> Self:
        """A bucket of the service that a connection describes, as ``S3Store.from_connection``.

        :param name: for messages.
        """
        return cast("Self", cls.from_connection(name, bucket, connection))

    def history(self, prefix: str) -> Iterator[Version]:
        """All versions and delete markers below a prefix: by key, newest first within a key; a page in advance."""
        with ThreadPoolExecutor(1, thread_name_prefix="listing") as pool:
            asked = pool.submit(self._page, prefix, None)
            while True:
                rows, following = asked.result()
                if following is not None:
                    asked = pool.submit(self._page, prefix, following)
                yield from rows
                if following is None:
                    return

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """As a store shows them."""
        last = None
        for row in self.history(prefix):
            modified = datetime.fromtimestamp(row.modified / 1000, UTC)
            latest = row.key != last
            yield ObjectVersion(row.key, row.id, row.size, modified, row.etag, latest, row.marker)
            last = row.key

    def clock(self) -> datetime:
        """What the service's own clock shows, in whole seconds.

        :raises SourceError: when it does not say.
        """
        with self._answers(""):
            answer = self.client.head_bucket(Bucket=self.bucket)
        told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if not told:
            raise SourceError(f"{self.name}: the service does not say its time (header Date), so no moment has a name")
        return parsedate_to_datetime(told).astimezone(UTC)

    def fetch(self, key: str, version: str) -> tuple[dict[str, Any], BinaryIO]:
        """A version's attributes, and its content to be read once and closed.

        :raises ObjectMissing: when there is no such version.
        """
        with self._answers(key):
            answer = self.client.get_object(Bucket=self.bucket, Key=key, VersionId=version)
        stream = ResumingDownload(self.client, self.bucket, key, self._answers, version=version, answer=answer)
        return attributes_of(answer), cast(BinaryIO, stream)

    def about(self, key: str, version: str | None = None) -> Mapping[str, Any]:
        """boto3's answer to HEAD."""
        wanted: dict[str, Any] = {} if version is None else {"VersionId": version}
        with self._answers(key):
            return cast(Mapping[str, Any], self.client.head_object(Bucket=self.bucket, Key=key, **wanted))

    def store(
        self, key: str, content: BinaryIO, size: int, attributes: Attributes, *, own: Mapping[str, str] | None = None,
        expected: str = "",
    ) -> tuple[str, str]:  # fmt: skip
        """Write a new version, in flat memory.

        :param own: Lifeboat's metadata on it.
        :param expected: the digest that it must have; it never becomes visible with another.
        :return: the id of the new version, and its digest.
        :raises Damaged: when the content has another digest, or another size.
        """
        request = {"Bucket": self.bucket, "Key": key, **as_request(attributes, own)}
        if size <= WHOLE_BYTES:
            data = content.read(size + 1)
            found = self._checked(key, len(data), size, hashlib.sha256(data).hexdigest(), attributes, expected)
            with self._answers(key):
                answer = self.client.put_object(**request, Body=data, ContentMD5=_md5(data))
            return answer.get("VersionId", "null"), found
        with self._answers(key):
            upload = self.client.create_multipart_upload(**request)["UploadId"]
        try:
            return self._store_parts(key, upload, content, size, attributes, expected)
        except BaseException:
            self._give_up(key, upload)
            raise

    def copy_on_top(self, key: str, version: str, size: int) -> None:
        """Make an older version the current one again, as a new version; the service copies by itself."""
        source: Any = {"Bucket": self.bucket, "Key": key, "VersionId": version}
        if size <= COPIED_WHOLE_BYTES:
            with self._answers(key):
                self.client.copy_object(Bucket=self.bucket, Key=key, CopySource=source, MetadataDirective="COPY")
            return
        request = as_request(attributes_of(self.about(key, version)))
        with self._answers(key):
            upload = self.client.create_multipart_upload(Bucket=self.bucket, Key=key, **request)["UploadId"]
        try:
            length = max(COPIED_WHOLE_BYTES, -(-size // _MOST_PARTS))
            done: list[Any] = []
            for number, begin in enumerate(range(0, size, length), 1):
                end = min(begin + length, size) - 1
                with self._answers(key):
                    answer = self.client.upload_part_copy(
                        Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=number, CopySource=source,
                        CopySourceRange=f"bytes={begin}-{end}",
                    )  # fmt: skip
                done.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
            self._complete(key, upload, done)
        except BaseException:
            self._give_up(key, upload)
            raise

    def unfinished(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Multipart uploads in progress; their keys may hold what XML cannot."""
        marker: dict[str, Any] = {}
        while True:
            with self._answers(prefix):
                page = self.client.list_multipart_uploads(
                    Bucket=self.bucket, Prefix=prefix, EncodingType="url", **marker
                )
            # radosgw encodes keys when it is asked to, without saying so, and leaves the next page's marker as it is.
            found = [
                UnfinishedUpload(unquote_plus(upload["Key"]), upload["UploadId"], upload["Initiated"])
                for upload in page.get("Uploads", ())
            ]
            yield from found
            if not page.get("IsTruncated") or not found:
                return
            marker = {"KeyMarker": found[-1].key, "UploadIdMarker": found[-1].id}

    def _connect(self) -> S3Client:
        client = super()._connect()
        client.meta.events.register("before-parse.s3.ListObjectVersions", read_page)
        client.meta.events.register("before-parse.s3.ListMultipartUploads", mend)
        return client

    def _page(self, prefix: str, begin: tuple[str, str] | None) -> tuple[list[Version], tuple[str, str] | None]:
        marker: dict[str, Any] = {} if begin is None else {"KeyMarker": begin[0], "VersionIdMarker": begin[1]}
        with self._answers(prefix):
            answer: Any = self.client.list_object_versions(
                Bucket=self.bucket, Prefix=prefix, MaxKeys=self.page_keys, **marker
            )
        if ROWS not in answer:
            raise SourceError(f"{self.name}: what lists bucket {self.bucket} is no S3 service that keeps versions")
        return answer[ROWS], answer[FOLLOWING]

    def _store_parts(
        self, key: str, upload: str, content: BinaryIO, size: int, attributes: Attributes, expected: str
    ) -> tuple[str, str]:
        sha, read = hashlib.sha256(), 0
        done: list[Any] = []
        length = max(WHOLE_BYTES, -(-size // _MOST_PARTS))
        while data := content.read(length):
            sha.update(data)
            read += len(data)
            with self._answers(key):
                answer = self.client.upload_part(
                    Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=len(done) + 1, Body=data,
                    ContentMD5=_md5(data),
                )  # fmt: skip
            done.append({"PartNumber": len(done) + 1, "ETag": answer["ETag"]})
        found = self._checked(key, read, size, sha.hexdigest(), attributes, expected)
        return self._complete(key, upload, done), found

    def _complete(self, key: str, upload: str, done: list[Any]) -> str:
        with self._answers(key):
            answer = self.client.complete_multipart_upload(
                Bucket=self.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done}
            )
        # Where the answer does not name the version, the current one is ours: versions are only added on top.
        return answer.get("VersionId") or str(self.about(key).get("VersionId", "null"))

    def _give_up(self, key: str, upload: str) -> None:
        try:
            with self._answers(key):
                self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
        except Exception:  # noqa: S110 - the failure that led here matters more
            pass

    def _checked(self, key: str, read: int, size: int, sha: str, attributes: Attributes, expected: str) -> str:
        found = digest(sha, attributes)
        if read != size or (expected and found != expected):
            raise Damaged(f"{self._where(key)}: what was read for it is not what was backed up; it was not written")
        return found


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
