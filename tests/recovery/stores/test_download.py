"""A download goes on where its connection broke, and tells when it cannot."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from include.recovery.errors import StoreError, StoreUnavailable
from include.recovery.stores.s3 import S3Store

CONTENT = os.urandom(300_000)


@dataclass
class Flaky:
    """An S3 service at its network boundary: it hangs up after some bytes, again and again."""

    bytes_before_hanging_up: int
    etags: list[str] = field(default_factory=lambda: ['"one"'])
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        span = handler.headers.get("Range", "bytes=0-")
        self.requests.append(span)
        start = int(span.removeprefix("bytes=").rstrip("-"))
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(CONTENT) - start))
        handler.send_header("ETag", self.etags.pop(0) if len(self.etags) > 1 else self.etags[0])
        handler.end_headers()
        handler.wfile.write(CONTENT[start : start + self.bytes_before_hanging_up])


def serve(flaky: Flaky) -> Iterator[S3Store]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            flaky.answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    yield S3Store("flaky", "bucket", endpoint_url=url, access_key="a", secret_key="s")
    server.shutdown()
    server.server_close()


@pytest.fixture
def flaky() -> Flaky:
    return Flaky(100_000)


@pytest.fixture
def store(flaky: Flaky) -> Iterator[S3Store]:
    yield from serve(flaky)


def test_goes_on_where_it_broke(flaky: Flaky, store: S3Store) -> None:
    with store.open("key") as stream:
        pieces = list(iter(lambda: stream.read(64 * 1024), b""))
    assert b"".join(pieces) == CONTENT
    assert flaky.requests == ["bytes=0-", "bytes=100000-", "bytes=200000-"]


def test_gives_up_after_some_breaks(flaky: Flaky, store: S3Store) -> None:
    flaky.bytes_before_hanging_up = 1000
    with store.open("key") as stream, pytest.raises(StoreUnavailable):
        stream.read()


def test_notices_that_the_object_was_replaced_meanwhile(flaky: Flaky, store: S3Store) -> None:
    flaky.etags = ['"one"', '"two"']
    with store.open("key") as stream, pytest.raises(StoreError, match="replaced"):
        stream.read()


def test_says_which_service_does_not_answer() -> None:
    store = S3Store("gone", "bucket", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="s")
    with pytest.raises(StoreUnavailable, match=r"store gone: object key in bucket bucket.*127\.0\.0\.1:9"):
        store.get("key")
