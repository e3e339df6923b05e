"""The tar that a backup holds is one that every tar reads; and only whole."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import pytest

from include.recovery.content.port import EVERYTHING, Selection, Stored
from include.recovery.errors import BackupCorrupt
from include.recovery.kubernetes.archive import Archive, items, members, unpack
from include.recovery.kubernetes.document import path_of, text_of

AT = datetime(2026, 11, 21, tzinfo=UTC)


class Held:
    """A backup with this content."""

    manifest = SimpleNamespace(name="depot/resources/1")

    def __init__(self, content: bytes) -> None:
        self.stream = io.BytesIO(content)

    @contextmanager
    def open(self, part: str) -> Iterator[BinaryIO]:
        yield self.stream


def held(content: bytes) -> Stored:
    return cast(Stored, Held(content))


def packed(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with Archive(stream, AT) as archive:
        for path, content in files.items():
            archive.add(path, content)
    return stream.getvalue()


def thing(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "todo"}}


FILES = {"a/b": b"", "c": b"x" * 512, "d" * 200: b"y" * 513, "é": b"z"}


def test_any_tar_reads_it() -> None:
    content = packed(FILES)
    assert len(content) % tarfile.RECORDSIZE == 0
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert {member.name: tar.extractfile(member).read() for member in tar} == FILES  # type: ignore[union-attr]
        assert {(member.mode, member.mtime, member.uid) for member in tar} == {(0o600, int(AT.timestamp()), 0)}
    assert dict(members(held(content))) == FILES


def test_what_broke_off_is_no_tar() -> None:
    stream = io.BytesIO()

    def break_off() -> None:
        with Archive(stream, AT) as archive:
            archive.add("a", b"b")
            raise KeyError

    with pytest.raises(KeyError):
        break_off()
    assert len(stream.getvalue()) == 1024


@pytest.mark.parametrize("length", [0, 100, 700, 1300])
def test_a_part_that_ends_early(length: int) -> None:
    with pytest.raises(BackupCorrupt, match="no whole tar"):
        list(members(held(packed({"a": b"x" * 1000})[:length])))


def test_the_part_is_read_to_its_end() -> None:
    stored = held(packed(FILES) + bytes(3_000_000))
    list(members(stored))
    assert cast(Held, stored).stream.read() == b""


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../up"])
def test_a_path_that_leads_out_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(BackupCorrupt, match="which no export writes"):
        unpack(held(packed({path: b"x"})), tmp_path / "copy", EVERYTHING)
    assert not (tmp_path / "up").exists()


def test_a_link_is_refused() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        link = tarfile.TarInfo("cluster/x")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(BackupCorrupt, match="which no export writes"):
        list(members(held(stream.getvalue())))


def test_names_come_in_order_whatever_the_files_are_called(tmp_path: Path) -> None:
    """``a.b`` comes behind ``a-b`` and before ``aa``; as files with an ending, ``a`` would come last."""
    names = [f"namespaces/todo/core/ConfigMap/{name}" for name in ("a", "a-b", "a.b", "aa", "ü")]
    folder = tmp_path / "copy"
    unpack(
        held(packed({path_of(name): text_of(thing(name.rpartition("/")[2])).encode() for name in names})),
        folder,
        EVERYTHING,
    )
    assert [item.name for item in items(folder)] == names
    unpack(
        held(packed({path_of(name): text_of(thing(name.rpartition("/")[2])).encode() for name in names})),
        folder,
        Selection((names[2],)),
    )
    assert [item.name for item in items(folder)] == [names[2]]
