"""pgBackRest can work in a region's repository with its own few rights: back up in parts, archive, and expire."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from include.lab.ports import free_ports
from include.lab.postgres import VOLATILE, PostgresCluster
from include.lab.tls import write_private
from tests.fixtures.servers import ObjectStores
from tests.fixtures.shared import SharedServers

pytestmark = pytest.mark.integration
STANZA = "lab-repository"


def test_pgbackrest_backs_up_and_expires(
    object_stores: ObjectStores, shared_servers: SharedServers, tmp_path: Path
) -> None:
    file = tmp_path / "pgbackrest.conf"
    archive = f"pgbackrest --config={file} --stanza={STANZA} archive-push %p"
    cluster = PostgresCluster(
        "repository",
        shared_servers.directory / "repository",
        free_ports(1)[0],
        shared_servers.registry,
        "unused",
        {**VOLATILE, "archive_mode": "on", "archive_command": f"'{archive}'"},
    )
    write_private(file, configuration(object_stores, cluster, tmp_path).encode())

    def run(*words: str) -> str:
        argv = ["pgbackrest", f"--config={file}", f"--stanza={STANZA}", *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    cluster.start()
    try:
        run("stanza-create")
        with cluster.connect() as connection:
            connection.execute("CREATE TABLE much AS SELECT sha512(i::text::bytea) FROM generate_series(1, 200000) i")
        for _ in range(2):
            run("--type=full", "backup")
        labels = [backup["label"] for backup in json.loads(run("--output=json", "info"))[0]["backup"]]
        assert len(labels) == 2
        run(f"--set={labels[0]}", "expire")
        (left,) = json.loads(run("--output=json", "info"))[0]["backup"]
        assert left["label"] == labels[1]
        run("verify")
    finally:
        cluster.stop()


def configuration(object_stores: ObjectStores, cluster: PostgresCluster, directory: Path) -> str:
    """A repository in the second region, with parts as small as they may be, so that there are several."""
    connection = object_stores.repositories["offsite"]
    endpoint = urlsplit(connection.extra["endpoint_url"])
    lines = {
        "repo1-type": "s3",
        "repo1-path": "/tests",
        "repo1-s3-bucket": "lifeboat-offsite-repo",
        "repo1-s3-endpoint": endpoint.hostname,
        "repo1-storage-port": endpoint.port,
        "repo1-s3-region": connection.extra["region_name"],
        "repo1-s3-uri-style": "path",
        "repo1-s3-key": connection.login,
        "repo1-s3-key-secret": connection.password,
        "repo1-storage-ca-file": connection.extra["verify"],
        "repo1-storage-upload-chunk-size": "5MiB",
        "repo1-retention-full": 99,
        "repo1-bundle": "y",
        "compress-type": "none",
        "start-fast": "y",
        "log-level-file": "off",
        "lock-path": directory / "lock",
        "spool-path": directory / "spool",
    }
    own = {"pg1-path": cluster.data, "pg1-port": cluster.port, "pg1-socket-path": cluster.socket_directory}
    text = "[global]\n" + "".join(f"{key}={value}\n" for key, value in lines.items())
    return f"{text}[{STANZA}]\n" + "".join(f"{key}={value}\n" for key, value in own.items()) + "pg1-user=postgres\n"
