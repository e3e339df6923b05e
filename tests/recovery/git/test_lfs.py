"""Objects of Git LFS in a folder and in a tar: each is what its name says, or it is named."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from include.recovery.errors import BackupCorrupt, SourceError
from include.recovery.git import lfs


def put(folder: Path, content: bytes, *, as_named: bytes | None = None) -> str:
    oid = hashlib.sha256(as_named or content).hexdigest()
    path = lfs.place(folder, oid)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return oid


def test_what_is_packed_is_unpacked(tmp_path: Path) -> None:
    films = (b"", b"a film", b"b" * 70_000)
    objects = dict(sorted((put(tmp_path / "one", content), len(content)) for content in films))
    out = io.BytesIO()
    lfs.pack(tmp_path / "one", objects, out, "here")
    out.seek(0)
    assert lfs.unpack(out, tmp_path / "two", "there") == 3
    found = list(lfs.items_in(tmp_path / "two"))
    assert found == list(lfs.items_in(tmp_path / "one"))
    assert [(item.name, item.digest, item.size) for item in found] == [
        (f"lfs/{oid}", oid, size) for oid, size in objects.items()
    ]
    out.seek(0)
    assert lfs.unpack(out, tmp_path / "two", "there", replace=False) == 0


def test_a_damaged_object_is_named(tmp_path: Path) -> None:
    oid = put(tmp_path, b"b film", as_named=b"a film")
    with pytest.raises(SourceError, match=f"here: object {oid} of Git LFS is damaged"):
        lfs.pack(tmp_path, {oid: 6}, io.BytesIO(), "here")


@pytest.mark.parametrize("name", ["../../../etc/passwd", "ab/cd/short", "/" + "a" * 63])
def test_nothing_else_comes_out_of_a_tar(tmp_path: Path, name: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    out.seek(0)
    with pytest.raises(BackupCorrupt, match="is no object of Git LFS"):
        lfs.unpack(out, tmp_path / "copy", "there")
    assert not (tmp_path / "copy").exists()


def test_only_those_that_were_fetched_are_here(tmp_path: Path) -> None:
    oid = put(tmp_path, b"a film")
    assert lfs.present(tmp_path, {oid: 6, "f" * 64: 9}) == {oid: 6}
