"""Repositories with everything in them, and servers for them: HTTP with a password, and ssh."""

from __future__ import annotations

import base64
import os
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from include.lab.ports import LOOPBACK, free_ports, listens
from include.lab.tls import Certificates

LOGIN, PASSWORD = "backup-robot", "s3cret: wi'th \"odd\" $signs"
_PERSON = {
    "GIT_AUTHOR_NAME": "A. Nobody", "GIT_AUTHOR_EMAIL": "nobody@example.org",
    "GIT_COMMITTER_NAME": "A. Nobody", "GIT_COMMITTER_EMAIL": "nobody@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8",
}  # fmt: skip


def run_git(*words: str | bytes | Path, data: bytes | None = None, **more: str) -> str:
    """Git as people use it."""
    env = {"PATH": os.environ["PATH"], **_PERSON, **more}
    done = subprocess.run(["git", *words], env=env, input=data, capture_output=True, check=False)
    assert done.returncode == 0, f"git {words}: {done.stderr.decode()}"
    return done.stdout.decode("utf-8", "surrogateescape").strip()


@dataclass
class Repo:
    """A repository with a working tree."""

    path: Path
    made: int = 0

    @property
    def own(self) -> Path:
        """Its own folder."""
        return self.path / ".git"

    def git(self, *words: str | bytes | Path, data: bytes | None = None, **more: str) -> str:
        return run_git("-C", self.path, *words, data=data, **more)

    def write(self, files: Mapping[str | bytes, bytes | str]) -> None:
        for name, content in files.items():
            path = Path(os.fsdecode(os.fsencode(self.path) + b"/" + os.fsencode(name)))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, message: str, files: Mapping[str | bytes, bytes | str] | None = None) -> str:
        """A commit of everything, a minute after the one before."""
        self.made += 1
        self.write(files or {f"file-{self.made}": f"{message}\n"})
        at = f"2026-01-02T03:{self.made:02d}:00Z"
        self.git("add", "--all", "--force", ".")
        self.git("commit", "--quiet", "--message", message, GIT_AUTHOR_DATE=at, GIT_COMMITTER_DATE=at)
        return self.git("rev-parse", "HEAD")

    def refs(self) -> dict[str, str]:
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ") for line in lines)


@pytest.fixture
def new_repo(tmp_path: Path) -> Callable[..., Repo]:
    """Makes empty repositories."""

    def make(name: str = "labdojo", *words: str, branch: str = "main") -> Repo:
        repo = Repo(tmp_path / "repositories" / name)
        repo.path.mkdir(parents=True)
        repo.git("init", "--quiet", f"--initial-branch={branch}", *words)
        return repo

    return make


@pytest.fixture
def small(new_repo: Callable[..., Repo]) -> Repo:
    """A repository with a few commits, a branch and a tag."""
    repo = new_repo()
    repo.commit("one", {"src/app.py": "print('one')\n", "README": "hello\n"})
    repo.commit("two", {"src/app.py": "print('two')\n"})
    repo.git("tag", "--annotate", "v1", "--message", "the first")
    repo.git("branch", "feature/x", "HEAD~1")
    repo.commit("three", {"src/app.py": "print('three')\n"})
    return repo


@pytest.fixture
def rich(new_repo: Callable[..., Repo], tmp_path: Path) -> Repo:
    """A repository with everything that a backup could lose."""
    repo = new_repo(branch="trunk")
    long_path = "/".join(["a-folder-whose-name-is-long" * 4] * 30) + "/file"
    repo.commit("one", {
        "src/app.py": "print('one')\n",
        "web/index.html": "<p>\r\n",
        "web/node_modules/left-pad/index.js": "module.exports = 1\n",
        "dist/app.js": "minified\n",
        ".gitattributes": "secret.txt export-ignore\n*.txt text eol=crlf\nversion.py export-subst ident\n",
        "secret.txt": "kept all the same\n",
        "version.py": "at = '$Format:%H$' # $Id$\n",
        "empty": b"",
        "with\nnewline": "odd\n",
        "-dash and space ": "odd\n",
        b"latin-\xe4\xff": "no UTF-8\n",
        long_path: f"at the end of {len(long_path)} characters\n",
        "data.bin": os.urandom(200_000),
    })  # fmt: skip
    (repo.path / "run.sh").write_text("#!/bin/sh\n")
    (repo.path / "run.sh").chmod(0o755)
    (repo.path / "link").symlink_to("../outside of it")
    first = repo.commit("two", {"src/app.py": "print('two')\n"})
    key = tmp_path / "signing"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    signing = ("-c", "gpg.format=ssh", "-c", f"user.signingKey={key}")
    repo.git("tag", "--annotate", "v1", "--message", "annotated")
    repo.git(*signing, "tag", "--sign", "v2", "--message", "signed")
    repo.git("tag", "of-a-tag", "v2")
    repo.git("tag", "a-blob", "HEAD:src/app.py")
    repo.git("tag", "a-tree", "HEAD^{tree}")
    repo.git("notes", "add", "--message", "a note", first)
    repo.commit("three")
    for name in ("main", "refs/heads/trunk", "ünï/cödé", "we'ird\"$(x)`{&", "@"):
        repo.git("update-ref", f"refs/heads/{name}", first)
    repo.git("update-ref", b"refs/heads/latin-\xe4", first)
    repo.git("update-ref", "refs/somewhere/else", first)
    repo.git("update-ref", "refs/remotes/origin/trunk", first)
    repo.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    repo.write({"src/app.py": "print('stashed')\n"})
    repo.git("stash")
    repo.git("checkout", "--quiet", "--orphan", "pages")
    repo.git("rm", "-r", "--quiet", "--cached", ".")
    repo.git("commit", "--quiet", "--allow-empty", "--message", "nothing in common")
    repo.git("checkout", "--quiet", "--force", "trunk")
    return repo


@dataclass
class HttpServer:
    """``git http-backend`` behind a password.

    :param break_after: bytes of an answer after which the connection is cut; None lets all through.
    """

    root: Path
    port: int
    scheme: str = "http"
    seen: list[str] = field(default_factory=list)
    break_after: int | None = None

    def url(self, name: str) -> str:
        return f"{self.scheme}://{LOOPBACK}:{self.port}/{name}"

    def connection(self, **more: Any) -> dict[str, Any]:
        return {"code": {"login": LOGIN, "password": PASSWORD, **more}}


@pytest.fixture
def http_server(tmp_path: Path) -> Iterator[HttpServer]:
    """Serves the bare repositories below ``tmp_path/served``; pushing is allowed."""
    with serving(tmp_path / "served", None) as served:
        yield served


@pytest.fixture
def https_server(tmp_path: Path, certificates: Certificates) -> Iterator[HttpServer]:
    """The same over TLS, with a certificate of an authority that no machine knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    with serving(tmp_path / "served", context) as served:
        yield served


@contextmanager
def serving(root: Path, context: ssl.SSLContext | None) -> Iterator[HttpServer]:
    """Serve the bare repositories below a folder."""
    served = HttpServer(root, free_ports(1)[0], "https" if context else "http")
    served.root.mkdir()
    right = "Basic " + base64.b64encode(f"{LOGIN}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            served.seen.append(self.path)
            if self.headers.get("Authorization") != right:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            env = {
                "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(served.root), "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_USER": LOGIN,
                "REMOTE_ADDR": LOOPBACK, "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), **_PERSON,
            }  # fmt: skip
            argv = ["git", "http-backend"]
            done = subprocess.run(argv, env=env, input=self._body(), capture_output=True, check=False)
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if served.break_after is None else body[: served.break_after])

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

    server = ThreadingHTTPServer((LOOPBACK, served.port), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def publish(repo: Repo, root: Path, name: str = "labdojo.git") -> Path:
    """A bare repository on a server, as it is right after everything was pushed to it."""
    bare = root / name
    run_git("clone", "--quiet", "--mirror", repo.path, bare)
    run_git(f"--git-dir={bare}", "config", "http.receivepack", "true")
    return bare


@dataclass
class SshServer:
    """An OpenSSH server that lets one key in.

    :param extra: of the connection that fits.
    """

    port: int
    user: str
    extra: dict[str, str]
    directory: Path

    def url(self, path: Path) -> str:
        return f"ssh://{self.user}@{LOOPBACK}:{self.port}{path}"


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[SshServer]:
    """Runs as who runs the tests, on loopback."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "install openssh-server"
    place = tmp_path / "sshd"
    place.mkdir(mode=0o700)
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", place / name], check=True)
    shutil.copy(place / "key.pub", place / "authorized")
    port = free_ports(1)[0]
    (place / "config").write_text(
        f"ListenAddress {LOOPBACK}:{port}\nHostKey {place / 'host'}\nAuthorizedKeysFile {place / 'authorized'}\n"
        f"PidFile {place / 'pid'}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        f"KbdInteractiveAuthentication no\nLogLevel ERROR\n"
    )
    user = subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
    with (place / "log").open("w") as log, subprocess.Popen(
        [program, "-D", "-e", "-f", place / "config"], stderr=log
    ) as server:
        try:
            deadline = time.monotonic() + 10
            while not listens(port):
                assert server.poll() is None, (place / "log").read_text()
                assert time.monotonic() < deadline, (place / "log").read_text()
                time.sleep(0.05)
            extra = {
                "private_key": (place / "key").read_text(),
                "host_key": " ".join((place / "host.pub").read_text().split()[:2]),
            }
            yield SshServer(port, user, extra, place)
        finally:
            server.terminate()
