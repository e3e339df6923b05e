"""What a kind writes a backup through: nothing that failed is ever a part, and nobody waits for ever."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.in_progress import BackupInProgress
from include.recovery.catalog.lease import Owner
from include.recovery.content.inventory import PART
from include.recovery.content.model import Item
from include.recovery.content.parts import PartSink, StoredParts
from include.recovery.errors import BackupCorrupt, LeaseLost, LifeboatError, ManifestInvalid, SourceError
from include.recovery.keys.envelope import Keyring
from include.recovery.stores.folder import FolderStore
from tests.fixtures.content import ContentPlace

BIG = 5 * 1024 * 1024


@pytest.fixture
def in_progress(tmp_path: Path, content_keyring: Keyring) -> Iterator[BackupInProgress]:
    catalog = Catalog(FolderStore("primary", tmp_path / "store"))
    with catalog.begin(
        "depot", "conf", "files", tier=None, owner=Owner.of_this_process("run"), keyring=content_keyring
    ) as backup:
        yield backup


def stored(backup: BackupInProgress) -> list[str]:
    return sorted(info.key.rsplit("/", 1)[1] for info in backup.store.list(f"{backup.prefix}parts/"))


def test_what_is_written_is_stored_when_the_block_ends(in_progress: BackupInProgress) -> None:
    with PartSink(in_progress) as sink:
        with sink.writing("one") as out:
            out.write(b"x" * BIG)
        sink.store(io.BytesIO(b"two"), "two")
        sink.item(Item("a", "1", 3))
        sink.leave_out("b\udcff", "why")
    assert [(part.name, part.role, part.content_size) for part in sink.parts if part.name != PART] == [
        ("one", "data", BIG), ("two", "data", 3),
    ]  # fmt: skip
    assert [part.role for part in sink.parts if part.name == PART] == ["inventory"]
    assert stored(in_progress) == ["inventory.0001", "one.0001", "two.0001"]
    assert [each.what for each in sink.left_out] == ["'b\\udcff'"]


@pytest.mark.parametrize("size", [0, 10, BIG])
def test_a_writer_that_fails_in_the_middle_leaves_no_part(in_progress: BackupInProgress, size: int) -> None:
    def write() -> None:
        with PartSink(in_progress) as sink, sink.writing("one") as out:
            out.write(b"x" * size)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert stored(in_progress) == []


def test_a_failure_beside_an_open_part_leaves_no_inventory(in_progress: BackupInProgress) -> None:
    def write() -> None:
        with PartSink(in_progress) as sink:
            sink.item(Item("a", "1"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert stored(in_progress) == []


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_consumer_that_dies_ends_the_writer_with_its_reason(in_progress: BackupInProgress, wrapped: bool) -> None:
    # The lease is lost: the store's side stops, and the writer must hear why, and not wait.
    in_progress.stop.set()
    block = os.urandom(65536)

    def write() -> None:
        with PartSink(in_progress) as sink, sink.writing("one") as out:
            try:
                while True:
                    out.write(block)
            except OSError as error:
                if wrapped:
                    raise SourceError("something cannot be read") from error
                raise

    with pytest.raises(LeaseLost, match="stopped storing"):
        write()
    assert stored(in_progress) == []


def test_a_consumer_that_dies_at_the_very_end_is_heard_too(in_progress: BackupInProgress) -> None:
    in_progress.stop.set()
    with pytest.raises(LeaseLost), PartSink(in_progress) as sink, sink.writing("one") as out:
        out.write(b"x")


def test_a_stream_whose_producer_failed_is_no_part(in_progress: BackupInProgress) -> None:
    def finished() -> None:
        raise LifeboatError("the tool failed")

    with pytest.raises(LifeboatError, match="the tool failed"), PartSink(in_progress) as sink:
        sink.store(io.BytesIO(b"half"), "one", finished=finished)
    assert stored(in_progress) == []


def test_disorder_of_items_ends_the_backup(in_progress: BackupInProgress) -> None:
    def write() -> None:
        with PartSink(in_progress) as sink:
            sink.item(Item("b", "1"))
            sink.item(Item("a", "1"))

    with pytest.raises(LifeboatError, match="each once"):
        write()
    assert stored(in_progress) == []


def test_parts_and_inventory_are_read_back(content_place: object, tmp_path: Path) -> None:
    place = _filled(content_place, tmp_path)
    backup = place.back_up()
    key = place.workspace.catalog().key(backup.manifest, place.workspace.keyring())
    parts = StoredParts(backup, place.workspace.store("primary"), key)
    assert [item.name for item in parts.items()] == [str(tmp_path / "etc"), str(tmp_path / "etc" / "x")]
    assert parts.fetched > 0
    with pytest.raises(ManifestInvalid, match="has no part 'other'; it has files, inventory"), parts.open("other"):
        pass


def test_an_inventory_of_another_backup_is_noticed(content_place: object, tmp_path: Path) -> None:
    place = _filled(content_place, tmp_path)
    backup = place.back_up()
    key = place.workspace.catalog().key(backup.manifest, place.workspace.keyring())
    content = backup.manifest.content
    assert content is not None
    other = content.model_copy(update={"sha512": hashlib.sha512(b"other").hexdigest()})
    forged = backup.manifest.model_copy(update={"content": other})
    parts = StoredParts(backup, place.workspace.store("primary"), key)
    parts.backup = _Of(forged)  # type: ignore[assignment]
    with pytest.raises(BackupCorrupt, match="its inventory is not the one"):
        list(parts.items())


class _Of:
    def __init__(self, manifest: object) -> None:
        self.manifest = manifest


def _filled(content_place: object, tmp_path: Path) -> ContentPlace:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "x").write_text("x")
    made: ContentPlace = content_place({"kind": "files", "paths": [str(tmp_path / "etc")]})  # type: ignore[operator]
    return made
