"""The streaming upload behind ``S3Store.writer``: bounded memory, whatever the size.

    caller ──write()──> buffer of one part ──queue──> 2 upload threads ──UploadPart──> store
                              ^                             │
                              └───── emptied buffers ───────┘

There are at most three buffers (one filling, two on their way), reused for the whole stream and allocated
only when the stream grows that long: a small object is one buffer and one PUT.
"""

from __future__ import annotations

import base64
import queue
import threading
import zlib
from types import TracebackType
from typing import TYPE_CHECKING, Self

from include.recovery.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

    from include.recovery.stores.s3 import Answers

PART_BYTES = 5 * 1024 * 1024
"""The smallest that S3 allows: memory is three of them for each stream, and a small database needs them all too."""
UPLOAD_THREADS = 2
BUFFERS = UPLOAD_THREADS + 1
MAX_PARTS = 10_000
"""S3's own limit. Longer streams belong into several objects."""


class MultipartWriter:
    """One object on its way into a bucket. Nothing exists under the key until ``commit`` returns.

    Each part carries its CRC-32, which AWS checks; over plain HTTP the client also signs a SHA-256 of it, which every
    S3 service checks (``s3.py``).

    :param answers: turns boto3's errors into those of a store.
    :param part_bytes: size of all parts but the last; at least 5 MiB, by S3's rules.
    """

    def __init__(
        self, client: S3Client, bucket: str, key: str, answers: Answers, *, part_bytes: int = PART_BYTES
    ) -> None:
        self._client, self._bucket, self._key, self._answers = client, bucket, key, answers
        self._part_bytes = part_bytes
        self._buffer = bytearray(part_bytes)
        self._filled = 0
        self._spare: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self._spares_left = BUFFERS - 1
        self._waiting: queue.SimpleQueue[tuple[int, bytearray] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._upload_id: str | None = None
        self._sent = 0
        self._done: list[CompletedPartTypeDef] = []
        self._failure: BaseException | None = None
        self._finished = False

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes; blocks while all buffers are on their way.

        :raises StoreError: what an upload thread met, at the next write after it.
        """
        view = memoryview(data)
        while view:
            if self._filled == self._part_bytes:
                self._send(self._buffer)
                self._buffer, self._filled = self._empty_buffer(), 0
            taken = min(len(view), self._part_bytes - self._filled)
            self._buffer[self._filled : self._filled + taken] = view[:taken]
            self._filled += taken
            view = view[taken:]

    def commit(self) -> str:
        """Send what is left and make the object visible."""
        del self._buffer[self._filled :]
        if self._upload_id is None:
            etag = self._put_whole(bytes(self._buffer))
        else:
            self._send(self._buffer)
            etag = self._complete()
        self._finished = True
        return etag

    def abort(self) -> None:
        """Stop the threads and throw away what was uploaded.

        When even that fails, the parts stay behind as an unfinished upload, which the sweep finds.
        """
        if self._finished:
            return
        self._finished = True
        self._failure = self._failure or StoreError("aborted")
        self._stop_threads()
        if self._upload_id is not None:
            upload_id = self._upload_id
            try:
                with self._answers(self._key):
                    self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=upload_id)
            except Exception:  # noqa: S110 - the failure that led here matters more, and the sweep cleans up
                pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _put_whole(self, data: bytes) -> str:
        with self._answers(self._key):
            answer = self._client.put_object(Bucket=self._bucket, Key=self._key, Body=data, ChecksumCRC32=_crc32(data))
        return answer["ETag"].strip('"')

    def _complete(self) -> str:
        self._stop_threads()
        self._raise_failure()
        assert self._upload_id is not None
        parts = sorted(self._done, key=lambda part: part["PartNumber"])
        with self._answers(self._key):
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self._key, UploadId=self._upload_id, MultipartUpload={"Parts": parts}
            )
            # radosgw completes with an empty ETag; HEAD knows it. The size also proves that nothing is missing.
            head = self._client.head_object(Bucket=self._bucket, Key=self._key)
        return head["ETag"].strip('"')

    def _send(self, buffer: bytearray) -> None:
        self._raise_failure()
        if self._upload_id is None:
            with self._answers(self._key):
                self._upload_id = self._client.create_multipart_upload(
                    Bucket=self._bucket, Key=self._key, ChecksumAlgorithm="CRC32"
                )["UploadId"]
            self._threads = [
                threading.Thread(target=self._upload, name=f"upload {self._key} {n}", daemon=True)
                for n in range(UPLOAD_THREADS)
            ]
            for thread in self._threads:
                thread.start()
        self._sent += 1
        if self._sent > MAX_PARTS:
            raise StoreError(
                f"object {self._key} needs more than {MAX_PARTS} parts, the most that S3 allows; "
                "split the stream into volumes"
            )
        self._waiting.put((self._sent, buffer))

    def _upload(self) -> None:
        """Life of an upload thread: until told to stop, or something fails."""
        assert self._upload_id is not None
        while (job := self._waiting.get()) is not None:
            number, buffer = job
            if self._failure is None:
                try:
                    checksum = _crc32(buffer)
                    with self._answers(self._key):
                        answer = self._client.upload_part(
                            Bucket=self._bucket,
                            Key=self._key,
                            UploadId=self._upload_id,
                            PartNumber=number,
                            Body=buffer,  # type: ignore[arg-type]  # boto3 takes a bytearray; its stubs do not know
                            ChecksumCRC32=checksum,
                        )
                    self._done.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC32": checksum})
                except BaseException as error:
                    self._failure = error
            self._spare.put(buffer)

    def _empty_buffer(self) -> bytearray:
        """A buffer to fill: a new one while not all exist, else the next that an upload thread gives back."""
        if self._spares_left > 0 and self._spare.empty():
            self._spares_left -= 1
            return bytearray(self._part_bytes)
        buffer = self._spare.get()
        self._raise_failure()
        return buffer

    def _stop_threads(self) -> None:
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _crc32(data: bytes | bytearray) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode("ascii")
