"""What goes wrong in the middle, and afterwards: found, named, and red for the right reason."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from include.recovery.errors import (
    BackupCorrupt,
    KeyUnavailable,
    PartDamaged,
    PartMissing,
    SourceUnavailable,
    StoreUnavailable,
    Unavailable,
)
from include.recovery.evidence.model import Outcome
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.objects import capture
from include.recovery.objects import moment as moments
from include.recovery.objects.bucket import Bucket
from include.recovery.objects.changes import Doubt
from tests.integration.objects.conftest import MIB, Uploads, Wire

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@contextmanager
def calls(monkeypatch: pytest.MonkeyPatch, method: str) -> Iterator[list[str]]:
    """The keys that a method of buckets is called for."""
    made: list[str] = []
    original = getattr(Bucket, method)

    def counted(self: Bucket, key: str, *words: Any, **more: Any) -> Any:
        made.append(key)
        return original(self, key, *words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, method, counted)
        yield made


def test_a_version_that_is_gone_comes_from_the_replica_or_is_named(uploads: Uploads) -> None:
    versions = {key: uploads.put(key, key.encode() * 10) for key in ("here", "gone", "lost")}
    place, backup = uploads.place, uploads.place.back_up()
    uploads.delete("gone", versions["gone"])

    folder = place.directory / "whole"
    restored = place.verbs.restore(place.workspace, backup, folder)
    assert place.compare(backup, folder).identical
    assert f"version {versions['gone']} of 'gone' is gone from the bucket" in restored.notes[0]

    uploads.delete("lost", versions["lost"])
    (copy,) = [row.id for row in uploads.there.history("lost")]
    uploads.there.delete("lost", copy)
    folder = place.directory / "part"
    with pytest.raises(BackupCorrupt, match="2 objects are in .* and 1 cannot be had any more: 'lost' .* is gone too"):
        place.verbs.restore(place.workspace, backup, folder)
    found = place.compare(backup, folder)
    assert [(each.object, each.kind) for each in found.differences] == [("lost", "missing")]

    with pytest.raises(BackupCorrupt, match="1 keys were put back, and 'lost': version .* and its copy is gone too"):
        place.verbs.put_back(place.workspace, backup, leave="depot/uploads")
    assert uploads.content() == {"here": b"here" * 10, "gone": b"gone" * 10}
    assert [change.name for change in place.verbs.preview(place.workspace, backup)] == ["lost"]


def test_bit_rot_is_found_and_never_put_back(uploads: Uploads) -> None:
    rotten = uploads.put("rotten", b"good content")
    uploads.put("fine", b"fine")
    place, backup = uploads.place, uploads.place.back_up()
    uploads.rot(uploads.here, "rotten", rotten, b"evil content")
    uploads.put("rotten", b"overwritten")

    folder = place.copy(backup)
    assert place.compare(backup, folder).identical
    assert (folder / "objects" / "rotten").read_bytes() == b"good content"

    done = place.verbs.put_back(place.workspace, backup, leave="depot/uploads")
    assert uploads.content() == {"rotten": b"good content", "fine": b"fine"}
    assert f"'rotten', whose version {rotten} is damaged" in done.notes[0]

    copy = next(row.id for row in uploads.there.history("rotten"))
    uploads.rot(uploads.there, "rotten", copy, b"evil content")
    uploads.put("rotten", b"overwritten again")
    with pytest.raises(BackupCorrupt, match="0 keys were put back, and 'rotten': .* damaged, and its copy is damaged"):
        place.verbs.put_back(place.workspace, backup, leave="depot/uploads")
    assert uploads.content()["rotten"] == b"overwritten again"
    with pytest.raises(BackupCorrupt, match="'rotten' .* its copy in the replica is damaged too"):
        place.copy(backup)


def test_a_replica_that_rots_is_found_by_a_drill(uploads: Uploads) -> None:
    for key in ("a", "b"):
        uploads.put(key, b"good content")
    backup, folder = uploads.place.prove()
    place = uploads.place
    (check,) = place.verbs.validate(place.workspace, backup, folder)
    assert (check.outcome, check.found) == (Outcome.PASSED, "2 of 2")
    (copy,) = [row.id for row in uploads.there.history("a")]
    uploads.rot(uploads.there, "a", copy, b"evil content")
    (check,) = place.verbs.validate(place.workspace, backup, folder)
    assert check.outcome is Outcome.FAILED
    assert check.found == f"1 of 2: 'a': copy {copy} holds something else"
    assert place.again(backup.manifest.id).proofs[-1].ok is False


def test_a_copy_that_arrives_damaged_is_sent_again(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads.put("key", b"content")
    store = Bucket.store
    damaged: list[str] = []

    def stored(self: Bucket, key: str, *words: Any, **more: Any) -> tuple[str, str]:
        version, digest = store(self, key, *words, **more)
        if not damaged:
            uploads.rot(self if self.bucket == uploads.here.bucket else uploads.there, key, version, b"CONTENT")
            damaged.append(version)
        return version, digest

    monkeypatch.setattr(Bucket, "store", stored)
    uploads.place.back_up()
    assert list(uploads.versions(uploads.there).values()) == [b"content", b"CONTENT"]


def test_a_copy_with_one_object_changed_missing_or_added_is_red(uploads: Uploads) -> None:
    for key in ("a", "b/c", "d"):
        uploads.put(key, b"content")
    backup, folder = uploads.place.prove()
    (folder / "objects" / "a").write_bytes(b"CONTENT")
    (folder / "objects" / "d").unlink()
    (folder / "objects" / "b" / "new").write_bytes(b"x")
    found = uploads.place.compare(backup, folder)
    assert not found.identical
    assert [(each.object, each.kind) for each in found.differences] == [
        ("a", "content"), ("d", "missing"), ("objects/b/new (a file that no object has)", "unexpected"),
    ]  # fmt: skip
    assert uploads.place.again(backup.manifest.id).proofs[-1].ok is False


def test_without_the_key_nothing_is_restored(uploads: Uploads) -> None:
    uploads.put("key", b"content")
    place, backup = uploads.place, uploads.place.back_up()
    pem = generate_private_key(65537, 4096).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    stranger = replace(place.workspace, ring=Keyring([EscrowWrapper(private_key_pem=pem.decode())]))
    with pytest.raises(KeyUnavailable):
        place.verbs.restore(stranger, backup, place.directory / "copy")
    with pytest.raises(KeyUnavailable):
        place.verbs.put_back(stranger, backup, leave="depot/uploads")
    assert not (place.directory / "copy").exists()


@pytest.mark.parametrize("part", ["inventory", "history"])
def test_a_damaged_or_missing_part_is_red_and_only_costs_the_next_backup_time(uploads: Uploads, part: str) -> None:
    for number in range(5):
        uploads.put(f"key-{number}", os.urandom(100))
    place, backup = uploads.place, uploads.place.back_up()
    (volume,) = next(each for each in backup.manifest.parts if each.name == part).volumes
    (file,) = [path for path in (place.directory / "primary").rglob("*") if path.is_file() and part in str(path)]
    whole = file.read_bytes()
    assert len(whole) == volume.size

    file.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    with pytest.raises(PartDamaged):
        place.verbs.restore(place.workspace, backup, place.directory / "copy")
    with pytest.raises(PartDamaged):
        list(place.verbs.preview(place.workspace, backup))
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PartDamaged):
        place.verbs.restore(place.workspace, backup, place.directory / "copy")
    place.prove()
    file.unlink()
    with pytest.raises(PartMissing):
        place.verbs.restore(place.workspace, backup, place.directory / "copy")


def test_what_is_overwritten_while_it_is_listed_is_backed_up_as_of_the_moment(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("a", "b", "c", "d"):
        uploads.put(key, b"before")
    asked: list[str] = []
    page = Bucket._page

    def meanwhile(self: Bucket, prefix: str, begin: Any) -> Any:
        found = page(self, prefix, begin)
        if self.bucket == uploads.here.bucket and not asked:
            asked.append(prefix)
            uploads.put("a", b"after it was listed")
            uploads.put("d", b"before it was listed")
            uploads.delete("c")
            uploads.put("e", b"created")
        return found

    monkeypatch.setattr(Bucket, "_page", meanwhile)
    monkeypatch.setattr(Bucket, "page_keys", 2)
    backup, folder = uploads.place.prove()
    assert asked
    assert {path.name: path.read_bytes() for path in (folder / "objects").iterdir()} == dict.fromkeys("abcd", b"before")
    monkeypatch.undo()
    changes = {change.name: change.how for change in uploads.place.verbs.preview(uploads.place.workspace, backup)}
    assert changes == {"a": "content", "c": "missing", "d": "content", "e": "unexpected"}


def test_a_version_that_is_deleted_for_good_while_it_is_backed_up_is_named(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed = uploads.put("doomed", b"content")
    uploads.put("kept", b"content")
    fetch = Bucket.fetch

    def fetched(self: Bucket, key: str, version: str) -> Any:
        if version == doomed:
            uploads.delete("doomed", doomed)
        return fetch(self, key, version)

    monkeypatch.setattr(Bucket, "fetch", fetched)
    backup = uploads.place.back_up()
    assert backup.manifest.content is not None
    assert backup.manifest.content.items == 1
    assert next((each.what, each.why) for each in backup.manifest.left_out) == (
        f"version {doomed} of 'doomed'", "deleted for good while it was being backed up",
    )  # fmt: skip


def test_an_upload_that_is_not_complete_is_named_and_in_the_next_backup(uploads: Uploads) -> None:
    upload = uploads.begin("half\nway", os.urandom(5 * MIB), b"end")
    uploads.put("whole", b"content")
    first = uploads.place.back_up()
    assert first.manifest.content is not None
    assert first.manifest.content.items == 1
    assert any(
        each.what.startswith("upload of 'half\\nway' since") and "no object yet" in each.why
        for each in first.manifest.left_out
    )
    uploads.complete("half\nway", upload)
    second, _ = uploads.place.prove()
    assert second.manifest.content is not None
    assert second.manifest.content.items == 2


def test_an_upload_that_began_before_the_moment_and_ended_after_it_is_not_in_the_backup(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As AWS dates it: the version bears the time when its upload began, which radosgw does not do by itself."""
    old = uploads.put("key", b"what was there at the moment")
    time.sleep(1.1)
    began = int(uploads.here.clock().timestamp() * 1000)
    upload = uploads.begin("key", os.urandom(5 * MIB), b"end")
    time.sleep(1.1)
    completed: list[str] = []
    next_second, page = capture.next_second, Bucket._page

    def then_completed(bucket: Bucket, stop: threading.Event) -> int:
        moment = next_second(bucket, stop)
        completed.append(uploads.complete("key", upload))
        return moment

    def dated(self: Bucket, prefix: str, begin: Any) -> Any:
        rows, following = page(self, prefix, begin)
        return [row._replace(modified=began) if row.id in completed else row for row in rows], following

    monkeypatch.setattr(capture, "next_second", then_completed)
    monkeypatch.setattr(Bucket, "_page", dated)
    backup = uploads.place.back_up()
    place = uploads.place
    assert completed
    folder = place.copy(backup)
    assert (folder / "objects" / "key").read_bytes() == b"what was there at the moment"
    assert (f"version {completed[0]} of 'key'", True) in [
        (each.what, "in progress at the backup's moment" in each.why) for each in backup.manifest.left_out
    ]

    monkeypatch.setattr(capture, "next_second", next_second)
    place.back_up()
    doubts: list[Doubt] = []
    (item,) = moments.as_of(place.site, backup.manifest.snapshot_at, tell=doubts.append)
    assert item.at == old, "the second backup knows that the first did not have it"
    assert "did not have it" in doubts[0].why
    (item,) = moments.as_of(place.site, uploads.now())
    assert item.at == completed[0]


def test_a_backup_that_is_stopped_goes_on_where_it_was(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        uploads.put(f"key-{number:02}", os.urandom(1000))
    place = uploads.place
    store, sent = Bucket.store, []

    def killed(self: Bucket, key: str, *words: Any, **more: Any) -> Any:
        if len(sent) >= 5:
            raise StoreUnavailable("the worker was killed")
        sent.append(key)
        return store(self, key, *words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "store", killed)
        with pytest.raises(StoreUnavailable, match="killed"):
            place.back_up()
    assert place.backups() == []
    with calls(monkeypatch, "store") as again:
        place.prove()
    assert sorted([*sent, *again]) == [f"key-{number:02}" for number in range(12)], "nothing is sent twice"
    assert len(uploads.versions(uploads.there)) == 12


def test_putting_back_that_is_stopped_goes_on_where_it_was(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        uploads.put(f"key-{number}", b"good")
    place, backup = uploads.place, uploads.place.back_up()
    for number in range(8):
        uploads.put(f"key-{number}", b"bad!")
    copy, done = Bucket.copy_on_top, []

    def killed(self: Bucket, key: str, *words: Any) -> None:
        if len(done) >= 3:
            raise StoreUnavailable("the worker was killed")
        done.append(key)
        copy(self, key, *words)

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "copy_on_top", killed)
        with pytest.raises(StoreUnavailable, match="killed"):
            place.verbs.put_back(place.workspace, backup, leave="depot/uploads")
    with calls(monkeypatch, "copy_on_top") as again:
        assert place.verbs.put_back(place.workspace, backup, leave="depot/uploads").changed == 8 - len(done)
    assert sorted([*done, *again]) == [f"key-{number}" for number in range(8)], "nothing is copied twice"
    assert set(uploads.content().values()) == {b"good"}


def test_a_service_that_goes_in_the_middle_leaves_no_backup(
    make_uploads: Callable[..., Uploads], wire: Callable[[str], Wire], impatient: None
) -> None:
    line = wire("offsite")
    uploads = make_uploads(offsite={"extra": {"endpoint_url": line.endpoint}})
    uploads.put("small", b"content")
    uploads.put("zz/big", os.urandom(20 * MIB))
    before = line.sent
    line.cut_when = lambda sent: sent - before > 10 * MIB
    with pytest.raises(Unavailable, match="does not answer"):
        uploads.place.back_up()
    assert uploads.place.backups() == []


def test_a_restore_without_either_region_is_worth_another_try(
    make_uploads: Callable[..., Uploads], wire: Callable[[str], Wire], impatient: None
) -> None:
    lines = [wire("primary"), wire("offsite")]
    uploads = make_uploads(
        primary={"extra": {"endpoint_url": lines[0].endpoint}}, offsite={"extra": {"endpoint_url": lines[1].endpoint}}
    )
    uploads.put("key", b"content")
    backup = uploads.place.back_up()
    for line in lines:
        line.cut()
    with pytest.raises(SourceUnavailable, match="and the replica cannot be reached"):
        uploads.place.copy(backup)


def test_a_big_object_flows_in_parts_both_ways(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.recovery.objects.bucket.COPIED_WHOLE_BYTES", 5 * MIB)
    content = os.urandom(17 * MIB + 5)
    version = uploads.put("big", content, ContentType="video/mp4", Metadata={"owner": "ada"})
    place, backup = uploads.place, uploads.place.back_up()
    uploads.delete("big")
    assert place.verbs.put_back(place.workspace, backup, leave="depot/uploads").changed == 1
    assert uploads.here.get("big")[0] == content
    assert uploads.here.about("big")["Metadata"] == {"owner": "ada"}
    uploads.delete("big")
    uploads.delete("big", version)
    assert place.verbs.put_back(place.workspace, backup, leave="depot/uploads").changed == 1
    assert uploads.here.get("big")[0] == content
    about = uploads.here.about("big")
    assert (about["ContentType"], about["Metadata"]) == ("video/mp4", {"owner": "ada"})


def test_a_lost_catalog_does_not_keep_a_copy_of_the_backup_from_being_put_back(uploads: Uploads) -> None:
    uploads.put("key", b"good")
    place, backup = uploads.place, uploads.place.back_up()
    uploads.put("key", b"bad!")
    shutil.copytree(place.directory / "primary", place.directory / "offsite", dirs_exist_ok=True)
    shutil.rmtree(place.directory / "primary")
    (place.directory / "primary").write_text("no folder any more")
    found = place.verbs.put_back(place.workspace, backup, leave="depot/uploads", store="offsite")
    assert found.changed == 1
    assert uploads.content() == {"key": b"good"}
