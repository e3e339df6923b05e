"""An S3 endpoint that lists buckets of any size which nobody has filled: versions by number.

    python -m tests.benchmarks.listing_server PORT OBJECTS

Filling radosgw with 100,000 objects takes twenty minutes, and its own listing is slower than what is measured. This
server answers what a listing asks, and nothing else: it stands in for S3 at the network, and leaves unproven how quick
a real service lists. Pages are kept, so that they cost it nothing when they are asked for again.

Bucket ``uploads`` is as it was backed up: each object has one version, and of each hundred the third is missing. In
bucket ``damaged``, of each hundred the first was overwritten since, the second deleted, and the third created.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from include.lab.ports import LOOPBACK
from include.recovery.objects.listing import Version

WHOLE, DAMAGED = "uploads", "damaged"
PREFIX = "users/"
_PAGE = 1000
_BACKED_UP = 1_790_000_000_000
_SINCE = _BACKED_UP + 3_600_000
_SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def key(number: int) -> str:
    """Of an object; in the order of the numbers."""
    return f"{PREFIX}{number // 1000:06}/photo-{number:09}.jpg"


def backed_up(number: int) -> Version | None:
    """The version that an object had when it was backed up."""
    if number % 100 == 2:
        return None
    return Version(key(number), f"v1-{number:027}", _BACKED_UP, 1000 + number % 5000, _etag(number, "1"))


def now(number: int, bucket: str) -> Iterator[Version]:
    """The versions that an object has now, newest first."""
    before = backed_up(number)
    if bucket == DAMAGED and number % 100 in (0, 2):
        yield Version(key(number), f"v2-{number:027}", _SINCE, 9, _etag(number, "2"))
    if bucket == DAMAGED and number % 100 == 1:
        yield Version(key(number), f"v2-{number:027}", _SINCE, 0, "", marker=True)
    if before is not None:
        yield before


def changed(objects: int) -> int:
    """How many of them are not as they were backed up."""
    return sum(number % 100 <= 2 for number in range(objects))


@functools.cache
def page(bucket: str, begin: int, objects: int) -> bytes:
    """Answer to ``list_object_versions`` for some objects, and where the next begins."""
    end = min(begin + _PAGE, objects)
    objects_here = (list(now(number, bucket)) for number in range(begin, end))
    rows = "".join(_row(version, latest=version is found[0]) for found in objects_here for version in found)
    more = (
        f"<IsTruncated>true</IsTruncated><NextKeyMarker>{end}</NextKeyMarker><NextVersionIdMarker>{end}"
        "</NextVersionIdMarker>"
    )
    truncated = more if end < objects else "<IsTruncated>false</IsTruncated>"
    head = f"<Name>{bucket}</Name><Prefix></Prefix><EncodingType>url</EncodingType>{truncated}"
    return f'<?xml version="1.0"?><ListVersionsResult {_SPACE}>{head}{rows}</ListVersionsResult>'.encode()


class Handler(BaseHTTPRequestHandler):
    """Answers."""

    protocol_version = "HTTP/1.1"
    objects = 0

    def do_HEAD(self) -> None:
        """The clock."""
        self._answer(b"")

    def do_GET(self) -> None:
        """A page."""
        asked = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "versions" in asked:
            bucket = urlsplit(self.path).path.strip("/")
            self._answer(page(bucket, int(asked.get("key-marker", ["0"])[0]), self.objects))
        else:
            self.send_error(501)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _etag(number: int, version: str) -> str:
    return hashlib.md5(f"{number} {version}".encode(), usedforsecurity=False).hexdigest()


def _row(version: Version, *, latest: bool) -> str:
    about = (
        f"<Key>{version.key}</Key><VersionId>{version.id}</VersionId><IsLatest>{str(latest).lower()}</IsLatest>"
        f"<LastModified>{datetime.fromtimestamp(version.modified / 1000, UTC):%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
    )
    owner = "<Owner><ID>benchmark</ID><DisplayName>benchmark</DisplayName></Owner>"
    if version.marker:
        return f"<DeleteMarker>{about}{owner}</DeleteMarker>"
    held = f"<ETag>&quot;{version.etag}&quot;</ETag><Size>{version.size}</Size><StorageClass>STANDARD</StorageClass>"
    return f"<Version>{about}{held}{owner}</Version>"


if __name__ == "__main__":
    Handler.objects = int(sys.argv[2])
    for begin in range(0, Handler.objects, _PAGE):
        for bucket in (WHOLE, DAMAGED):
            page(bucket, begin, Handler.objects)
    ThreadingHTTPServer((LOOPBACK, int(sys.argv[1])), Handler).serve_forever()
