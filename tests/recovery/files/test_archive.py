"""The archive: what goes in comes out, and damage is never an early end."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.recovery.errors import BackupCorrupt
from include.recovery.files.archive import END, Member, header, members, padding
from include.recovery.files.content import Segment
from include.recovery.files.entry import Entry, Owner

ROOT = Owner(0, 0, "root", "root")
FILE = Entry("/etc/x", "file", 0o644, ROOT, 1_700_000_000_123_456_789, size=5)

words = st.binary(min_size=1, max_size=300).filter(lambda word: not {0, 47} & set(word) and word not in {b".", b".."})
names = st.lists(words, min_size=1, max_size=4).map(lambda way: os.fsdecode(b"/" + b"/".join(way)))
numbers = st.integers(0, 2**32 - 2)
owners = st.builds(Owner, numbers, numbers, st.sampled_from(["", "www-data", "ü" * 20]), st.sampled_from(["", "adm"]))
times = st.integers(-(10**18), 10**19)
Xattrs = tuple[tuple[str, bytes], ...]
xattrs = st.dictionaries(
    st.sampled_from(["user.a", "user.a=b", "user.100%", "security.capability", "system.posix_acl_access"]),
    st.binary(max_size=80),
).map(lambda each: tuple(sorted(each.items())))
common = {"mode": st.integers(0, 0o7777), "owner": owners, "mtime_ns": times, "xattrs": xattrs, "name": names}
entries = st.one_of(
    st.builds(Entry, type=st.sampled_from(["folder", "fifo"]), **common),
    st.builds(Entry, type=st.just("link"), target=names.map(lambda name: name[1:]), **common),
    st.builds(Entry, type=st.just("file"), same_as=names, **common),
)


def written(entry: Entry, content: bytes = b"", segments: list[Segment] | None = None) -> bytes:
    return header(entry, segments) + content + padding(len(content))


def read(data: bytes) -> list[tuple[Member, bytes]]:
    return [(member, b"".join(member.content)) for member in members(io.BytesIO(data), "here")]


def file_of(content: bytes, **changed: object) -> tuple[Entry, bytes]:
    entry = replace(FILE, size=len(content), **changed)  # type: ignore[arg-type]
    return entry, written(entry, content, [(0, len(content))] if content else [])


@given(st.lists(entries, max_size=4))
def test_everything_but_files_comes_back_as_it_was(given_: list[Entry]) -> None:
    found = read(b"".join(written(entry) for entry in given_) + END)
    assert [member.entry for member, _ in found] == given_


@given(st.binary(max_size=3000), names, times, xattrs)
@example(b"", "/a\nb", -1, ())
@example(b"x" * 512, "/" + "/".join(["d" * 100] * 40), 0, ())
def test_files_come_back_with_their_bytes(content: bytes, name: str, mtime: int, marks: Xattrs) -> None:
    entry, data = file_of(content, name=name, mtime_ns=mtime, xattrs=marks)
    assert [(member.entry, body) for member, body in read(data + END)] == [(entry, content)]


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 700)), max_size=60), st.integers(1, 10_000))
def test_files_with_holes_keep_them(runs: list[tuple[int, int]], tail: int) -> None:
    segments, at = [], 0
    for hole, length in runs:
        segments.append((at + hole, length))
        at += hole + length
    stored = bytes(sum(length for _, length in segments))
    entry = replace(FILE, size=at + tail)
    ((member, body),) = read(written(entry, stored, segments) + END)
    assert (member.entry, member.segments, body) == (entry, tuple(segments), stored)


def test_a_long_file_needs_no_octal_size() -> None:
    entry = replace(FILE, size=2**40)
    head = header(entry, [(0, 2**40)])
    member = next(members(io.BytesIO(head + END), "here"))
    assert member.entry.size == 2**40
    assert member.segments == ((0, 2**40),)


@pytest.mark.parametrize("length", [1, 100, 511, 512, 700, 1023, 1024, 1536, 1700, 2048, 2100, 2560])
def test_an_archive_that_ends_anywhere_is_damage(length: int) -> None:
    data = file_of(b"hello")[1] + END
    assert len(data) > length
    with pytest.raises(BackupCorrupt, match="ends in the middle"):
        read(data[:length])


def test_a_damaged_header_in_the_middle_is_no_early_end() -> None:
    first, second = file_of(b"hello")[1], file_of(b"world", name="/etc/y")[1]
    damaged = bytearray(first + second + END)
    damaged[len(first) + 10] ^= 1
    with pytest.raises(BackupCorrupt, match="header of the archive cannot be read"):
        read(bytes(damaged))


def test_something_behind_the_end_is_damage() -> None:
    with pytest.raises(BackupCorrupt, match="behind the end"):
        read(file_of(b"hello")[1] + END + b"more")


@pytest.mark.parametrize("path", ["/../etc/passwd", "/a/../../b", "/a//b", "/./a", "//a/"])
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(BackupCorrupt, match="leads elsewhere"):
        read(written(replace(FILE, name=path, size=0), b"", []) + END)


def test_a_foreign_archive_is_refused() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as foreign:
        foreign.addfile(tarfile.TarInfo("x"))
    with pytest.raises(BackupCorrupt, match="without its records"):
        read(stream.getvalue())


@given(st.lists(entries, max_size=3))
def test_python_reads_it_too(given_: list[Entry]) -> None:
    data = b"".join(written(entry) for entry in given_) + END
    with tarfile.open(fileobj=io.BytesIO(data), mode="r|", errors="surrogateescape") as foreign:
        found = [(each.mode, each.uid, each.isdir(), each.isfifo(), each.issym()) for each in foreign]
    assert found == [
        (e.mode, e.owner.uid, e.type == "folder", e.type == "fifo", e.type == "link") for e in given_
    ]
