"""What must not pass for a backup: changed while it was read, unreadable, damaged, cut off, under another key."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from include.recovery.catalog.model import CompleteBackup
from include.recovery.content.port import Selection
from include.recovery.errors import (
    BackupCorrupt,
    InsufficientRights,
    KeyUnavailable,
    LifeboatError,
    PartDamaged,
    PartMissing,
    SourceChanged,
    SourceError,
)  # fmt: skip
from include.recovery.files import capture
from include.recovery.jobs import Stopped
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.sources.run_info import RunInfo
from tests.fixtures.content import ContentPlace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
Make = Callable[..., ContentPlace]
unprivileged = pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
BIG = 3 * 1024 * 1024
RUN = RunInfo(run_id="run-1", started_by="a test")


class Meddler(threading.Event):
    """Does something to the files while they are read: work asks before each thing whether it has to stop."""

    def __init__(self, acts: dict[int, Callable[[], object]]) -> None:
        super().__init__()
        self._acts, self._asked = acts, 0

    def is_set(self) -> bool:
        self._asked += 1
        self._acts.get(self._asked, lambda: None)()
        return super().is_set()


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "srv"
    (top / "logs").mkdir(parents=True)
    (top / "z").mkdir()
    (top / "a").write_text("a")
    (top / "big").write_bytes(os.urandom(BIG))
    (top / "logs" / "app.log").write_text("line\n")
    (top / "z" / "last").write_text("last")
    return top


@pytest.fixture
def place(content_place: Make, top: Path) -> ContentPlace:
    return content_place({
        "kind": "files", "paths": [str(top)], "zstd_level": 1,
        "may_change": [{"path": "logs/*", "why": "lines are only ever appended"}],
    })  # fmt: skip


def back_up_meddled(place: ContentPlace, **acts: Callable[[], object]) -> CompleteBackup:
    """With acts named by the question before which they are done: ``at5`` before the fifth."""
    stop = Meddler({int(name.removeprefix("at")): act for name, act in acts.items()})
    manifest = place.verbs.backup(
        place.workspace, place.system, place.source, place.system.tier("daily"), run=RUN, stop=stop
    )
    return place.again(manifest.id)


# Questions: 1 the top, 2 a, 3 big and one more for each of its blocks (4, 5, 6), 7 logs, 8 app.log, 9 z, 10 last.


def test_a_large_file_that_changes_once_while_it_is_read_is_read_again(place: ContentPlace, top: Path) -> None:
    backup = back_up_meddled(place, at5=lambda: _append(top / "big", b"more"))
    folder = place.copy(backup)
    assert place.compare(backup, folder).identical
    assert (folder / "root" / str(top)[1:] / "big").read_bytes() == (top / "big").read_bytes()
    assert list(place.verbs.preview(place.workspace, backup)) == []


def test_a_file_that_was_cut_while_it_is_read_is_read_again(place: ContentPlace, top: Path) -> None:
    backup = back_up_meddled(place, at5=lambda: os.truncate(top / "big", 10))
    assert (place.copy(backup) / "root" / str(top)[1:] / "big").read_bytes() == (top / "big").read_bytes()


def test_a_file_that_never_holds_still_fails_the_backup_by_name(place: ContentPlace, top: Path) -> None:
    with (top / "big").open("r+b") as file:

        def change() -> None:
            os.pwrite(file.fileno(), os.urandom(8), 0)

        with pytest.raises(SourceChanged, match=rf"{top}/big changed while it was read"):
            back_up_meddled(place, **{f"at{number}": change for number in range(4, 40)})
    assert place.backups() == []


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda top: (top / "a").write_text("b"), "a changed after it was read"),
        (lambda top: (top / "a").chmod(0o600), "a changed after it was read"),
        (lambda top: (top / "a").unlink(), "a vanished after it was read"),
        (lambda top: (top / "new").touch(), "new came while the rest was read"),
        (lambda top: (top / "z" / "last").rename(top / "moved"), "moved came while the rest was read"),
        (lambda top: (top / "z" / "last").rename(top / "moved"), "last vanished before it could be read"),
        (lambda top: _replaced(top / "a"), "a changed after it was read"),
        (lambda top: (top / "z").chmod(0o711), "z changed after it was read"),
    ],
)
def test_what_comes_goes_or_changes_while_the_rest_is_read_is_named(
    place: ContentPlace, top: Path, act: Callable[[Path], object], said: str
) -> None:
    with pytest.raises(SourceChanged, match=r"hold still \(quiesce\), or name it in may_change") as failed:
        back_up_meddled(place, at10=lambda: act(top))
    assert said in str(failed.value)
    assert place.backups() == []


@pytest.mark.parametrize(
    ("act", "how"),
    [
        (lambda log: _append(log, b"another\n"), "changed after it was read"),
        (lambda log: log.unlink(), "vanished after it was read"),
        (lambda log: (log.parent / "app.log.1").touch(), "came while the rest was read"),
    ],
)
def test_what_the_policy_lets_change_is_kept_as_it_was_read_and_said(
    place: ContentPlace, top: Path, act: Callable[[Path], object], how: str
) -> None:
    backup = back_up_meddled(place, at10=lambda: act(top / "logs" / "app.log"))
    folder = place.copy(backup)
    assert place.compare(backup, folder).identical
    assert (folder / "root" / str(top)[1:] / "logs" / "app.log").read_text() == "line\n"
    (note,) = backup.manifest.left_out
    assert note.what.startswith(f"later states of {top}/logs/app.log")
    assert how in note.why
    assert "lines are only ever appended" in note.why


def test_a_log_that_is_written_all_the_time_is_kept_as_it_was_read(
    content_place: Make, top: Path
) -> None:
    place = content_place({
        "kind": "files", "paths": [str(top)], "may_change": [{"path": "big", "why": "only appended"}],
    })  # fmt: skip
    before = (top / "big").read_bytes()
    with (top / "big").open("ab", buffering=0) as log:
        acts = {f"at{number}": lambda: log.write(b"line\n") for number in range(4, 40)}
        backup = back_up_meddled(place, **acts)
    folder = place.copy(backup)
    assert place.compare(backup, folder).identical
    kept = (folder / "root" / str(top)[1:] / "big").read_bytes()
    assert kept.startswith(before)
    assert (top / "big").read_bytes().startswith(kept)
    assert f"later states of {top}/big" in {each.what for each in backup.manifest.left_out}


def test_a_file_that_may_change_is_not_kept_with_a_hole_where_it_was_cut(content_place: Make, top: Path) -> None:
    place = content_place({
        "kind": "files", "paths": [str(top)], "may_change": [{"path": "big", "why": "rotated"}],
    })  # fmt: skip
    backup = back_up_meddled(place, at5=lambda: os.truncate(top / "big", BIG - 100))
    kept = (place.copy(backup) / "root" / str(top)[1:] / "big").read_bytes()
    assert kept == (top / "big").read_bytes()


@unprivileged
def test_everything_that_cannot_be_read_is_named_before_and_during_the_backup(place: ContentPlace, top: Path) -> None:
    (top / "a").chmod(0)
    (top / "z").chmod(0)
    try:
        for act in (lambda: place.verbs.precheck(place.workspace, place.system, place.source), place.back_up):
            with pytest.raises(InsufficientRights, match="cannot be read: ") as failed:
                act()
            assert f"{top}/a (Permission denied)" in str(failed.value)
            assert f"{top}/z (Permission denied)" in str(failed.value)
    finally:
        (top / "z").chmod(0o700)
    assert place.backups() == []


def test_the_precheck_tells_what_there_is(place: ContentPlace, top: Path) -> None:
    said = place.verbs.precheck(place.workspace, place.system, place.source)
    assert said == f"7 files and folders, {BIG + 10:,} bytes, all can be read"


def test_a_path_that_is_a_link_or_a_socket_is_refused_by_name(content_place: Make, top: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(top)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
    place = content_place({"kind": "files", "paths": [str(tmp_path / "link"), str(tmp_path / "sock")]})
    for act in (lambda: place.verbs.precheck(place.workspace, place.system, place.source), place.back_up):
        with pytest.raises(SourceError, match=f"link is a symbolic link to {top}, .*sock is a socket or a device"):
            act()


def test_excluded_files_are_left_out_with_their_reason(content_place: Make, top: Path) -> None:
    place = content_place({
        "kind": "files", "paths": [str(top)], "exclude": [{"path": "logs", "why": "shipped elsewhere"}],
    })  # fmt: skip
    backup, folder = place.prove()
    assert not (folder / "root" / str(top)[1:] / "logs").exists()
    assert [(each.what, each.why) for each in backup.manifest.left_out] == [("logs (1 left out)", "shipped elsewhere")]


def test_a_backup_that_is_stopped_in_the_middle_is_none(place: ContentPlace) -> None:
    stop = Meddler({})
    stop._acts[5] = stop.set
    with pytest.raises(Stopped):
        place.verbs.backup(
            place.workspace, place.system, place.source, place.system.tier("daily"), run=RUN, stop=stop
        )
    assert place.backups() == []
    assert list(place.workspace.store("primary").list("depot/main/files/2")) == []


@unprivileged
def test_a_store_that_fails_in_the_middle_leaves_no_backup(place: ContentPlace, top: Path) -> None:
    place.back_up()
    parts = place.directory / "primary"
    _deny(parts)
    try:
        with pytest.raises((OSError, LifeboatError)):
            place.back_up()
    finally:
        _allow(parts)
    assert len(place.backups()) == 1


@pytest.fixture
def backup(place: ContentPlace) -> CompleteBackup:
    return place.back_up()


def volume(place: ContentPlace, backup: CompleteBackup, part: str = "files") -> Path:
    """The file that holds a part's bytes."""
    (found,) = (each for each in backup.manifest.parts if each.name == part)
    wanted = found.volumes[0].sha512
    for path in (place.directory / "primary").rglob("*"):
        if path.is_file() and hashlib.sha512(path.read_bytes()).hexdigest() == wanted:
            return path
    raise AssertionError(f"no file holds {part}")


@pytest.mark.parametrize("part", ["files", "inventory"])
def test_a_damaged_part_is_red_by_verify_and_by_restore(
    place: ContentPlace, backup: CompleteBackup, part: str
) -> None:
    path = volume(place, backup, part)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(PartDamaged, match=f"part {part}"):
        place.verbs.verify(place.workspace, backup)
    with pytest.raises(PartDamaged, match=f"part {part}"):
        place.compare(backup, place.copy(backup))


@pytest.mark.parametrize("part", ["files", "inventory"])
def test_a_truncated_part_is_red(place: ContentPlace, backup: CompleteBackup, part: str) -> None:
    path = volume(place, backup, part)
    os.truncate(path, path.stat().st_size - 40)
    with pytest.raises(PartDamaged, match=f"part {part}"):
        place.compare(backup, place.copy(backup))


@pytest.mark.parametrize("part", ["files", "inventory"])
def test_a_missing_part_is_red(place: ContentPlace, backup: CompleteBackup, part: str) -> None:
    store = place.workspace.store("primary")
    (found,) = (each for each in backup.manifest.parts if each.name == part)
    for version in list(store.versions(found.volumes[0].key)):
        store.delete(version.key, version.id)
    with pytest.raises(PartMissing, match=f"part {part}"):
        place.compare(backup, place.copy(backup))


def test_another_key_opens_nothing(place: ContentPlace, backup: CompleteBackup, tmp_path: Path) -> None:
    pem = generate_private_key(65537, 4096).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    place.workspace.ring = Keyring([EscrowWrapper(private_key_pem=pem)])
    with pytest.raises(KeyUnavailable):
        place.copy(backup)


def test_an_archive_without_what_its_inventory_lists_is_red(
    place: ContentPlace, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if capturing forgot to write a file that it entered: the copy is compared with what was entered.
    honest = capture.header
    monkeypatch.setattr(
        capture, "header", lambda entry, *rest: b"" if entry.name == f"{top}/z" else honest(entry, *rest)
    )
    backup = place.back_up()
    only = Selection((f"{top}/z",))
    found = place.compare(backup, place.copy(backup, only), only)
    assert [difference.message for difference in found.differences] == [f"{top}/z is missing"]


def test_a_copy_that_is_not_there_is_no_copy(place: ContentPlace, backup: CompleteBackup, tmp_path: Path) -> None:
    with pytest.raises(BackupCorrupt, match="holds no copy"):
        place.compare(backup, tmp_path / "nowhere")


@pytest.mark.demand("R5")
def test_environment_files_are_stored_only_encrypted_and_their_contents_told_to_nobody(
    content_place: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret, name = "s3cr3t-4f2a9c", "environment-file-of-rylie"
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / name).write_text(f"DATABASE_URL=postgresql://rylie:{secret}@db/rylie\n")
    (tmp_path / "app" / name).chmod(0o600)
    caplog.set_level(logging.DEBUG)
    place = content_place({"kind": "files", "paths": [str(tmp_path / "app")]})
    backup, folder = place.prove()
    place.verbs.verify(place.workspace, backup)
    assert secret in (folder / "root" / str(tmp_path)[1:] / "app" / name).read_text()
    stored = list(_all_bytes(place.directory / "primary"))
    assert len(stored) > 4
    assert not any(secret.encode() in data for _, data in stored)
    assert not any(name.encode() in data for _, data in stored), "names of files are in the encrypted inventory only"
    assert secret not in caplog.text
    assert secret not in json.dumps(backup.model_dump(mode="json"))


def _all_bytes(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def _replaced(path: Path) -> None:
    (path.parent / "next").write_text("a")
    (path.parent / "next").rename(path)


def _deny(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o500)


def _allow(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o700)
