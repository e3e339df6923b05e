"""Files of the lab's hosts, below a folder each that stands for the host's ``/``: what their policies back up."""

from __future__ import annotations

import datetime
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from include.lab.tls import make_certificates

_HOSTED = "server {{\n    listen 443 ssl;\n    server_name {0}.example;\n    ssl_certificate {1};\n}}\n"


def make_hosts(folder: Path, now: datetime.datetime) -> None:
    """Make those that are not there yet; one that an interrupted start has left half is made anew.

    :param now: certificates begin then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, Callable[[_Host], None]] = {"labdojo": _labdojo, "rylie-ai": _rylie}
    for name, fill in made.items():
        if not (folder / name).exists():
            with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as fresh:
                root = Path(fresh) / name
                root.mkdir()
                fill(_Host(root, now))
                root.rename(folder / name)


class _Host:
    """Writes files as root of the host would."""

    def __init__(self, root: Path, now: datetime.datetime) -> None:
        self._root, self._now = root, now

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> Path:
        """A file with its folders."""
        target = self._root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)
        return target

    def link(self, path: str, to: str) -> None:
        """A symbolic link."""
        target = self._root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(to)

    def certificate(self, certificate: str, key: str) -> None:
        """A server's certificate with its key."""
        with tempfile.TemporaryDirectory() as folder:
            files = make_certificates(Path(folder), self._now)
            self.write(certificate, files.certificate.read_bytes())
            self.write(key, files.key.read_bytes(), 0o600)


def _labdojo(host: _Host) -> None:
    host.write("/etc/nginx/nginx.conf", "events {}\nhttp { include sites-enabled/*; }\n")
    host.write("/etc/nginx/sites-available/labdojo.conf", _HOSTED.format("labdojo", "/etc/ssl/certs/labdojo.pem"))
    host.link("/etc/nginx/sites-enabled/labdojo.conf", "../sites-available/labdojo.conf")
    host.certificate("/etc/ssl/certs/labdojo.pem", "/etc/ssl/certs/labdojo.key")
    host.write("/opt/labdojo/config/settings.json", json.dumps({"weekly_goal": 5, "languages": ["en", "de"]}))
    host.write("/opt/labdojo/config/secrets.env", "SESSION_SECRET=correct-horse-battery\n", 0o600)
    volume = "/var/lib/docker/volumes/labdojo_state/_data"
    host.write(f"{volume}/counter", "0\n")
    host.write(f"{volume}/sessions.json", json.dumps({f"user-{n}": n for n in range(200)}))
    host.write("/var/lib/docker/volumes/labdojo_uploads/_data/hello.txt", "hello\n")
    for day in range(1, 6):
        host.write(f"/var/log/labdojo/app-{day}.log", f"2026-11-0{day} started\n" * 200)
    host.write("/var/lib/labdojo/metrics/requests.csv", "at,requests\n" + "".join(f"{n},{n * 3}\n" for n in range(500)))
    for number in range(1, 13):
        host.write(f"/var/www/labdojo/media/course-{number}.svg", f"<svg><text>{number}</text></svg>" * 40)
    host.write("/var/log/archive/labdojo/2025.log", "an old year\n" * 500)
    host.write("/var/tmp/labdojo/import.tmp", b"\0" * 4096)  # noqa: S108  below the folder of the host
    host.write("/var/cache/labdojo/pages/home.html", "<p>cached\n")
    host.write("/srv/staging/labdojo/settings.json", json.dumps({"weekly_goal": 1}))


def _rylie(host: _Host) -> None:
    host.write(
        "/etc/rylie/rylie.env",
        "DATABASE_URL=postgresql://rylie@db/rylie_ai\nSESSION_SECRET=staple-battery\nMODEL=rylie-2\n",
        0o600,
    )
    host.write("/etc/rylie/config.yaml", "voice: alto\nmemory: true\nrate_limit: 60\n")
    live = "/etc/letsencrypt/live/rylie.example"
    host.write("/etc/nginx/sites-enabled/rylie.conf", _HOSTED.format("rylie", f"{live}/fullchain.pem"))
    archive = "/etc/letsencrypt/archive/rylie.example"
    host.certificate(f"{archive}/fullchain1.pem", f"{archive}/privkey1.pem")
    for name in ("fullchain", "privkey"):
        host.link(f"{live}/{name}.pem", f"../../archive/rylie.example/{name}1.pem")


DOCKER = """#!/bin/sh
# Stands in for the docker command where no container engine can be had: the lab's one container is a process, and
# pausing it does what docker's freezer does: it stops running.
[ $# = 2 ] || { echo "the lab's docker knows: docker pause|unpause CONTAINER" >&2; exit 64; }
record='@RUN@'/container-$2.json
[ -f "$record" ] || { echo "Error response from daemon: No such container: $2" >&2; exit 1; }
pid=$(sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p' "$record")
case $1 in
pause) kill -STOP "$pid" ;;
unpause) kill -CONT "$pid" ;;
*) echo "the lab's docker knows no '$1'" >&2; exit 64 ;;
esac
"""
"""For the quiesce of labdojo's container volumes."""
CONTAINER = "labdojo-app"
VOLUME = "labdojo/var/lib/docker/volumes/labdojo_state/_data"
"""Of that container, below the folder of hosts."""


def write_docker(folder: Path, run: Path) -> Path:
    """Write the program.

    :param run: the registry's folder, where each server's process id is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "docker"
    path.write_text(DOCKER.replace("@RUN@", str(run)), encoding="utf-8")
    path.chmod(0o755)
    return path


CONTAINER_PROGRAM = """
import os, sys, time
folder, number = sys.argv[1], 0
while True:
    number += 1
    path = os.path.join(folder, "counter")
    with open(path + ".new", "w") as file:
        file.write(f"{number}\\n")
    os.replace(path + ".new", path)
    time.sleep(0.2)
"""
"""What runs in the container: it writes to its volume five times a second."""


