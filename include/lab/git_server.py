"""Git over HTTPS with a password on loopback: ``git http-backend`` behind a small server, fetching and pushing.

Run as ``python -m include.lab.git_server PORT FOLDER CERTIFICATE KEY``; the password is in ``LAB_GIT_PASSWORD``. Each
request of git is handled in memory, so it is good for repositories of a few hundred megabytes.
"""

from __future__ import annotations

import base64
import hmac
import os
import ssl
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from include.lab.ports import LOOPBACK
from include.lab.source_connections import GIT_USER

PASSWORD_VARIABLE = "LAB_GIT_PASSWORD"  # noqa: S105  the name of a variable


class GitServer(ThreadingHTTPServer):
    """One server.

    :param folder: holds bare repositories.
    :param password: of ``GIT_USER``.
    """

    daemon_threads = True

    def __init__(self, port: int, folder: Path, password: str, tls: ssl.SSLContext) -> None:
        self.folder = folder
        self.right = "Basic " + base64.b64encode(f"{GIT_USER}:{password}".encode()).decode()
        self.tls = tls
        super().__init__((LOOPBACK, port), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the request's own thread: a client that says nothing holds nobody else up."""
        request.settimeout(60)
        with self.tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or does not trust us, is no news."""
        print(f"{client_address}: {sys.exc_info()[1]}", file=sys.stderr)


class _Handler(BaseHTTPRequestHandler):
    server: GitServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        if not hmac.compare_digest(self.headers.get("Authorization", ""), self.server.right):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "REMOTE_USER": GIT_USER,
            "REMOTE_ADDR": LOOPBACK,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        argv = ["git", "http-backend"]
        done = subprocess.run(argv, env=environment, input=self._body(), capture_output=True, check=False)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("utf-8", "replace").splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)


def main(port: int, folder: Path, certificate: Path, key: Path) -> None:
    """Serve until told to stop."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    tls.load_cert_chain(certificate, key)
    GitServer(port, folder, os.environ.pop(PASSWORD_VARIABLE), tls).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), *(Path(word) for word in sys.argv[2:5]))
