"""Repositories on this machine: backed up, restored, compared, asked; and every commit can be had from the copy."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.recovery.catalog.model import CompleteBackup
from include.recovery.content.parts import StoredParts
from include.recovery.content.port import Selection
from include.recovery.evidence.model import Outcome
from include.recovery.sources.run_info import RunInfo
from tests.fixtures.content import ContentPlace
from tests.integration.git.conftest import Repo, run_git

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def listing(repository: Path) -> list[str]:
    """Refs with their ids, and symbolic ones with their targets."""
    return run_git(
        f"--git-dir={repository}", "for-each-ref", "--format=%(refname) %(objectname) %(symref)"
    ).splitlines()


def save(place: ContentPlace, backup: CompleteBackup, part: str, path: Path) -> Path:
    """A part's content as somebody gets it who restores by hand."""
    key = place.workspace.catalog().key(backup.manifest, place.workspace.keyring())
    with StoredParts(backup, place.workspace.store("primary"), key).open(part) as stream, path.open("wb") as file:
        shutil.copyfileobj(stream, file)
    return path


@pytest.mark.demand("K3")
def test_all_refs_come_back_and_any_commit_can_be_had(
    rich: Repo, content_place: Callable[..., ContentPlace], tmp_path: Path
) -> None:
    place = content_place({"kind": "git", "repository": str(rich.path)})
    backup, folder = place.prove()
    copy = folder / "repository.git"

    assert listing(copy) == listing(rich.own)
    assert any(line.startswith("refs/heads/trunk ") for line in listing(copy))  # beside refs/heads/refs/heads/trunk
    assert run_git(f"--git-dir={copy}", "symbolic-ref", "HEAD") == "refs/heads/trunk"
    assert run_git(f"--git-dir={copy}", "notes", "show", "HEAD~1") == "a note"
    signers = tmp_path / "signers"
    signers.write_text(f"nobody@example.org {(tmp_path / 'signing.pub').read_text()}")
    run_git(f"--git-dir={copy}", "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-tag", "v2")

    checks = place.verbs.validate(place.workspace, backup, folder)
    assert [check.outcome for check in checks] == [Outcome.PASSED, Outcome.PASSED], checks

    for commit in rich.git("rev-list", "--all").splitlines():
        work = tmp_path / "old" / commit
        run_git(f"--git-dir={copy}", "worktree", "add", "--quiet", "--detach", work, commit)
        assert run_git("-C", work, "rev-parse", "HEAD^{tree}") == rich.git("rev-parse", f"{commit}^{{tree}}")
        assert not run_git("-C", work, "status", "--porcelain")


@pytest.mark.demand("L12")
def test_bundle_and_archive_are_plain_files_for_stock_tools(
    rich: Repo, content_place: Callable[..., ContentPlace], tmp_path: Path
) -> None:
    """What somebody without Lifeboat has after decrypting; and nothing is left out of the archive but what is named."""
    place = content_place({"kind": "git", "repository": str(rich.path)})
    backup = place.back_up()
    bundle = save(place, backup, "bundle", tmp_path / "labdojo.bundle")
    assert "The bundle records a complete history" in run_git("-C", rich.path, "bundle", "verify", bundle)
    run_git("clone", "--quiet", "--mirror", bundle, tmp_path / "by-hand.git")
    assert [line.split()[:2] for line in listing(tmp_path / "by-hand.git")] == [
        line.split()[:2] for line in listing(rich.own)
    ]

    by_hand = tmp_path / "by-hand"
    by_hand.mkdir()
    subprocess.run(["tar", "xf", save(place, backup, "archive", tmp_path / "archive.tar"), "-C", by_hand], check=True)
    tracked = set(rich.git("ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0")) - {""}
    left = {"web/node_modules/left-pad/index.js", "dist/app.js"}
    found = {
        os.fsdecode(os.fsencode(Path(root) / name)).removeprefix(f"{by_hand}/")
        for root, folders, files in os.walk(by_hand)
        for name in [*files, *(each for each in folders if (Path(root) / each).is_symlink())]
    }
    assert found == tracked - left
    for name in ("secret.txt", "version.py", "web/index.html", "data.bin"):  # whatever .gitattributes would change
        blob = ["git", "-C", rich.path, "cat-file", "blob", f"HEAD:{name}"]
        assert (by_hand / name).read_bytes() == subprocess.run(blob, check=True, capture_output=True).stdout
    assert os.access(by_hand / "run.sh", os.X_OK)
    assert (by_hand / "link").readlink() == Path("../outside of it")

    named = {entry.what: entry.why for entry in backup.manifest.left_out}
    assert {"archive: dist/app.js", "archive: dist", "archive: web/node_modules"} & set(named) == {
        "archive: dist", "archive: web/node_modules",
    }  # fmt: skip
    assert f"what is not committed in {rich.path}" in named


def test_the_policy_says_what_the_archive_leaves_out(rich: Repo, content_place: Callable[..., ContentPlace]) -> None:
    place = content_place({
        "kind": "git", "repository": str(rich.path), "archive_without": ["*.bin", "src"],
        "exclude": [{"refs": "refs/remotes", "why": "other people's"}],
    })  # fmt: skip
    backup, folder = place.prove()
    archive = folder / "archive"
    assert (archive / "dist" / "app.js").is_file()
    assert not (archive / "data.bin").exists()
    assert not (archive / "src").exists()
    assert not any("refs/remotes" in line for line in listing(folder / "repository.git"))
    assert ("2 refs that match refs/remotes", "other people's") in {
        (entry.what, entry.why) for entry in backup.manifest.left_out
    }


def test_sha256_repositories(new_repo: Callable[..., Repo], content_place: Callable[..., ContentPlace]) -> None:
    repo = new_repo("modern", "--object-format=sha256")
    repo.commit("one", {"a/b": "1\n"})
    repo.git("tag", "--annotate", "v1", "--message", "tagged")
    place = content_place({"kind": "git", "repository": str(repo.path)})
    backup, folder = place.prove()
    assert listing(folder / "repository.git") == listing(repo.own)
    assert all(check.outcome is Outcome.PASSED for check in place.verbs.validate(place.workspace, backup, folder))


def test_head_that_is_no_branch(small: Repo, content_place: Callable[..., ContentPlace]) -> None:
    """A commit that only HEAD leads to is kept too."""
    small.git("checkout", "--quiet", "--detach")
    only = small.commit("on no branch")
    _, folder = content_place({"kind": "git", "repository": str(small.path)}).prove()
    assert run_git(f"--git-dir={folder / 'repository.git'}", "rev-parse", "HEAD") == only
    assert (folder / "archive" / "file-4").is_file()


def test_head_without_commits_has_no_archive(small: Repo, content_place: Callable[..., ContentPlace]) -> None:
    small.git("symbolic-ref", "HEAD", "refs/heads/not-yet")
    backup, folder = content_place({"kind": "git", "repository": str(small.path)}).prove()
    assert {part.name for part in backup.manifest.parts} == {"bundle", "inventory"}
    assert "the archive" in {entry.what for entry in backup.manifest.left_out}
    assert run_git(f"--git-dir={folder / 'repository.git'}", "symbolic-ref", "HEAD") == "refs/heads/not-yet"


def test_submodules_are_named_without_credentials(
    small: Repo, new_repo: Callable[..., Repo], content_place: Callable[..., ContentPlace]
) -> None:
    other = new_repo("theme")
    commit = other.commit("one")
    small.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.path), "web/theme")
    small.git("config", "-f", ".gitmodules", "submodule.web/theme.url", "https://me:hidden@git.example.org/theme.git")
    small.commit("with a submodule")
    backup, folder = content_place({"kind": "git", "repository": str(small.path)}).prove()
    named = [entry.what for entry in backup.manifest.left_out if entry.what.startswith("submodule")]
    assert named == [f"submodule web/theme at {commit} of https://git.example.org/theme.git"]
    assert not any((folder / "archive" / "web" / "theme").iterdir())


def test_unchanged_is_known_without_a_backup(small: Repo, content_place: Callable[..., ContentPlace]) -> None:
    place = content_place({"kind": "git", "repository": str(small.path)})
    backup = place.back_up()
    found = place.verbs.unchanged(place.workspace, place.system, place.source)
    assert found is not None
    assert found.backup.manifest.id == backup.manifest.id
    small.git("branch", "one-more")
    assert place.verbs.unchanged(place.workspace, place.system, place.source) is None


def test_one_branch_alone_can_be_restored(small: Repo, content_place: Callable[..., ContentPlace]) -> None:
    place = content_place({"kind": "git", "repository": str(small.path)})
    backup = place.back_up()
    only = Selection(("refs/heads/feature/",))
    folder = place.copy(backup, only)
    assert [line.split()[0] for line in listing(folder / "repository.git")] == ["refs/heads/feature/x"]
    assert not (folder / "archive").exists()
    assert place.compare(backup, folder, only).identical
    files = Selection(("archive/src/",))
    assert place.compare(backup, place.copy(backup, files), files).identical


def test_history_that_is_forced_away_meanwhile_is_still_what_was_frozen(
    small: Repo, content_place: Callable[..., ContentPlace]
) -> None:
    place = content_place({"kind": "git", "repository": str(small.path)})
    before = small.refs()
    asked: list[datetime] = []

    def now() -> datetime:
        asked.append(datetime.now(UTC))
        if len(asked) == 2:  # the refs have just been frozen
            small.git("reset", "--quiet", "--hard", "HEAD~2")
            small.commit("another history")
            small.git("branch", "-D", "feature/x")
        return asked[-1]

    run = RunInfo(run_id="run", started_by="a test")
    manifest = place.verbs.backup(place.workspace, place.system, place.source, None, run=run, now=now)
    assert len(asked) == 2
    assert small.refs() != before
    backup = place.again(manifest.id)
    folder = place.copy(backup)
    assert place.compare(backup, folder).identical
    assert {line.split()[0]: line.split()[1] for line in listing(folder / "repository.git")} == before
    assert (folder / "archive" / "src" / "app.py").read_text() == "print('three')\n"
