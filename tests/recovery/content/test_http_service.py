"""Answers, refusals and connections that break, of a server in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from include.recovery.connections import ConnectionInfo
from include.recovery.content.http_service import Answered, HttpService, address
from include.recovery.errors import LifeboatError, SourceUnavailable
from include.recovery.jobs import Stopped

SECRET = "never-shown-token"


class Answers(BaseHTTPRequestHandler):
    """By path."""

    def do_GET(self) -> None:
        status = int(self.path[1:]) if self.path[1:].isdigit() else 200
        body = {"/json": b'{"a": 1}', "/text": b"hello", "/empty": b""}.get(self.path, b"x" * 3_000_000)
        if status != 200:
            body = b"no, and   why"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) + (self.path == "/short")))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.send_response(307)
        self.send_header("Location", "/json")
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_json_and_nothing(url: str) -> None:
    with HttpService("it", url) as service:
        assert service.ask("GET", "/json") == {"a": 1}
        assert service.ask("GET", "/empty") is None
        with pytest.raises(Answered, match="answers /text with no JSON"):
            service.ask("GET", "/text")


@pytest.mark.parametrize(("status", "kind"), [(403, Answered), (404, Answered), (429, SourceUnavailable),
                                              (503, SourceUnavailable)])  # fmt: skip
def test_a_refusal_names_who_what_and_why_and_shows_no_secret(url: str, status: int, kind: type[Exception]) -> None:
    with HttpService("it", url, headers={"X-Token": SECRET}) as service:
        with pytest.raises(kind, match=f"it at {url} answers /{status} with {status}: no, and why") as asked:
            service.ask("GET", f"/{status}")
        with pytest.raises(kind, match="no, and why"), service.open(f"/{status}"):
            pytest.fail("opened")
    assert SECRET not in str(asked.value)


def test_a_stream_flows_and_one_that_breaks_off_is_told(url: str) -> None:
    with HttpService("it", url) as service:
        with service.open("/long") as stream:
            assert len(stream.read()) == 3_000_000
        with pytest.raises(SourceUnavailable, match="went away"), service.open("/short") as stream:
            stream.read()


def test_a_stopped_stream_ends(url: str) -> None:
    stop = threading.Event()
    with HttpService("it", url, stop=stop) as service, service.open("/long") as stream:
        stream.read(10)
        stop.set()
        with pytest.raises(Stopped):
            stream.read()


def test_nobody_there_is_worth_another_try() -> None:
    with HttpService("it", "http://127.0.0.1:1") as service, pytest.raises(SourceUnavailable, match="does not answer"):
        service.ask("GET", "/")


def test_a_stream_is_not_sent_twice(url: str) -> None:
    with HttpService("it", url) as service, pytest.raises(LifeboatError, match="with 307"):
        service.ask("POST", "/", content=iter([b"x"]))


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (ConnectionInfo("c", host="https://a.test:8443/base"), "https://a.test:8443/base"),
        (ConnectionInfo("c", host="a.test"), "https://a.test:99"),
        (ConnectionInfo("c", host="a.test", port=7, extra={"scheme": "http"}), "http://a.test:7"),
    ],
)
def test_the_address_of_a_connection(connection: ConnectionInfo, expected: str) -> None:
    assert address(connection, port=99) == expected
