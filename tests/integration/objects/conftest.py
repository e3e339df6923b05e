"""A bucket of uploads in one region, its replica in the other, and ways to damage them."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.lab.ports import LOOPBACK
from include.recovery.objects.bucket import Bucket
from include.recovery.objects.changes import Doubt

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from include.recovery.connections import ConnectionInfo
    from tests.fixtures.content import ContentPlace
    from tests.fixtures.servers import ObjectStores
    from tests.fixtures.shared import SharedServers

MIB = 1024 * 1024


@dataclass
class Uploads:
    """The two buckets, and the source that is made of them."""

    here: Bucket
    there: Bucket
    place: ContentPlace
    clusters: Path
    doubts: list[Doubt] = field(default_factory=list)

    @property
    def s3(self) -> S3Client:
        """As the application uses it."""
        return self.here.client

    def put(self, key: str, content: bytes, **more: Any) -> str:
        """Upload; the id of the version."""
        return self.s3.put_object(Bucket=self.here.bucket, Key=key, Body=content, **more)["VersionId"]

    def put_in_parts(self, key: str, *parts: bytes, **more: Any) -> str:
        """Upload in parts; the id of the version."""
        upload = self.begin(key, *parts, **more)
        return self.complete(key, upload)

    def begin(self, key: str, *parts: bytes, **more: Any) -> str:
        """Begin an upload, send its parts, and leave it so."""
        where = {"Bucket": self.here.bucket, "Key": key}
        upload = self.s3.create_multipart_upload(**where, **more)["UploadId"]
        for number, part in enumerate(parts, 1):
            self.s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=part)
        return upload

    def complete(self, key: str, upload: str) -> str:
        """Complete an upload; the id of the version."""
        where = {"Bucket": self.here.bucket, "Key": key, "UploadId": upload}
        parts = [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in self.s3.list_parts(**where)["Parts"]]
        self.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        return self.s3.head_object(Bucket=self.here.bucket, Key=key)["VersionId"]

    def delete(self, key: str, version: str | None = None) -> None:
        """As people do, or for good."""
        self.here.delete(key, version)

    def content(self) -> dict[str, bytes]:
        """What plain reads see, every byte."""
        with ThreadPoolExecutor(8) as pool:
            keys = [info.key for info in self.here.list("")]
            return dict(zip(keys, pool.map(lambda key: self.here.get(key)[0], keys), strict=True))

    def versions(self, bucket: Bucket | None = None) -> dict[tuple[str, str], bytes | None]:
        """Every version, every byte; None for delete markers."""
        which = bucket or self.here
        with ThreadPoolExecutor(8) as pool:
            found = list(which.history(""))
            contents = pool.map(lambda v: None if v.marker else which.get(v.key, v.id)[0], found)
            return dict(zip([(v.key, v.id) for v in found], contents, strict=True))

    def now(self) -> Any:
        """A whole second by the bucket's clock that is over, a second after all that was done before."""
        time.sleep(1.05)
        return self.here.clock()

    def rot(self, bucket: Bucket, key: str, version: str, content: bytes) -> None:
        """Change what the region's disk holds of a small version, behind the back of its service."""
        region = "primary" if bucket is self.here else "offsite"
        rados = ["rados", "-c", str(self.clusters / region / "ceph.conf"), "-p", "default.rgw.buckets.data"]
        names = subprocess.run([*rados, "ls"], check=True, capture_output=True, text=True).stdout.splitlines()
        (name,) = (each for each in names if each.endswith(f"__:{version}_{key}"))
        subprocess.run([*rados, "put", name, "-"], check=True, input=content)
        assert bucket.get(key, version)[0] == content


@pytest.fixture
def make_uploads(
    content_place: Callable[..., ContentPlace], object_stores: ObjectStores, shared_servers: SharedServers
) -> Callable[..., Uploads]:
    """Makes the buckets and the source."""

    def make(
        *, versioned: tuple[bool, bool] = (True, True), primary: dict[str, Any] | None = None,
        offsite: dict[str, Any] | None = None, **more: Any,
    ) -> Uploads:  # fmt: skip
        name = f"uploads-{uuid.uuid4().hex[:8]}"
        buckets = []
        for store, bucket, keeps in zip(
            ("primary", "offsite"), (name, f"{name}-replica"), versioned, strict=True
        ):
            found = Bucket.of(store, bucket, object_stores.connections[store])
            found.client.create_bucket(Bucket=bucket)
            if keeps:
                found.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
            buckets.append(found)
        place = content_place(
            {
                "kind": "objects", "name": "uploads", "connection": "uploads_east", "bucket": name,
                "replica": {"connection": "uploads_west", "bucket": f"{name}-replica"}, "threads": 2, **more,
            },
            connections={
                "uploads_east": as_connection(object_stores.connections["primary"], primary),
                "uploads_west": as_connection(object_stores.connections["offsite"], offsite),
            },
        )  # fmt: skip
        return Uploads(*buckets, place, shared_servers.directory)

    return make


@pytest.fixture
def uploads(make_uploads: Callable[..., Uploads]) -> Uploads:
    """Both buckets as they should be, empty."""
    return make_uploads()


def as_connection(info: ConnectionInfo, change: dict[str, Any] | None) -> dict[str, Any]:
    """As Airflow keeps it."""
    extra = {**info.extra, **(change or {}).get("extra", {})}
    return {"conn_type": "aws", "login": info.login, "password": info.password, **(change or {}), "extra": extra}


class Wire:
    """A connection to a service that can be cut: forwards bytes from a port of its own.

    :ivar cut_when: told how many bytes went through; when it says so, the wire is cut.
    """

    def __init__(self, endpoint: str) -> None:
        self._target = (LOOPBACK, int(endpoint.rpartition(":")[2]))
        self._listening = socket.create_server((LOOPBACK, 0))
        self._open: list[socket.socket] = []
        self.endpoint = f"https://{LOOPBACK}:{self._listening.getsockname()[1]}"
        self.cut_when: Callable[[int], bool] = lambda sent: False
        self.sent = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close everything; nobody is let in any more."""
        for each in (self._listening, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                self.sent += len(data)
                if self.cut_when(self.sent):
                    self.cut()
                    return
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


@pytest.fixture
def wire(object_stores: ObjectStores) -> Iterator[Callable[[str], Wire]]:
    """Makes a wire to a region's service."""
    made: list[Wire] = []

    def make(store: str) -> Wire:
        made.append(Wire(object_stores.connections[store].extra["endpoint_url"]))
        return made[-1]

    yield make
    for each in made:
        each.cut()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is gone is given up at once, not after a minute."""
    from botocore.retries import standard

    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", lambda self, context: 0.01)


