"""Extracting: never outside of its folder, through no link, and only what is in order."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from include.recovery.errors import BackupCorrupt
from include.recovery.files.archive import END, header, members, padding
from include.recovery.files.attributes import Lack, apply
from include.recovery.files.entry import Entry, Owner, group_name, user_name
from include.recovery.files.extract import Extraction
from include.recovery.jobs import Stopped

ME = Owner(os.geteuid(), os.getegid(), user_name(os.geteuid()), group_name(os.getegid()))
FILE = Entry("/x", "file", 0o644, ME, 10**18)
FOLDER = replace(FILE, type="folder", mode=0o755)


def file(name: str, content: bytes = b"content", **changed: object) -> bytes:
    entry = replace(FILE, name=name, size=len(content), **changed)  # type: ignore[arg-type]
    return header(entry, [(0, len(content))] if content else []) + content + padding(len(content))


def folder(name: str, **changed: object) -> bytes:
    return header(replace(FOLDER, name=name, **changed))  # type: ignore[arg-type]


def link(name: str, target: str) -> bytes:
    return header(replace(FILE, name=name, type="link", target=target))


def hard_link(name: str, first: str) -> bytes:
    return header(replace(FILE, name=name, same_as=first))


class Took:
    def __init__(self, top: Path, *, wants: Callable[[str], bool] = lambda _: True, linked_to: set[str] = frozenset(),  # type: ignore[assignment]
                 stop: bool = False) -> None:  # fmt: skip
        self.top, self.wants, self.linked_to, self.stop = top, wants, frozenset(linked_to), stop
        self.lacks: dict[str, Lack] = {}
        self.scaffolds: list[str] = []
        self.alone: dict[str, str] = {}

    def take(self, *parts: bytes) -> int:
        self.top.mkdir(exist_ok=True)
        descriptor = os.open(self.top, os.O_RDONLY)
        try:
            return Extraction(
                place=lambda name: (descriptor, name.split("/")[1:]), wants=self.wants, linked_to=self.linked_to,
                by_name=False, lacks=self.lacks.__setitem__, scaffold=self.scaffolds.append,
                alone=self.alone.__setitem__, stop=lambda: self.stop,
            ).run(members(io.BytesIO(b"".join(parts) + END), "here"))  # fmt: skip
        finally:
            os.close(descriptor)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    return tmp_path / "outside"


def test_a_link_that_the_archive_brought_is_not_followed(tmp_path: Path, outside: Path) -> None:
    with pytest.raises(OSError, match="Not a directory|symbolic"):
        Took(tmp_path / "top").take(link("/a", str(outside)), file("/a/x"))
    assert list(outside.iterdir()) == []


def test_a_file_does_not_go_through_a_link_of_its_name(tmp_path: Path, outside: Path) -> None:
    (outside / "victim").write_text("mine")
    took = Took(tmp_path / "again")
    took.take(link("/a", str(outside / "victim")), file("/a", b"later"))  # written again: the link goes first
    assert (tmp_path / "again" / "a").read_bytes() == b"later"
    assert not (tmp_path / "again" / "a").is_symlink()
    assert (outside / "victim").read_text() == "mine"


def test_a_hard_link_to_something_outside_is_none(tmp_path: Path, outside: Path) -> None:
    (outside / "victim").write_text("mine")
    with pytest.raises(OSError, match="No such file|Not a directory|symbolic"):
        Took(tmp_path / "top").take(link("/a", str(outside)), hard_link("/b", "/a/victim"))


def test_disorder_is_damage(tmp_path: Path) -> None:
    with pytest.raises(BackupCorrupt, match="out of its order"):
        Took(tmp_path / "top").take(file("/b"), file("/a"))


def test_of_a_file_that_comes_twice_the_last_counts(tmp_path: Path) -> None:
    assert Took(tmp_path / "top").take(file("/a", b"half"), file("/a", b"whole"), file("/b")) == 2
    assert (tmp_path / "top" / "a").read_bytes() == b"whole"


def test_folders_get_their_modes_and_times_when_they_are_full(tmp_path: Path) -> None:
    took = Took(tmp_path / "top")
    parts = [folder("/a", mode=0o555), folder("/a-b"), file("/a-b/x"), folder("/a/s"), file("/a/s/y"), file("/b")]
    assert took.take(*parts) == 6
    for name in ("a", "a-b", "a/s"):
        assert (tmp_path / "top" / name).stat().st_mtime_ns == 10**18
    if os.geteuid() != 0:
        assert took.lacks == {"/a": Lack(mode=(0o755, 0o555))}
    (tmp_path / "top" / "a").chmod(0o755)


def test_folders_above_what_is_wanted_are_told_of(tmp_path: Path) -> None:
    took = Took(tmp_path / "top", wants=lambda name: name.startswith("/a/b/c"))
    assert took.take(folder("/a"), folder("/a/b"), file("/a/b/c"), file("/a/b/d"), file("/a/b/e")) == 1
    assert took.scaffolds == ["/a", "/a/b"]
    assert [path.name for path in (tmp_path / "top" / "a" / "b").iterdir()] == ["c"]


def test_links_to_a_file_that_is_not_wanted_bring_its_content(tmp_path: Path) -> None:
    took = Took(tmp_path / "top", wants=lambda name: name != "/a", linked_to={"/a"})
    assert took.take(file("/a", b"old"), file("/a", b"new"), hard_link("/b", "/a"), hard_link("/c", "/a")) == 2
    assert took.alone == {"/b": "/a", "/c": "/a"}
    top = tmp_path / "top"
    assert (top / "b").read_bytes() == b"new"
    assert (top / "b").stat().st_ino == (top / "c").stat().st_ino
    assert sorted(path.name for path in top.iterdir()) == ["b", "c"]


def test_it_stops_when_told(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        Took(tmp_path / "top", stop=True).take(file("/a"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root lacks nothing")
def test_an_owner_that_cannot_be_set_is_told_and_its_set_user_id_bit_not_given_to_us(tmp_path: Path) -> None:
    took = Took(tmp_path / "top")
    took.take(file("/su", owner=Owner(0, 0, "root", "root"), mode=0o4755))
    lack = took.lacks["/su"]
    assert lack.owner == (ME, Owner(0, 0, "root", "root"))
    assert lack.mode == (0o755, 0o4755)


@pytest.mark.skipif(os.geteuid() == 0, reason="root lacks nothing")
def test_what_a_file_of_several_names_lacks_is_told_for_each(tmp_path: Path) -> None:
    root = Owner(0, 0, "root", "root")
    took = Took(tmp_path / "top")
    took.take(file("/a", owner=root), header(replace(FILE, name="/b", same_as="/a", owner=root)))
    assert took.lacks == {"/a": Lack((ME, root)), "/b": Lack((ME, root))}


def test_a_further_name_of_a_link_does_not_lead_to_what_the_link_points_at(tmp_path: Path, outside: Path) -> None:
    (outside / "victim").touch(mode=0o600)
    took = Took(tmp_path / "top")
    took.take(link("/a", str(outside / "victim")), header(replace(FILE, name="/b", same_as="/a", mode=0o777)))
    assert (outside / "victim").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "top" / "b").is_symlink()


def test_acls_of_the_folder_above_are_not_inherited(tmp_path: Path) -> None:
    from tests.fixtures.trees import ACL

    top = tmp_path / "top"
    top.mkdir()
    os.setxattr(top, "system.posix_acl_default", ACL)
    took = Took(top)
    took.take(file("/a"), folder("/b"))
    assert took.lacks == {}
    assert os.listxattr(top / "a") == os.listxattr(top / "b") == []


def test_names_give_numbers_where_files_are_put_back(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    descriptor = os.open(tmp_path, os.O_RDONLY)
    elsewhere = Owner(64000, 64001, ME.user, ME.group)  # the user has another number there
    entry = replace(FILE, name="/a", owner=elsewhere)
    try:
        if ME.user and ME.group:
            assert apply(entry, descriptor, "a", by_name=True) == Lack()
            assert (tmp_path / "a").stat().st_uid == ME.uid
        if os.geteuid() != 0:
            assert apply(entry, descriptor, "a", by_name=False).owner == (ME, elsewhere)
    finally:
        os.close(descriptor)
