"""Repositories on servers: over HTTP with a password, over ssh with a key, by git's own daemon; and what goes wrong."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.lab.ports import LOOPBACK, free_ports, listens
from include.lab.tls import Certificates
from include.recovery.errors import InsufficientRights, SourceError, SourceUnavailable
from include.recovery.evidence.model import Outcome
from tests.fixtures.content import ContentPlace
from tests.integration.git.conftest import LOGIN, PASSWORD, HttpServer, Repo, SshServer, publish, run_git

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
Place = Callable[..., ContentPlace]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where caches are."""
    monkeypatch.setenv("LIFEBOAT_SCRATCH", str(tmp_path / "scratch"))
    return tmp_path / "scratch" / "git"


def remote(url: str, **more: Any) -> dict[str, Any]:
    return {"kind": "git", "repository": url, "connection": "code", **more}


def same_refs(folder: Path, bare: Path) -> bool:
    words = ("for-each-ref", "--format=%(refname) %(objectname)")
    return run_git(f"--git-dir={folder / 'repository.git'}", *words) == run_git(f"--git-dir={bare}", *words)


@pytest.mark.demand("K3")
def test_over_http_with_everything(rich: Repo, http_server: HttpServer, content_place: Place, scratch: Path) -> None:
    bare = publish(rich, http_server.root)
    place = content_place(
        remote(http_server.url("labdojo.git"), exclude=[{"refs": "refs/somewhere", "why": "not ours"}]),
        connections=http_server.connection(),
    )
    backup, folder = place.prove()
    run_git(f"--git-dir={bare}", "update-ref", "-d", "refs/somewhere/else")
    assert same_refs(folder, bare)
    assert (folder / "archive" / "run.sh").is_file()
    assert all(check.outcome is Outcome.PASSED for check in place.verbs.validate(place.workspace, backup, folder))

    # The next one fetches what is new; a damaged or lost cache is made again.
    (cache,) = scratch.glob("*.git")
    for damage in ("none", "bit", "lost"):
        if damage == "bit":
            _damage(cache)
        elif damage == "lost":
            (cache / "HEAD").unlink()
        rich.git("checkout", "--quiet", "trunk")
        commit = rich.commit("one more")
        run_git(f"--git-dir={bare}", "fetch", "--quiet", rich.path, "+HEAD:refs/heads/trunk")
        again = place.back_up()
        assert again.manifest.lsn == commit
        assert same_refs(place.copy(again), bare)


def _damage(cache: Path) -> None:
    pack = max((cache / "objects" / "pack").glob("*.pack"), key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)


def test_over_https_with_an_authority_of_ones_own(
    small: Repo, https_server: HttpServer, content_place: Place, certificates: Certificates
) -> None:
    bare = publish(small, https_server.root)
    login = https_server.connection(extra={"ca_bundle": str(certificates.authority)})
    place = content_place(remote(https_server.url("labdojo.git")), connections=login)
    _, folder = place.prove()
    assert same_refs(folder, bare)


def test_a_server_whose_certificate_nobody_vouches_for_gets_no_password(
    small: Repo, https_server: HttpServer, content_place: Place
) -> None:
    publish(small, https_server.root)
    place = content_place(remote(https_server.url("labdojo.git")), connections=https_server.connection())
    with pytest.raises(SourceError, match="certificate"):
        place.back_up()
    assert https_server.seen == []


def test_detached_head_on_a_server(small: Repo, http_server: HttpServer, content_place: Place) -> None:
    bare = publish(small, http_server.root)
    tree = run_git(f"--git-dir={bare}", "rev-parse", "HEAD^{tree}")
    only = run_git(f"--git-dir={bare}", "commit-tree", tree, "-m", "on no branch")
    (bare / "HEAD").write_text(only + "\n")
    place = content_place(remote(http_server.url("labdojo.git")), connections=http_server.connection())
    _, folder = place.prove()
    assert run_git(f"--git-dir={folder / 'repository.git'}", "rev-parse", "HEAD") == only


def test_put_back_by_push(small: Repo, http_server: HttpServer, content_place: Place) -> None:
    bare = publish(small, http_server.root)
    place = content_place(remote(http_server.url("labdojo.git")), connections=http_server.connection())
    backup, before = place.back_up(), small.refs()
    git = f"--git-dir={bare}"
    run_git(git, "update-ref", "refs/heads/main", "refs/heads/main~2")
    run_git(git, "update-ref", "-d", "refs/tags/v1")
    lost = run_git(git, "commit-tree", "refs/heads/main^{tree}", "-m", "work of the afternoon")
    run_git(git, "update-ref", "refs/heads/other", lost)

    done = place.verbs.put_back(place.workspace, backup, leave="depot/main")
    assert done.changed == 3
    listing = run_git(git, "for-each-ref", "--format=%(refname) %(objectname)")
    found = dict(line.split() for line in listing.splitlines())
    assert {name: each for name, each in found.items() if not name.startswith("refs/lifeboat/")} == before
    assert found[f"{done.aside}heads/other"] == lost
    assert place.verbs.put_back(place.workspace, backup, leave="depot/main").changed == 0

    # Also into the empty repository that a lost server begins with.
    bare.rename(bare.with_name("lost.git"))
    run_git("init", "--quiet", "--bare", bare)
    run_git(git, "config", "http.receivepack", "true")
    assert place.verbs.put_back(place.workspace, backup, leave="depot/main").changed == len(before)
    assert same_refs(place.copy(backup), bare)


def test_wrong_password(small: Repo, http_server: HttpServer, content_place: Place) -> None:
    publish(small, http_server.root)
    wrong = PASSWORD + "?"
    place = content_place(
        remote(http_server.url("labdojo.git")), connections={"code": {"login": LOGIN, "password": wrong}}
    )
    with pytest.raises(InsufficientRights, match="Authentication failed"):
        place.verbs.precheck(place.workspace, place.system, place.source)
    with pytest.raises(InsufficientRights, match="Authentication failed") as caught:
        place.back_up()
    assert wrong not in str(caught.value)
    assert place.backups() == []


def test_no_such_repository(http_server: HttpServer, content_place: Place) -> None:
    place = content_place(remote(http_server.url("nothing.git")), connections=http_server.connection())
    with pytest.raises(SourceError, match="not found; correct the address"):
        place.back_up()


def test_server_that_is_gone(content_place: Place) -> None:
    place = content_place(remote(f"http://{LOOPBACK}:{free_ports(1)[0]}/x.git"), connections={"code": {}})
    with pytest.raises(SourceUnavailable, match="try again when the server answers"):
        place.back_up()


def test_server_that_goes_away_in_the_middle(small: Repo, http_server: HttpServer, content_place: Place) -> None:
    small.commit("large", {"large": bytes(n * n % 251 for n in range(100_000))})
    publish(small, http_server.root)
    place = content_place(remote(http_server.url("labdojo.git")), connections=http_server.connection())
    http_server.break_after = 2000
    with pytest.raises(SourceUnavailable):
        place.back_up()
    assert any("git-upload-pack" in path for path in http_server.seen)
    assert place.backups() == []
    http_server.break_after = None
    place.prove()


def test_shallow_on_a_server(small: Repo, http_server: HttpServer, content_place: Place) -> None:
    run_git("clone", "--quiet", "--bare", "--depth=1", f"file://{small.path}", http_server.root / "shallow.git")
    place = content_place(remote(http_server.url("shallow.git")), connections=http_server.connection())
    with pytest.raises(SourceError, match="it is a shallow clone"):
        place.back_up()
    assert place.backups() == []


def test_over_ssh(small: Repo, ssh_server: SshServer, content_place: Place, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    bare = publish(small, tmp_path / "served")
    place = content_place(remote(ssh_server.url(bare)), connections={"code": {"extra": ssh_server.extra}})
    _, folder = place.prove()
    assert same_refs(folder, bare)


@pytest.mark.parametrize("wrong", ["private_key", "host_key"])
def test_wrong_keys_of_ssh(
    small: Repo, ssh_server: SshServer, content_place: Place, tmp_path: Path, wrong: str
) -> None:
    """Also when it is the server that is another one than the policy knows."""
    (tmp_path / "served").mkdir()
    bare = publish(small, tmp_path / "served")
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", other], check=True)
    key = other.read_text() if wrong == "private_key" else " ".join(
        other.with_suffix(".pub").read_text().split()[:2]
    )  # fmt: skip
    extra = ssh_server.extra | {wrong: key}
    place = content_place(remote(ssh_server.url(bare)), connections={"code": {"extra": extra}})
    with pytest.raises(InsufficientRights, match="Permission denied|Host key verification failed") as caught:
        place.back_up()
    assert "PRIVATE KEY" not in str(caught.value)


def test_by_the_daemon_of_git(small: Repo, content_place: Place, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    bare = publish(small, tmp_path / "served")
    port = free_ports(1)[0]
    with subprocess.Popen([
        "git", "daemon", f"--listen={LOOPBACK}", f"--port={port}", "--export-all", "--reuseaddr",
        f"--base-path={bare.parent}", bare.parent,
    ], stderr=subprocess.DEVNULL) as daemon:  # fmt: skip
        try:
            while not listens(port):
                time.sleep(0.05)
            place = content_place({"kind": "git", "repository": f"git://{LOOPBACK}:{port}/labdojo.git"})
            _, folder = place.prove()
            assert same_refs(folder, bare)
        finally:
            daemon.terminate()
