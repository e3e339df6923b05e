"""What stands behind the lab's sources: made once, the same in every lab, and open to nobody without its password."""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from include.lab import hosts, kubernetes_cluster, mongodb, redis_server, repositories, uploads
from include.lab.git_server import PASSWORD_VARIABLE
from include.lab.kubernetes_store import Store
from include.lab.ports import LOOPBACK, free_ports, listens, wait_for
from include.lab.postgres import PostgresCluster
from include.lab.processes import Registry
from include.lab.source_connections import GIT_USER, SourceSecrets
from include.lab.tls import make_certificates
from include.lab.vault_server import VaultServer
from include.recovery.connections import ConnectionInfo
from include.recovery.vault.client import Vault

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = SourceSecrets.random()
TREE = Path(__file__).parents[2]
ENVIRONMENT = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(TREE)}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    found = Registry(tmp_path / "run", tmp_path / "logs")
    yield found
    found.stop_all(seconds=5)


def start(registry: Registry, name: str, port: int, argv: list[str], **env: str) -> None:
    registry.start(name, argv, env={**ENVIRONMENT, **env})
    wait_for(name, lambda: listens(port), seconds=60, alive=lambda: registry.alive(name), log=str(registry.log(name)))


def git(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0", **env}
    return subprocess.run(["git", *words], env=environment, capture_output=True, text=True, check=False)


def test_repositories_have_history_branches_and_tags_and_are_the_same_in_every_lab(tmp_path: Path) -> None:
    refs = []
    for lab in ("one", "two"):
        repositories.make_repositories(tmp_path / lab)
        refs.append(git(f"--git-dir={tmp_path / lab / 'labdojo.git'}", "for-each-ref").stdout)
    assert refs[0] == refs[1]
    assert [line.split("\t")[1] for line in refs[0].splitlines()] == [
        "refs/heads/feature/dark-mode", "refs/heads/main", "refs/tags/v2024.1", "refs/tags/v2024.2",
    ]  # fmt: skip
    bare = f"--git-dir={tmp_path / 'one' / 'labdojo.git'}"
    assert git(bare, "fsck", "--strict").returncode == 0
    assert git(bare, "rev-list", "--count", "main").stdout == "4\n"
    git(bare, "update-ref", "-d", "refs/tags/v2024.1")
    repositories.make_repositories(tmp_path / "one")
    assert "v2024.1" not in git(bare, "tag").stdout, "what people did to it stays"
    assert not list((tmp_path / "one").glob(".new-*"))


@pytest.mark.integration
def test_git_is_served_over_tls_to_those_who_know_the_password(tmp_path: Path, registry: Registry) -> None:
    folder, files = tmp_path / "git", make_certificates(tmp_path / "tls", datetime.now(UTC))
    repositories.make_repositories(folder)
    (port,) = free_ports(1)
    words = [str(port), str(folder), str(files.certificate), str(files.key)]
    argv = [sys.executable, "-m", "include.lab.git_server", *words]
    start(registry, "git", port, argv, **{PASSWORD_VARIABLE: SECRET.git})
    where = f"{LOOPBACK}:{port}/labdojo.git"
    known = {"GIT_SSL_CAINFO": str(files.authority)}

    right = git("clone", "--quiet", f"https://{GIT_USER}:{SECRET.git}@{where}", str(tmp_path / "clone"), **known)
    assert right.returncode == 0, right.stderr
    assert (tmp_path / "clone" / "server" / "achievements.py").is_file()
    pushed = git("-C", str(tmp_path / "clone"), "push", "--quiet", "origin", "main:refs/heads/copy", **known)
    assert pushed.returncode == 0, pushed.stderr
    assert "copy" in git(f"--git-dir={folder / 'labdojo.git'}", "branch").stdout

    wrong = git("ls-remote", f"https://{GIT_USER}:guess@{where}", **known)
    assert "Authentication failed" in wrong.stderr
    stranger = git("ls-remote", f"https://{GIT_USER}:{SECRET.git}@{where}")
    assert "certificate" in stranger.stderr
    for pid in registry.processes("git"):
        assert SECRET.git not in Path(f"/proc/{pid}/cmdline").read_text()


def test_hosts_have_what_their_policies_name_and_stay_as_they_are(tmp_path: Path) -> None:
    hosts.make_hosts(tmp_path, NOW)
    assert (tmp_path / "labdojo/etc/nginx/sites-enabled/labdojo.conf").resolve().read_text().startswith("server {")
    assert (tmp_path / "rylie-ai/etc/letsencrypt/live/rylie.example/privkey.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "rylie-ai/etc/rylie/rylie.env").stat().st_mode & 0o777 == 0o600
    (tmp_path / "rylie-ai/etc/rylie/rylie.env").write_text("MODEL=rylie-3\n")
    hosts.make_hosts(tmp_path, NOW)
    assert (tmp_path / "rylie-ai/etc/rylie/rylie.env").read_text() == "MODEL=rylie-3\n"
    assert {path.name for path in tmp_path.iterdir()} == {"labdojo", "rylie-ai"}


def test_the_labs_docker_makes_its_container_hold_still(tmp_path: Path, registry: Registry) -> None:
    hosts.make_hosts(tmp_path / "hosts", NOW)
    volume = tmp_path / "hosts" / hosts.VOLUME
    program = str(hosts.write_docker(tmp_path / "bin", registry.directory))
    registry.start(f"container-{hosts.CONTAINER}", [sys.executable, "-I", "-c", hosts.CONTAINER_PROGRAM, str(volume)])
    (pid,) = registry.processes(f"container-{hosts.CONTAINER}")

    def stopped() -> bool:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    assert subprocess.run([program, "pause", hosts.CONTAINER], check=False).returncode == 0
    wait_for("pause", stopped, seconds=5, alive=lambda: True)
    assert subprocess.run([program, "unpause", hosts.CONTAINER], check=False).returncode == 0
    wait_for("unpause", lambda: not stopped(), seconds=5, alive=lambda: True)
    unknown = subprocess.run([program, "pause", "other"], capture_output=True, text=True, check=False)
    assert (unknown.returncode, "No such container: other" in unknown.stderr) == (1, True)


def test_clusters_have_what_the_documents_name_and_their_reader_only_reads(tmp_path: Path) -> None:
    for system, kinds in {
        "aido-todo": {"dapr.io/Component", "bitnami.com/SealedSecret", "apps/Deployment", "core/Secret"},
        "aiaas": {"apps/Deployment", "batch/CronJob", "core/PersistentVolumeClaim", "core/Secret"},
    }.items():
        folder = tmp_path / system
        kubernetes_cluster.fill(folder, system)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        kubernetes_cluster.fill(folder, system)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        store = Store(folder)
        assert all(list(store.objects(kind)) for kind in kinds)
        assert any("helm.release" in each["metadata"]["name"] for each in store.objects("core/Secret"))
    path = kubernetes_cluster.write_tokens(tmp_path / "tokens", SECRET)
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())[SECRET.kubernetes_reader] == [{"verbs": ["get", "list"]}]


@pytest.mark.integration
def test_mongodb_is_filled_once(tmp_path: Path, registry: Registry) -> None:
    (port,) = free_ports(1)
    start(registry, "mongodb", port, [sys.executable, "-m", "include.lab.mongodb", str(port), str(tmp_path)])
    mongodb.fill(port)
    with mongodb.MongoClient(LOOPBACK, port) as client:
        database = client[mongodb.DATABASE]
        assert database["materials"].count_documents({}) == 1200
        database["materials"].delete_one({"_id": 1})
        mongodb.fill(port)
        assert database["materials"].count_documents({}) == 1199
        # As putting back needs it.
        client.admin.command("renameCollection", "labdojo.threads", to="labdojo.posts", dropTarget=True)
        assert database["posts"].count_documents({}) == 400


@pytest.mark.integration
def test_redis_lets_the_backup_login_copy_and_nothing_else(tmp_path: Path, registry: Registry) -> None:
    (port,) = free_ports(1)
    path = redis_server.configuration(tmp_path / "redis", port, SECRET)
    assert path.stat().st_mode & 0o777 == 0o600
    start(registry, "redis", port, ["redis-server", str(path)])
    redis_server.fill(port, SECRET)
    with redis_server.client(port, SECRET) as session:
        assert session.dbsize() == redis_server.CHATS + redis_server.ACTORS + 2
        session.delete("todo-chatbot||chat-0")
        redis_server.fill(port, SECRET)
        assert not session.exists("todo-chatbot||chat-0")
    reader = redis_server.redis.Redis(LOOPBACK, port, username="backup", password=SECRET.redis_backup)
    assert reader.ping()
    for word in (("GET", "lab:filled"), ("SET", "a", "b"), ("FLUSHALL",)):
        with pytest.raises(redis_server.redis.exceptions.NoPermissionError):
            reader.execute_command(*word)
    with pytest.raises(redis_server.redis.exceptions.AuthenticationError):
        redis_server.redis.Redis(LOOPBACK, port).ping()


@pytest.mark.integration
@pytest.mark.timeout(180)
def test_the_vault_is_made_once_and_unsealed_at_each_start(tmp_path: Path, registry: Registry) -> None:
    port, keys = free_ports(2)[0], tmp_path / "vault" / "unseal-keys"
    files = make_certificates(tmp_path / "tls", datetime.now(UTC))
    server = VaultServer(tmp_path / "vault", port, files, keys, SECRET)
    login, authority = {"login": SECRET.vault_role, "password": SECRET.vault_secret}, str(files.authority)
    connection = ConnectionInfo("vault", server.url, extra={"verify": authority}, **login)
    for _ in range(2):
        start(registry, "vault", port, ["bao", "server", f"-config={server.configuration()}"], HOME=str(tmp_path))
        server.open()
        with Vault.opened(connection, "the lab's vault") as vault:
            assert vault.read("secret/data/platform/billing")["data"] == {"password": "new billing"}
            may = vault.capabilities(["sys/storage/raft/snapshot", "secret/data/x", "sys/policies/acl/backup"])
            assert set(may["secret/data/x"]) == {"read", "list"}
            assert "read" in may["sys/storage/raft/snapshot"]
        registry.stop("vault")
    assert keys.stat().st_mode & 0o777 == 0o600
    assert len(keys.read_text().split()) == 2
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/v1/sys/health", verify=ssl.create_default_context(cafile=authority))


@pytest.mark.integration
def test_the_table_of_uploads_says_what_the_bucket_holds(postgres_cluster: PostgresCluster) -> None:
    text = (TREE / "include/lab/data/ksrce-lab.sql").read_text(encoding="utf-8")
    query = text.partition("INSERT INTO uploads ")[2].partition(";\n\n")[0]
    with postgres_cluster.connect() as connection:
        rows = connection.execute(query).fetchall()
    wanted = {
        uploads.ksrce_key(number): uploads.ksrce_content(number) for number in range(1, uploads.KSRCE_UPLOADS + 1)
    }
    assert {key: (digest, size) for key, _, digest, size in rows} == {
        key: (hashlib.sha256(content).digest(), len(content)) for key, content in wanted.items()
    }
