"""The streaming download that survives a broken connection: it goes on where it was, in the same version."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from include.recovery.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3.client import S3Client

    from include.recovery.stores.s3 import Answers

RESUMES = 5
"""How often one download may break before it counts as the store being down."""


class ResumingDownload(io.RawIOBase):
    """An object's bytes, read once from start to end."""

    def __init__(
        self, client: S3Client, bucket: str, key: str, answers: Answers, *, version: str | None, answer: Any
    ) -> None:
        self._client, self._bucket, self._key, self._answers = client, bucket, key, answers
        self._version = version
        self._body: StreamingBody = answer["Body"]
        self._etag: str = answer["ETag"]
        self._size: int = answer["ContentLength"]
        self._position = 0
        self._resumes_left = RESUMES

    @classmethod
    def begin(cls, client: S3Client, bucket: str, key: str, answers: Answers, version: str | None = None) -> BinaryIO:
        """Ask for the object.

        :raises ObjectMissing: when there is none.
        """
        with answers(key):
            wanted: dict[str, Any] = {} if version is None else {"VersionId": version}
            answer = client.get_object(Bucket=bucket, Key=key, **wanted)
        return cast(BinaryIO, cls(client, bucket, key, answers, version=version, answer=answer))

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes; fewer only at the end.

        :raises StoreUnavailable: when the connection broke more often than it may.
        """
        wanted = self._size - self._position
        if size >= 0:
            wanted = min(wanted, size)
        pieces = []
        while wanted > 0:
            piece = self._read_some(wanted)
            pieces.append(piece)
            wanted -= len(piece)
            self._position += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readall(self) -> bytes:
        """Everything that is left."""
        return self.read(-1)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; see ``read``."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Give the connection up."""
        self._body.close()
        super().close()

    def _read_some(self, wanted: int) -> bytes:
        while True:
            try:
                with self._answers(self._key):
                    piece = self._body.read(wanted)
            except StoreUnavailable:
                if self._resumes_left == 0:
                    raise
            else:
                if piece:
                    return piece
                if self._resumes_left == 0:
                    raise StoreUnavailable(f"object {self._key}: the connection ended {wanted} bytes early, again")
            self._resumes_left -= 1
            self._resume()

    def _resume(self) -> None:
        self._body.close()
        wanted: dict[str, Any] = {} if self._version is None else {"VersionId": self._version}
        with self._answers(self._key):
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._key, Range=f"bytes={self._position}-", **wanted
            )
        if answer["ETag"] != self._etag:
            raise StoreError(f"object {self._key} was replaced while it was being read; read it again from the start")
        self._body = answer["Body"]
