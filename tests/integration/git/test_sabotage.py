"""Whatever spoils a backup or a copy is red for the right reason, and nothing looks like a backup."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.recovery.errors import BackupCorrupt, LifeboatError, PartDamaged, PartMissing, SourceError
from include.recovery.evidence.model import Outcome
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.sources.run_info import RunInfo
from tests.fixtures.content import ContentPlace
from tests.integration.git.conftest import Repo, run_git

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
Place = Callable[..., ContentPlace]


def of(repo: Repo | Path) -> dict[str, str]:
    return {"kind": "git", "repository": str(repo.path if isinstance(repo, Repo) else repo)}


def red(place: ContentPlace, match: str, *, at_once: bool = True) -> None:
    """The backup says so, and there is none.

    :param at_once: the precheck, which looks at no object, says so too.
    """
    if at_once:
        with pytest.raises(SourceError, match=match):
            place.verbs.precheck(place.workspace, place.system, place.source)
    with pytest.raises(SourceError, match=match):
        place.back_up()
    assert place.backups() == []


def test_empty(new_repo: Callable[..., Repo], content_place: Place) -> None:
    red(content_place(of(new_repo())), "it has no refs, so there is nothing to back up")


def test_no_repository(small: Repo, content_place: Place) -> None:
    """A folder inside of a repository is none."""
    red(content_place(of(small.path / "src")), "not a git repository")


def test_no_folder(tmp_path: Path, content_place: Place) -> None:
    red(content_place(of(tmp_path / "gone")), "there is no such folder on this worker")


def test_shallow(small: Repo, tmp_path: Path, content_place: Place) -> None:
    run_git("clone", "--quiet", "--depth=1", f"file://{small.path}", tmp_path / "shallow")
    red(content_place(of(tmp_path / "shallow")), "it is a shallow clone")


def test_partial(small: Repo, tmp_path: Path, content_place: Place) -> None:
    small.git("config", "uploadpack.allowFilter", "true")
    run_git("clone", "--quiet", "--bare", "--filter=blob:none", f"file://{small.path}", tmp_path / "partial")
    red(content_place(of(tmp_path / "partial")), "it is a partial clone")


def test_broken_ref(small: Repo, content_place: Place) -> None:
    (small.own / "refs" / "heads" / "torn").write_text("")
    red(content_place(of(small)), "refs/heads/torn cannot be read")


def test_ref_to_a_missing_object(small: Repo, content_place: Place) -> None:
    (small.own / "refs" / "heads" / "lost").write_text("1" * 40 + "\n")
    red(content_place(of(small)), "git fsck finds it damaged: .*refs/heads/lost", at_once=False)


def test_missing_object(small: Repo, content_place: Place) -> None:
    """A blob of an old commit, which no archive and no branch's tip needs."""
    blob = small.git("rev-parse", "HEAD~2:src/app.py")
    (small.own / "objects" / blob[:2] / blob[2:]).unlink()
    red(content_place(of(small)), f"git fsck finds it damaged: .*missing blob {blob}", at_once=False)


def test_unreadable_object(small: Repo, content_place: Place) -> None:
    blob = small.git("rev-parse", "HEAD:README")
    (small.own / "objects" / blob[:2] / blob[2:]).chmod(0)
    red(content_place(of(small)), f"git fsck finds it damaged: .*{blob}", at_once=False)


def test_damaged_pack(small: Repo, content_place: Place) -> None:
    """One bit of a pack is another."""
    small.commit("large", {"large": bytes(hashlib.sha512(b"%d" % n).digest()[0] for n in range(9000))})
    small.git("gc", "--quiet")
    (pack,) = (small.own / "objects" / "pack").glob("*.pack")
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    red(content_place(of(small)), "git fsck finds it damaged", at_once=False)


def test_known_flaws_of_old_history(small: Repo, content_place: Place) -> None:
    """Refused as long as the policy does not know it; then it is kept, and restored."""
    tree = small.git("rev-parse", "HEAD^{tree}")
    person = "A <a@example.org> 1700000000"
    text = f"tree {tree}\nauthor {person} +0000\ncommitter {person} 0000\n\nold\n"
    flawed = small.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", data=text.encode())
    small.git("update-ref", "refs/heads/old", flawed)
    place = content_place(of(small) | {"known_flaws": [{"problem": "badTimezone", "why": "made by another tool"}]})
    backup, folder = place.prove()
    assert all(check.outcome is Outcome.PASSED for check in place.verbs.validate(place.workspace, backup, folder))
    strict = place.source.model_copy(update={"known_flaws": ()})
    with pytest.raises(SourceError, match="badTimezone"):
        place.verbs.backup(
            place.workspace, place.system, strict, None, run=RunInfo(run_id="strict", started_by="a test")
        )


def test_objects_pruned_meanwhile(small: Repo, content_place: Place) -> None:
    place = content_place(of(small))
    calls = []

    def now() -> datetime:
        calls.append(1)
        if len(calls) == 2:  # the refs have just been frozen
            small.git("reset", "--quiet", "--hard", "HEAD~1")
            small.git("reflog", "expire", "--expire=now", "--all")
            small.git("gc", "--quiet", "--prune=now")
        return datetime.now(UTC)

    with pytest.raises(SourceError, match="git fsck finds it damaged"):
        place.verbs.backup(
            place.workspace, place.system, place.source, None, run=RunInfo(run_id="r", started_by="t"), now=now
        )
    assert place.backups() == []


def test_stopped_in_the_middle(small: Repo, content_place: Place) -> None:
    place = content_place(of(small))
    stop = threading.Event()

    def now() -> datetime:
        stop.set()
        return datetime.now(UTC)

    with pytest.raises(LifeboatError):
        place.verbs.backup(
            place.workspace, place.system, place.source, None, run=RunInfo(run_id="r", started_by="t"), now=now,
            stop=stop,
        )  # fmt: skip
    assert place.backups() == []


@pytest.mark.parametrize("part", ["bundle", "archive", "inventory"])
def test_stored_parts(small: Repo, content_place: Place, part: str) -> None:
    place = content_place(of(small))
    backup = place.back_up()
    (path,) = (place.directory / "primary" / backup.manifest.prefix / "parts").glob(f"{part}.*")
    content = path.read_bytes()
    flipped = content[:-300] + bytes([content[-300] ^ 1]) + content[-299:]
    for spoilt, error in ((content[: len(content) // 2], PartDamaged), (flipped, PartDamaged), (None, PartMissing)):
        path.unlink() if spoilt is None else path.write_bytes(spoilt)
        with pytest.raises(error):
            place.copy(backup)
        with pytest.raises(BackupCorrupt):
            place.verbs.verify(place.workspace, backup)
    path.write_bytes(content)
    assert place.compare(backup, place.copy(backup)).identical


def test_wrong_key(small: Repo, content_place: Place) -> None:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    place = content_place(of(small))
    backup = place.back_up()
    other = generate_private_key(65537, 4096).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    place.workspace.ring = Keyring([EscrowWrapper(private_key_pem=other.decode())])
    with pytest.raises(LifeboatError, match="key"):
        place.copy(backup)


def test_copy_that_is_not_the_same(small: Repo, content_place: Place) -> None:
    """Each thing that is another, is gone or was added is named."""
    small.git("branch", "moves")
    small.git("branch", "goes")
    place = content_place(of(small))
    backup, folder = place.prove()
    git, archive = f"--git-dir={folder / 'repository.git'}", folder / "archive"
    run_git(git, "update-ref", "refs/heads/moves", "refs/heads/main~1")
    run_git(git, "update-ref", "-d", "refs/heads/goes")
    run_git(git, "update-ref", "refs/heads/comes", "refs/heads/main")
    run_git(git, "symbolic-ref", "HEAD", "refs/heads/feature/x")
    (archive / "src" / "app.py").write_text("print('thrEE')\n")
    (archive / "src" / "more").write_text("")
    (archive / "file-9").write_text("")
    (archive / "README").chmod(0o755)
    found = place.compare(backup, folder)
    assert not found.identical
    assert {each.object: each.kind for each in found.differences} == {
        "HEAD": "content", "archive/README": "content", "archive/src/app.py": "content",
        "archive/src/more": "unexpected", "archive/file-9": "unexpected", "refs/heads/comes": "unexpected",
        "refs/heads/goes": "missing", "refs/heads/moves": "content",
    }  # fmt: skip
    (archive / "README").unlink()
    found = place.compare(backup, folder)
    assert ("archive/README", "missing") in {(each.object, each.kind) for each in found.differences}


def test_copy_that_lost_an_object(small: Repo, content_place: Place) -> None:
    place = content_place(of(small))
    backup, folder = place.prove()
    copy = folder / "repository.git"
    (pack,) = (copy / "objects" / "pack").glob("*.pack")
    moved = folder / "moved.pack"
    pack.rename(moved)
    run_git(f"--git-dir={copy}", "unpack-objects", "-q", data=moved.read_bytes())
    moved.unlink()
    for each in (copy / "objects" / "pack").iterdir():
        each.unlink()
    blob = small.git("rev-parse", "HEAD~2:src/app.py")
    (copy / "objects" / blob[:2] / blob[2:]).unlink()
    checks = place.verbs.validate(place.workspace, backup, folder)
    assert [check.outcome for check in checks] == [Outcome.FAILED, Outcome.FAILED]
    assert f"missing blob {blob}" in checks[0].found
    with pytest.raises(SourceError, match="missing"):
        place.compare(backup, folder)
