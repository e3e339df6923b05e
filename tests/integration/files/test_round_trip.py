"""Files go out and come back: everything that a file system can hold, compared anew; and each planted change is red."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from include.recovery.catalog.model import CompleteBackup
from include.recovery.content.parts import StoredParts
from include.recovery.content.port import Selection
from include.recovery.files.content import digest_of
from include.recovery.files.copies import copy_items
from tests.fixtures.content import ContentPlace
from tests.fixtures.trees import DEEP, HOLE, LATIN, LONG, plant, reopen

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
Make = Callable[..., ContentPlace]


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    top = tmp_path / "etc"
    plant(top)
    yield top
    reopen(top)


@pytest.fixture
def place(content_place: Make, top: Path) -> ContentPlace:
    return content_place({"kind": "files", "paths": [str(top)], "zstd_level": 1})


@pytest.mark.demand("L13")
def test_everything_comes_back_with_owners_modes_links_and_marks(place: ContentPlace, top: Path) -> None:
    backup, folder = place.prove()
    copy = folder / "root" / str(top)[1:]
    for name in ("a.conf", "new\nline", LATIN, "=odd %;'\"\\", "nothing", "big", "sub/b.conf", "sub-x"):
        assert (copy / name).read_bytes() == (top / name).read_bytes()
        old, new = (top / name).lstat(), (copy / name).lstat()
        assert (new.st_mode, new.st_uid, new.st_gid, new.st_mtime_ns) == (
            old.st_mode, old.st_uid, old.st_gid, old.st_mtime_ns,
        )  # fmt: skip
    assert (copy / "hole").stat().st_size == HOLE
    assert (copy / "hole").stat().st_blocks * 512 < 1024 * 1024
    assert (copy / "nothing but a hole").stat().st_blocks == 0
    assert backup.manifest.stored_size < 5 * 1024 * 1024
    assert len({(copy / name).stat().st_ino for name in ("one", "sub/two", "three")}) == 1
    targets = [str((copy / name).readlink()) for name in ("link", "dangling", "to a folder")]
    assert targets == ["a.conf", "/no/such/file", "sub"]
    assert (copy / "link").lstat().st_mtime_ns == 987_654_321
    assert (copy / "fifo").is_fifo()
    assert (copy / "script").stat().st_mode & 0o7777 == 0o4755
    assert os.getxattr(copy / "marked", "user.origin") == b"here\0\xff"
    assert os.getxattr(copy / "marked", "system.posix_acl_access") == os.getxattr(
        top / "marked", "system.posix_acl_access"
    )
    assert [(each.what, each.why) for each in backup.manifest.left_out] == [
        (f"{top}/app.sock", "a socket: its program makes it anew when it starts")
    ]


def test_a_path_of_four_thousand_characters_is_kept(place: ContentPlace, top: Path) -> None:
    backup, folder = place.prove()
    names = [item.name for item in copy_items(folder)]
    (longest,) = (name for name in names if name.endswith("f") and DEEP in name)
    assert len(longest.removeprefix(f"{top}/")) == LONG
    only = Selection((longest,))
    assert place.compare(backup, place.copy(backup, only), only).compared_rows == 1


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lambda top: (top / "a.conf").write_text("listen 81;\n"), "a.conf is not what was backed up"),
        (lambda top: (top / "a.conf").chmod(0o600), "a.conf is not what was backed up"),
        (lambda top: (top / "shut").chmod(0o711), "shut is not what was backed up"),
        (lambda top: os.utime(top / "a.conf"), "a.conf is not what was backed up"),
        (lambda top: (top / "nothing").write_text("x"), "nothing has 1 bytes, and had 0"),
        (lambda top: (top / "nothing").unlink(), "nothing is missing"),
        (lambda top: (top / "more").touch(), "more is there, and was not backed up"),
        (lambda top: (top.parent / "beside").touch(), "beside is there, and was not backed up"),
        (lambda top: os.mkfifo(top / "more"), "more is there, and was not backed up"),
        (lambda top: os.removexattr(top / "marked", "user.origin"), "marked is not what was backed up"),
        (lambda top: os.removexattr(top / "marked", "system.posix_acl_access"), "marked is not what was backed up"),
        (lambda top: (top / "sub" / "empty").rmdir(), "sub/empty is missing"),
        (lambda top: os.truncate(top / "hole", HOLE - 1), f"hole has {HOLE - 1} bytes, and had {HOLE}"),
        (lambda top: _replaced(top / "three", b"of three names"), "three is not what was backed up"),
        (lambda top: _relinked(top / "link", "b.conf"), "link is not what was backed up"),
        (lambda top: (top / "hole").write_bytes(b"x" * HOLE), "hole is not what was backed up"),
    ],
)  # fmt: skip
def test_a_changed_copy_is_red(place: ContentPlace, top: Path, how: Callable[[Path], object], said: str) -> None:
    backup = place.back_up()
    folder = place.copy(backup)
    how(folder / "root" / str(top)[1:])
    found = place.compare(backup, folder)
    assert not found.identical
    assert any(said in difference.message for difference in found.differences), found.differences


def test_a_selection_brings_just_that_and_files_of_several_names_whole(place: ContentPlace, top: Path) -> None:
    backup = place.back_up()
    only = Selection((f"{top}/sub", f"{top}/three"))  # two and three are links to one, which is not selected
    folder = place.copy(backup, only)
    copy = folder / "root" / str(top)[1:]
    assert sorted(path.name for path in copy.iterdir()) == ["sub", "sub-x", "three"]
    assert (copy / "three").stat().st_ino == (copy / "sub" / "two").stat().st_ino
    assert (copy / "three").stat().st_nlink == 2
    found = place.compare(backup, folder, only)
    assert found.identical
    assert "hard links of 2 files" in {each.object for each in found.not_compared}
    assert list((folder).glob(".held*")) == []
    _replaced(copy / "three", b"of three namez")
    assert not place.compare(backup, folder, only).identical


def test_an_earlier_try_of_a_copy_is_replaced(place: ContentPlace, top: Path) -> None:
    backup = place.back_up()
    folder = place.copy(backup)
    (folder / "root" / "left over").touch()
    place.verbs.restore(place.workspace, backup, folder)
    assert place.compare(backup, folder).identical
    place.verbs.discard(folder)
    assert not folder.exists()
    place.verbs.discard(folder)


def test_a_single_file_and_several_paths(content_place: Make, tmp_path: Path) -> None:
    for name in ("app/.env", "app-b/x", "tls/cert.pem", "tls/other.pem"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    paths = [tmp_path / "app", tmp_path / "app-b", tmp_path / "tls" / "cert.pem"]
    place = content_place({"kind": "files", "paths": [str(path) for path in paths]})
    _, folder = place.prove()
    names = [item.name.removeprefix(f"{tmp_path}/") for item in copy_items(folder)]
    assert names == ["app", "app-b", "app-b/x", "app/.env", "tls/cert.pem"]


@pytest.mark.demand("L13")
def test_owners_that_this_worker_cannot_set_are_compared_as_archived_and_called_not_compared(
    content_place: Make,
) -> None:
    # Files of root, read and restored by somebody else: as in a drill on a worker without rights.
    place = content_place({"kind": "files", "paths": ["/etc/pam.d", "/etc/alternatives"]})
    backup, folder = place.prove()
    assert (folder / "root/etc/pam.d").stat().st_uid == os.geteuid() != 0
    found = place.compare(backup, folder)
    owners = [each for each in found.not_compared if each.object.startswith("owners of ")]
    assert len(owners) == 1
    assert "it is not root" in owners[0].why
    assert owners[0].object in place.again(backup.manifest.id).proofs[-1].detail
    # What the archive brought is compared: should it bring another owner, the drill is red.
    with closing(sqlite3.connect(folder / "lacks.sqlite")) as book:
        book.execute("""UPDATE lacks SET lack = replace(lack, '"uid": 0', '"uid": 1')""")
        book.commit()
    assert not place.compare(backup, folder).identical


@pytest.mark.as_root
def test_root_restores_owners_for_real(content_place: Make, tmp_path: Path) -> None:
    top = tmp_path / "etc"
    plant(top)
    os.chown(top / "a.conf", 12345, 54321)
    os.chown(top / "script", 12345, 0)
    (top / "script").chmod(0o6755)
    os.chown(top / "link", 7, 8, follow_symlinks=False)
    os.setxattr(top / "script", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    place = content_place({"kind": "files", "paths": [str(top)]})
    backup, folder = place.prove()
    copy = folder / "root" / str(top)[1:]
    assert [(copy / "a.conf").stat().st_uid, (copy / "a.conf").stat().st_gid] == [12345, 54321]
    assert (copy / "script").stat().st_mode & 0o7777 == 0o6755
    assert (copy / "link").lstat().st_gid == 8
    found = place.compare(backup, folder)
    assert [each.object for each in found.not_compared] == ["modification times of folders"]
    os.chown(copy / "a.conf", 12345, 0)
    assert not place.compare(backup, folder).identical


def test_the_archive_is_one_that_gnu_tar_reads(place: ContentPlace, top: Path, tmp_path: Path) -> None:
    backup = place.back_up()
    parts = _parts(place, backup)
    archive, out = tmp_path / "files.tar", tmp_path / "by hand"
    with parts.open("files") as stream, archive.open("wb") as file:
        shutil.copyfileobj(stream, file)
    out.mkdir()
    subprocess.run(
        ["tar", "--extract", "--file", archive, "--directory", out, "--same-permissions", "--xattrs",
         "--xattrs-include=*"], check=True,
    )  # fmt: skip
    copy = out / str(top)[1:]
    for name in ("a.conf", "new\nline", LATIN, "hole", "nothing but a hole", "big", "three", "marked"):
        with (top / name).open("rb") as old, (copy / name).open("rb") as new:
            assert digest_of(old.fileno()) == digest_of(new.fileno()), name
        assert (copy / name).stat().st_mtime_ns == (top / name).stat().st_mtime_ns
    assert (copy / "hole").stat().st_blocks * 512 < HOLE // 8
    assert (copy / "one").stat().st_ino == (copy / "three").stat().st_ino
    assert os.getxattr(copy / "marked", "user.origin") == b"here\0\xff"
    assert (copy / "shut").stat().st_mode & 0o777 == 0o500
    (copy / "shut").chmod(0o700)


def _parts(place: ContentPlace, backup: CompleteBackup) -> StoredParts:
    key = place.workspace.catalog().key(backup.manifest, place.workspace.keyring())
    return StoredParts(backup, place.workspace.store("primary"), key)


def _replaced(path: Path, content: bytes) -> None:
    stat = path.stat()
    path.unlink()
    path.write_bytes(content)
    path.chmod(stat.st_mode)
    os.utime(path, ns=(stat.st_mtime_ns, stat.st_mtime_ns))


def _relinked(path: Path, target: str) -> None:
    time = path.lstat().st_mtime_ns
    path.unlink()
    path.symlink_to(target)
    os.utime(path, ns=(time, time), follow_symlinks=False)
