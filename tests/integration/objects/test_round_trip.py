"""Uploads are backed up, damaged, previewed and put back, on two real regions; every byte is compared."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.recovery.content.port import Selection
from include.recovery.content.verbs import Unchanged
from include.recovery.errors import Refused
from include.recovery.objects.bucket import Bucket
from include.recovery.objects.digest import attributes_of
from include.recovery.policy.rpo import worst_loss
from tests.integration.objects.conftest import MIB, Uploads, Wire

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ODD_KEYS = [
    "a", "a/b", "a/b/c", "a-b", "../outside", "..", "/leading", "closing/", "double//slash", "new\nline", "\x01\x1f",
    "k" * 1024, "ü" * 500, "d/" + "k" * 300, "日本/😀", "space in it", "plus+percent%2F", "_under", "__two", "&<>\"'",
    "*?", "back\\slash", "zero",
]  # fmt: skip

PICTURE: dict[str, Any] = {"ContentType": "image/png", "Metadata": {"owner": "ada"}, "CacheControl": "no-cache"}


def fill(uploads: Uploads) -> None:
    """Keys of every kind, an upload in parts, attributes, older versions, and a deleted object."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: uploads.put(key, b"" if key == "zero" else key.encode() * 3), ODD_KEYS))
    uploads.put("img/1.png", b"first", ContentType="image/png")
    uploads.put("img/1.png", os.urandom(3000), **PICTURE)
    uploads.put("img/2.png", os.urandom(5000), ContentType="image/png")
    uploads.put_in_parts("img/big.tif", os.urandom(6 * MIB), os.urandom(4 * MIB), ContentType="image/tiff")
    uploads.put("img/gone.png", b"was here")
    uploads.delete("img/gone.png")


@pytest.mark.demand("K2", "K5")
def test_uploads_that_were_damaged_come_back(uploads: Uploads) -> None:
    fill(uploads)
    before, versions = uploads.content(), uploads.versions()
    backup, folder = uploads.place.prove()
    names = [item.name for item in uploads.place.impl.items(uploads.place.site, folder)]
    assert names == sorted(before, key=str.encode)
    assert backup.manifest.content is not None
    assert backup.manifest.content.items == len(before)
    assert backup.manifest.source_size == sum(map(len, before.values()))
    assert (folder / "objects" / "img" / "1.png").read_bytes() == before["img/1.png"]

    uploads.put("img/1.png", b"corrupted", **PICTURE)
    uploads.put("img/2.png", before["img/2.png"], ContentType="image/png")  # written again, but the same
    uploads.put("a/b", b"x" * len(before["a/b"]))  # another content of the same size
    uploads.put("a/b/c", before["a/b/c"], ContentType="text/html")  # the same content, served as another type
    uploads.put("img/gone.png", b"created since")
    uploads.put("img/new.png", b"created since")
    for key in ("img/big.tif", "new\nline", "zero", "../outside"):
        uploads.delete(key)
    damaged = uploads.content()

    place = uploads.place
    listed = list(place.verbs.preview(place.workspace, backup))
    changes = {change.name: change.how for change in listed}
    assert [change.name for change in listed] == sorted(changes, key=str.encode)
    assert changes == {
        "../outside": "missing",
        "a/b": "content",
        "a/b/c": "content",
        "img/1.png": "content",
        "img/big.tif": "missing",
        "img/gone.png": "unexpected",
        "img/new.png": "unexpected",
        "new\nline": "missing",
        "zero": "missing",
    }
    assert uploads.content() == damaged, "a preview changes nothing"

    with pytest.raises(Refused, match="depot/uploads needs leave"):
        place.verbs.put_back(place.workspace, backup, leave="depot/other", only=Selection(("img/",)))
    assert uploads.content() == damaged

    images = place.verbs.put_back(place.workspace, backup, leave="depot/uploads", only=Selection(("img/",)))
    assert images.changed == 4
    now = uploads.content()
    assert {key: now[key] for key in now if key.startswith("img/")} == {
        key: before[key] for key in before if key.startswith("img/")
    }
    assert {key: now.get(key) for key in now if not key.startswith("img/")} == {
        key: damaged[key] for key in damaged if not key.startswith("img/")
    }, "other prefixes are as they were"
    assert place.verbs.put_back(place.workspace, backup, leave="depot/uploads").changed == 5
    assert uploads.content() == before
    assert attributes_of(uploads.here.about("img/1.png")) == PICTURE
    assert attributes_of(uploads.here.about("img/big.tif")) == {"ContentType": "image/tiff"}
    assert attributes_of(uploads.here.about("a/b/c")) == {}
    assert list(place.verbs.preview(place.workspace, backup)) == []
    assert place.verbs.put_back(place.workspace, backup, leave="depot/uploads").changed == 0

    after = uploads.versions()
    assert versions.items() <= after.items(), "nothing was taken away"
    assert {after.get(pair) for pair in after} >= {b"corrupted", b"created since"}, "what was there is kept aside"


@pytest.mark.demand("K2")
def test_the_replica_holds_every_version_and_later_runs_read_only_what_is_new(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(uploads)
    place = uploads.place
    place.back_up()
    assert _contents(uploads.versions(uploads.there)) == _contents(uploads.versions())
    assert set(uploads.there.list("")) != set()
    assert {info.key for info in uploads.there.list("")} == {info.key for info in uploads.here.list("")}

    read: list[tuple[str, str]] = []
    fetch = Bucket.fetch
    monkeypatch.setattr(Bucket, "fetch", lambda self, key, v: (read.append((self.bucket, key)), fetch(self, key, v))[1])
    second = place.back_up()
    assert read == []
    assert isinstance(place.verbs.unchanged(place.workspace, place.system, place.source), Unchanged)
    assert read == []

    uploads.put("img/new.png", b"new")
    uploads.delete("a")
    assert place.verbs.unchanged(place.workspace, place.system, place.source) is None
    read.clear()
    third = place.back_up()
    assert sorted(read) == [(uploads.here.bucket, "img/new.png"), (uploads.there.bucket, "img/new.png")]
    assert second.manifest.content is not None
    assert third.manifest.content is not None
    assert third.manifest.content.items == second.manifest.content.items
    assert "a" not in {info.key for info in uploads.there.list("")}, "a deletion arrives too"
    assert _contents(uploads.versions(uploads.there)) == _contents(uploads.versions())


def test_pages_of_one_version_are_the_same_listing(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(uploads)
    whole = list(uploads.here.history(""))
    monkeypatch.setattr(Bucket, "page_keys", 1)
    assert list(uploads.here.history("")) == whole
    assert [row.key for row in whole] == sorted((row.key for row in whole), key=str.encode)
    assert {row.key for row in whole} == {*ODD_KEYS, "img/1.png", "img/2.png", "img/big.tif", "img/gone.png"}


def test_a_source_below_a_prefix_leaves_the_rest_alone(make_uploads: Callable[..., Uploads]) -> None:
    uploads = make_uploads(prefix="mine/")
    uploads.put("mine/1", b"1")
    uploads.put("other/1", b"1")
    backup, _ = uploads.place.prove()
    uploads.put("other/1", b"2")
    uploads.put("other/2", b"2")
    uploads.delete("mine/1")
    place = uploads.place
    assert [change.name for change in place.verbs.preview(place.workspace, backup)] == ["mine/1"]
    assert place.verbs.put_back(place.workspace, backup, leave="depot/uploads").changed == 1
    assert uploads.content() == {"mine/1": b"1", "other/1": b"2", "other/2": b"2"}
    assert {key for key, _ in uploads.versions(uploads.there)} == {"mine/1"}


def test_one_key_comes_back_beside_its_namesakes(uploads: Uploads) -> None:
    for key in ("a", "a/b", "ab"):
        uploads.put(key, b"good")
    place, backup = uploads.place, uploads.place.back_up()
    for key in ("a", "a/b", "ab"):
        uploads.put(key, b"bad!")
    only = Selection(("a",), exact=True)
    assert [change.name for change in place.verbs.preview(place.workspace, backup, only=only)] == ["a"]
    assert place.verbs.put_back(place.workspace, backup, leave="depot/uploads", only=only).changed == 1
    assert uploads.content() == {"a": b"good", "a/b": b"bad!", "ab": b"bad!"}
    folder = place.copy(backup, only)
    assert place.compare(backup, folder, only).identical


@pytest.mark.demand("R10")
def test_without_its_region_a_bucket_loses_what_came_after_the_newest_backup(
    make_uploads: Callable[..., Uploads], wire: Callable[[str], Wire], impatient: None
) -> None:
    from include.recovery.objects.moment import recoverable

    line = wire("primary")
    uploads = make_uploads(primary={"extra": {"endpoint_url": line.endpoint}})
    place = uploads.place
    loss = worst_loss(place.system, place.source)
    assert loss.meets(timedelta(hours=24)), loss.arithmetic

    uploads.put("kept", b"before the backup")
    backup = place.back_up()
    uploads.put("lost", b"after it")
    newest = recoverable(place.site)
    now = datetime.now(UTC)
    assert abs(newest.from_bucket - now) < timedelta(seconds=5), "the bucket's own versions: nothing is lost"
    assert newest.from_replica == backup.manifest.snapshot_at
    assert now - newest.from_replica < timedelta(hours=24)

    line.cut()
    folder = place.directory / "from-the-replica"
    restored = place.verbs.restore(place.workspace, backup, folder)
    assert place.compare(backup, folder).identical
    assert {path.name for path in (folder / "objects").iterdir()} == {"kept"}
    assert "the bucket cannot be reached" in restored.notes[0]


def _contents(versions: dict[tuple[str, str], Any]) -> list[tuple[str, bytes]]:
    return sorted((key, content) for (key, _), content in versions.items() if content is not None)
