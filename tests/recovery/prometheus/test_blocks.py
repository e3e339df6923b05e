"""Blocks packed, unpacked and measured, whatever their files are."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.content.port import EVERYTHING, Selection
from include.recovery.errors import BackupCorrupt, SourceError
from include.recovery.prometheus.blocks import measured, pack, unpack

ONE, TWO = "01HZZZZZZZZZZZZZZZZZZZZZZ1", "01HZZZZZZZZZZZZZZZZZZZZZZ2"


def block(folder: Path, name: str, files: dict[str, bytes]) -> None:
    meta = json.dumps({"ulid": name, "minTime": 1, "maxTime": 2}).encode()
    for path, data in {"meta.json": meta, **files}.items():
        (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / path).write_bytes(data)


def packed(folder: Path) -> tuple[bytes, list[object]]:
    out = io.BytesIO()
    items = [each.item() for each in pack(folder, out)]
    return out.getvalue(), list(items)


@given(st.dictionaries(st.sampled_from(["index", "tombstones", "chunks/000001", "chunks/000002"]), st.binary()))
def test_what_was_packed_comes_back_the_same(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        source, copy = Path(name, "source"), Path(name, "copy")
        block(source, TWO, files)
        block(source, ONE, {"index": b"x" * 100_000})
        data, items = packed(source)

        unpack(io.BytesIO(data), copy, "here", EVERYTHING)

        assert [each.item() for each in measured(copy)] == items == [each.item() for each in measured(source)]
        assert [item.name for item in items] == [ONE, TWO]  # type: ignore[attr-defined]


def test_a_selection_leaves_the_others_out(tmp_path: Path) -> None:
    for name in (ONE, TWO):
        block(tmp_path / "source", name, {"index": b"i"})

    unpack(io.BytesIO(packed(tmp_path / "source")[0]), tmp_path / "copy", "here", Selection((TWO,)))

    assert [path.name for path in (tmp_path / "copy").iterdir()] == [TWO]


@given(st.integers(0, 9_000))
def test_a_truncated_archive_is_never_taken_for_whole(length: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        block(Path(name, "source"), ONE, {"index": b"i" * 5_000, "chunks/000001": b"c"})
        data, items = packed(Path(name, "source"))
        try:
            unpack(io.BytesIO(data[:length]), Path(name, "copy"), "here", EVERYTHING)
            found = [each.item() for each in measured(Path(name, "copy"))] if Path(name, "copy").exists() else []
        except BackupCorrupt:
            return
        # Cut between two files it is an archive still: then the items tell.
        assert found != items or length >= len(data.rstrip(b"\0"))


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", f"{ONE}/../../up", "alone"])
def test_an_archive_cannot_write_beside_its_blocks(tmp_path: Path, path: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(path), io.BytesIO())

    with pytest.raises(BackupCorrupt, match="no file of a block"):
        unpack(io.BytesIO(out.getvalue()), tmp_path / "copy", "here", EVERYTHING)
    assert not list(tmp_path.rglob("up"))


def test_an_archive_cannot_write_through_a_link(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo(f"{ONE}/chunks")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)

    with pytest.raises(BackupCorrupt, match="no file of a block"):
        unpack(io.BytesIO(out.getvalue()), tmp_path / "copy", "here", EVERYTHING)


def test_strangers_are_refused_in_a_snapshot_and_passed_over_in_a_servers_folder(tmp_path: Path) -> None:
    block(tmp_path, ONE, {"index": b"i"})
    (tmp_path / "wal").mkdir()
    (tmp_path / "lock").touch()

    assert [each.name for each in measured(tmp_path)] == [ONE]
    with pytest.raises(SourceError, match="lock is no block"):
        list(pack(tmp_path, io.BytesIO()))
