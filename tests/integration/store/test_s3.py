"""The store's promises on real radosgw, with and without versions and object lock."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import pytest

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import ObjectLocked, ObjectMissing, PreconditionFailed, StoreError, StoreUnavailable
from include.recovery.stores.s3 import S3Store, first_version

if TYPE_CHECKING:
    from tests.fixtures.servers import ObjectStores

pytestmark = pytest.mark.integration

MIB = 1024 * 1024


@pytest.fixture(params=["versioned", "plain"])
def store(request: pytest.FixtureRequest, object_stores: ObjectStores) -> Iterator[S3Store]:
    """The lab's versioned bucket, and one without versions."""
    connection = object_stores.connections["primary"]
    if request.param == "versioned":
        yield S3Store.from_connection("primary", object_stores.primary.bucket, connection)
        return
    name = f"plain-{uuid.uuid4().hex[:8]}"
    plain = S3Store.from_connection("plain", name, connection)
    plain.client.create_bucket(Bucket=name)
    yield plain
    bucket = boto3.resource(
        "s3",
        endpoint_url=connection.extra["endpoint_url"],
        verify=connection.extra["verify"],
        region_name=connection.extra["region_name"],
        aws_access_key_id=connection.login,
        aws_secret_access_key=connection.password,
    ).Bucket(name)
    bucket.object_versions.delete()
    bucket.delete()


@pytest.fixture
def folder() -> str:
    """A prefix of this test's own."""
    return f"test-{uuid.uuid4().hex[:8]}/"


def test_keeps_what_is_put(store: S3Store, folder: str) -> None:
    etag = store.put(f"{folder}a", b"one")
    assert store.get(f"{folder}a") == (b"one", etag)
    info = store.head(f"{folder}a")
    assert (info.size, info.etag) == (3, etag)
    assert abs(datetime.now(UTC) - info.modified) < timedelta(minutes=1)
    assert [found.key for found in store.list(folder)] == [f"{folder}a"]
    store.delete(f"{folder}a")
    store.delete(f"{folder}a")
    with pytest.raises(ObjectMissing, match=f"{folder}a"):
        store.get(f"{folder}a")


@pytest.mark.parametrize("attempt", range(3))
def test_exactly_one_of_many_first_writers_wins(store: S3Store, folder: str, attempt: int) -> None:
    key = f"{folder}once-{attempt}"
    winners: list[bytes] = []
    losers: list[BaseException] = []
    together = threading.Barrier(8)

    def write(who: bytes) -> None:
        together.wait()
        try:
            store.put(key, who, if_absent=True)
        except PreconditionFailed as error:
            losers.append(error)
        else:
            winners.append(who)

    threads = [threading.Thread(target=write, args=(bytes([n]),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1, f"{len(winners)} writers believe that they were first"
    assert len(losers) == 7
    first = first_version(store, key)
    assert first is not None
    assert store.get(key, first.id)[0] == winners[0]
    assert store.get(key)[0] == winners[0], "the losers took their versions back"


def test_what_was_plainly_deleted_cannot_be_written_again(object_stores: ObjectStores, folder: str) -> None:
    store = object_stores.primary
    store.put(f"{folder}once", b"first", if_absent=True)
    store.delete(f"{folder}once")
    with pytest.raises(PreconditionFailed):
        store.put(f"{folder}once", b"second", if_absent=True)


@pytest.mark.parametrize("size", [0, 5 * MIB, 16 * MIB, 16 * MIB + 1, 70 * MIB])
def test_streams_any_size(store: S3Store, folder: str, size: int) -> None:
    content = os.urandom(MIB) * (size // MIB) + b"x" * (size % MIB)
    with store.writer(f"{folder}big") as writer:
        for start in range(0, size, 3_000_000):
            writer.write(content[start : start + 3_000_000])
        assert list(store.list(folder)) == []
        etag = writer.commit()
    assert store.head(f"{folder}big").etag == etag
    with store.open(f"{folder}big") as stream:
        assert stream.read() == content
    assert list(store.unfinished(folder)) == []


def test_an_aborted_stream_leaves_nothing(store: S3Store, folder: str) -> None:
    with store.writer(f"{folder}big") as writer:
        for _ in range(40):
            writer.write(bytes(MIB))
    assert list(store.list(folder)) == []
    assert list(store.unfinished(folder)) == []


def test_finds_and_abandons_what_a_killed_writer_left(store: S3Store, folder: str) -> None:
    killed = store.writer(f"{folder}dead")
    for _ in range(20):
        killed.write(bytes(MIB))
    (upload,) = store.unfinished(folder)
    assert upload.key == f"{folder}dead"
    assert abs(datetime.now(UTC) - upload.started) < timedelta(minutes=1)
    store.abandon(upload)
    store.abandon(upload)
    assert list(store.unfinished(folder)) == []
    killed.abort()


def test_a_failing_upload_fails_the_writer(object_stores: ObjectStores, folder: str) -> None:
    store = object_stores.primary
    writer = store.writer(f"{folder}lost")
    for _ in range(17):
        writer.write(bytes(MIB))
    (upload,) = store.unfinished(folder)
    store.abandon(upload)

    def write_on() -> None:
        for _ in range(200):
            writer.write(bytes(MIB))
        writer.commit()

    with pytest.raises((StoreError, StoreUnavailable)):
        write_on()
    writer.abort()
    assert list(store.list(folder)) == []


def test_copies_inside_the_service(object_stores: ObjectStores, folder: str) -> None:
    store = object_stores.primary
    connection = object_stores.connections["primary"]
    other = S3Store.from_connection("other", f"other-{uuid.uuid4().hex[:8]}", connection)
    other.client.create_bucket(Bucket=other.bucket)
    store.put(f"{folder}a", b"content")
    assert other.copy_from(store, f"{folder}a")
    assert other.get(f"{folder}a")[0] == b"content"
    other.delete(f"{folder}a")
    other.client.delete_bucket(Bucket=other.bucket)
    assert not object_stores.offsite.copy_from(store, f"{folder}a"), "another service"


def test_versions_come_newest_first(object_stores: ObjectStores, folder: str) -> None:
    store = object_stores.primary
    for content in (b"1", b"22", b"333"):
        store.put(f"{folder}a", content)
    store.put(f"{folder}b", b"")
    store.delete(f"{folder}a")
    found = list(store.versions(folder))
    assert [(v.key[-1], v.size, v.marker, v.latest) for v in found] == [
        ("a", 0, True, True),
        ("a", 3, False, False),
        ("a", 2, False, False),
        ("a", 1, False, False),
        ("b", 0, False, True),
    ]
    assert store.get(f"{folder}a", found[2].id)[0] == b"22"
    for version in found:
        store.delete(version.key, version.id)
    assert list(store.versions(folder)) == []


@pytest.mark.demand("L8")
def test_a_locked_version_stays_and_a_marker_hides_it(object_stores: ObjectStores, folder: str) -> None:
    store = object_stores.offsite
    store.put(f"{folder}a", b"kept")
    (version,) = store.versions(folder)
    with pytest.raises(ObjectLocked, match="may not be deleted"):
        store.delete(f"{folder}a", version.id)
    until = store.locked_until(f"{folder}a", version.id)
    assert until is not None
    assert timedelta(hours=23) < until - datetime.now(UTC) < timedelta(hours=25)
    store.delete(f"{folder}a")
    with pytest.raises(ObjectMissing):
        store.get(f"{folder}a")
    assert store.get(f"{folder}a", version.id)[0] == b"kept"


def test_what_object_lock_does_not_keep(object_stores: ObjectStores, folder: str) -> None:
    store = object_stores.primary
    store.put(f"{folder}a", b"free")
    (version,) = store.versions(folder)
    assert store.locked_until(f"{folder}a", version.id) is None
    assert store.locked_until(f"{folder}nothing", version.id) is None


def test_refusals_are_sentences(object_stores: ObjectStores) -> None:
    connection = object_stores.connections["primary"]
    nowhere = S3Store.from_connection("primary", "no-such-bucket", connection)
    with pytest.raises(StoreError, match=r"bucket no-such-bucket does not exist at https://.*; create it"):
        nowhere.put("a", b"")
    stranger = S3Store.from_connection("primary", object_stores.primary.bucket, replace(connection, password="wrong"))
    with pytest.raises(StoreError, match="was refused by https://") as caught:
        stranger.get("a")
    assert "wrong" not in str(caught.value)


def test_an_unknown_certificate_is_refused(object_stores: ObjectStores) -> None:
    connection = object_stores.connections["primary"]
    extra = {key: value for key, value in connection.extra.items() if key != "verify"}
    trusting = S3Store.from_connection("primary", "b", ConnectionInfo("c", login="a", password="s", extra=extra))
    with pytest.raises(StoreUnavailable, match="does not answer"):
        trusting.get("a")
