"""Capturing, without a store: what goes into the stream and the inventory, and whose failure is told."""

from __future__ import annotations

import fcntl
import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from include.recovery.content.model import Item
from include.recovery.files.archive import members
from include.recovery.files.capture import Capture
from include.recovery.policy.source_kinds.files import FilesSource

GET_FLAGS, SET_FLAGS = 0x80086601, 0x40086602


class Kept:
    """A sink in memory."""

    def __init__(self, out: BinaryIO) -> None:
        self.out, self.items = out, list[Item]()
        self.left_out: list[str] = []

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        assert name == "files"
        yield self.out

    def item(self, item: Item) -> None:
        self.items.append(item)

    def leave_out(self, what: str, why: str) -> None:
        self.left_out.append(what)

    def store(self, *_: object, **__: object) -> None:
        raise AssertionError("one part is written, none is stored")


class Broken(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        raise BrokenPipeError


def source(*paths: Path) -> FilesSource:
    return FilesSource(name="conf", kind="files", data_class="all", paths=tuple(map(str, paths)))


def test_stream_and_inventory_hold_the_same_in_the_same_order(tmp_path: Path) -> None:
    for name in ("a/x", "a-b/y", "a/z/1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    sink = Kept(io.BytesIO())
    Capture(source(tmp_path / "a", tmp_path / "a-b"), sink, threading.Event()).run()
    sink.out.seek(0)
    names = [member.entry.name for member in members(sink.out, "here")]
    assert names == [item.name for item in sink.items] == [
        f"{tmp_path}/{name}" for name in ("a", "a-b", "a-b/y", "a/x", "a/z", "a/z/1")
    ]  # fmt: skip


def test_flags_that_no_archive_keeps_are_told(tmp_path: Path) -> None:
    (tmp_path / "top" / "plain").mkdir(parents=True)
    (tmp_path / "top" / "x").write_text("x")
    for name in ("top", "top/x"):
        descriptor = os.open(tmp_path / name, os.O_RDONLY)
        try:
            flags = bytearray(8)
            fcntl.ioctl(descriptor, GET_FLAGS, flags)
            fcntl.ioctl(descriptor, SET_FLAGS, (int.from_bytes(flags, sys.byteorder) | 0x40).to_bytes(8, sys.byteorder))
        except OSError:
            pytest.skip("this file system has no flags")
        finally:
            os.close(descriptor)
    sink = Kept(io.BytesIO())
    Capture(source(tmp_path / "top"), sink, threading.Event()).run()
    assert sink.left_out == [f"chattr +d of {tmp_path}/top", f"chattr +d of {tmp_path}/top/x"]


def test_a_store_that_went_away_is_no_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(BrokenPipeError):
        Capture(source(tmp_path), Kept(Broken()), threading.Event()).run()  # type: ignore[arg-type]
