"""What goes in comes out, in bounded memory; and every kind of damage is one clear sentence."""

from __future__ import annotations

import io
import os
import threading
import tracemalloc
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.recovery.catalog.model import Part
from include.recovery.errors import LeaseLost, PartDamaged, PartMissing, ToolFailed, WrongKey
from include.recovery.parts.compress import FRAME_BYTES
from include.recovery.parts.read import check_part, open_part
from include.recovery.parts.write import store_part
from include.recovery.stores.folder import FolderStore

KEY = bytes(range(32))
PREFIX = "labdojo/main-db/postgres/20261121T070000Z-0a1b/"
CONTEXT = {"system": "labdojo", "source": "main-db", "kind": "postgres", "backup": "20261121T070000Z-0a1b"}
MESSY = os.urandom(2_500_000)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore("primary", tmp_path)


def keep(store: FolderStore, content: bytes | BinaryIO, **options: Any) -> Part:
    stream = io.BytesIO(content) if isinstance(content, bytes) else content
    values = {"name": "table-0001", "role": "data", "tables": ["public.users"], "key": KEY, "context": CONTEXT}
    return store_part(stream, store, PREFIX, **(values | options))


def fetch(store: FolderStore, part: Part, key: bytes = KEY, context: dict[str, str] = CONTEXT) -> bytes:
    with open_part(store, part, key, context) as stream:
        return stream.read()


def path(store: FolderStore, part: Part, volume: int = 1) -> Path:
    return store._path(part.volumes[volume - 1].key)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=5000), repeat=st.integers(0, 300), volume_bytes=st.integers(50, 50_000))
def test_round_trip(store: FolderStore, content: bytes, repeat: int, volume_bytes: int) -> None:
    whole = content * repeat
    part = keep(store, whole, volume_bytes=volume_bytes)
    assert fetch(store, part) == whole
    assert part.content_size == len(whole)
    assert check_part(store, part) == sum(volume.size for volume in part.volumes)


def test_long_streams_roll_over_to_numbered_volumes(store: FolderStore) -> None:
    part = keep(store, MESSY, volume_bytes=1_000_000)
    assert [volume.key for volume in part.volumes] == [f"{PREFIX}parts/table-0001.000{n}" for n in (1, 2, 3)]
    assert fetch(store, part) == MESSY


def test_a_reader_takes_what_it_wants(store: FolderStore) -> None:
    part = keep(store, MESSY)
    with open_part(store, part, KEY, CONTEXT) as stream:
        assert stream.read(10) + stream.read(2_000_000) + stream.read() == MESSY
        assert stream.read() == b""


class Endless:
    """So many zeros, without holding them."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readinto(self, buffer: memoryview) -> int:
        taken = min(len(buffer), self.left)
        self.left -= taken
        return taken


def test_memory_does_not_grow_with_the_stream(store: FolderStore) -> None:
    keep(store, b"warm up")

    def peak(size: int) -> int:
        tracemalloc.start()
        keep(store, cast(BinaryIO, Endless(size)), name=f"p{size}", zstd_level=1)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    assert peak(200_000_000) < peak(20_000_000) + 2 * FRAME_BYTES  # as many as are in flight


@pytest.mark.parametrize("where", [10, 500, 1_300_000, -1])
def test_one_flipped_byte(store: FolderStore, where: int) -> None:
    part = keep(store, MESSY)
    damaged = bytearray(path(store, part).read_bytes())
    damaged[where] ^= 1
    path(store, part).write_bytes(damaged)
    expected = rf"backup {PREFIX[:-1]} in store primary: part table-0001, volume 1 of 1 does not have the SHA-512"
    with pytest.raises(PartDamaged, match=expected):
        fetch(store, part)
    with pytest.raises(PartDamaged, match=expected):
        check_part(store, part)


@pytest.mark.parametrize("left", [0, 3, 400, 1_048_576, 2_400_000])
def test_a_part_cut_short(store: FolderStore, left: int) -> None:
    part = keep(store, MESSY)
    path(store, part).write_bytes(path(store, part).read_bytes()[:left])
    with pytest.raises(PartDamaged, match=f"has {left} bytes"):
        fetch(store, part)


def test_bytes_added_at_the_end(store: FolderStore) -> None:
    part = keep(store, MESSY)
    with path(store, part).open("ab") as file:
        file.write(b"more")
    with pytest.raises(PartDamaged):
        fetch(store, part)


def test_a_missing_volume(store: FolderStore) -> None:
    part = keep(store, MESSY, volume_bytes=1_000_000)
    path(store, part, 2).unlink()
    with pytest.raises(PartMissing, match=r"part table-0001, volume 2 of 3 is missing"):
        fetch(store, part)
    with pytest.raises(PartMissing):
        check_part(store, part)


def test_a_wrong_key_is_told_from_damage(store: FolderStore) -> None:
    part = keep(store, MESSY)
    with pytest.raises(WrongKey, match="this key does not open it"):
        fetch(store, part, key=bytes(32))


def test_a_part_cannot_pass_for_another_one(store: FolderStore) -> None:
    """Not even when somebody who edits the manifest makes its digests fit."""
    users = keep(store, b"users")
    guests = keep(store, b"guests", name="table-0002")
    swapped = users.model_copy(update={"volumes": guests.volumes})
    with pytest.raises(PartDamaged, match="holds something else.*table-0002"):
        fetch(store, swapped)


def test_volumes_cannot_change_places(store: FolderStore) -> None:
    part = keep(store, MESSY, volume_bytes=1_000_000)
    first, second, third = part.volumes
    with pytest.raises(PartDamaged, match="holds something else"):
        fetch(store, part.model_copy(update={"volumes": (second, first, third)}))


def test_a_manifest_with_a_volume_too_few(store: FolderStore) -> None:
    part = keep(store, MESSY, volume_bytes=1_000_000)
    with pytest.raises(PartDamaged, match="bytes of content"):
        fetch(store, part.model_copy(update={"volumes": part.volumes[:2]}))


def test_frames_are_authenticated_before_they_come_out(store: FolderStore) -> None:
    part = keep(store, MESSY)
    damaged = bytearray(path(store, part).read_bytes())
    damaged[2_300_000] ^= 1
    path(store, part).write_bytes(damaged)
    out: list[bytes] = []
    with open_part(store, part, KEY, CONTEXT) as stream:
        pieces = iter(lambda: stream.read(65_536), b"")
        with pytest.raises(PartDamaged):
            out.extend(pieces)
    assert MESSY.startswith(b"".join(out))
    assert out


def test_a_failed_producer_leaves_nothing(store: FolderStore) -> None:
    def finished() -> None:
        raise ToolFailed("pg_dump", 1, "the server went away")

    with pytest.raises(ToolFailed):
        keep(store, MESSY, volume_bytes=1_000_000, finished=finished)
    assert list(store.list("")) == []
    assert list(store.unfinished("")) == []


def test_stops_when_told(store: FolderStore) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(LeaseLost, match="another one has taken over"):
        keep(store, MESSY, stop=stop)
    assert list(store.list("")) == []


def test_progress_adds_up(store: FolderStore) -> None:
    class Sum:
        stored = content = 0

        def add(self, part: str, stored: int, content: int) -> None:
            self.stored += stored
            self.content += content

    written, read = Sum(), Sum()
    part = keep(store, MESSY, progress=written)
    with open_part(store, part, KEY, CONTEXT, progress=read) as stream:
        stream.read()
    size = part.volumes[0].size
    assert (written.stored, written.content) == (size, len(MESSY))
    assert (read.stored, read.content) == (size, len(MESSY))
