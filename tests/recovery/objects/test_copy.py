from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.errors import NotIdentical
from include.recovery.objects.copy import OBJECTS, Entry, FolderCopy, discard, is_safe, items
from include.recovery.objects.digest import digest

KEYS = sorted(
    [
        "a", "a/b", "a/b/c", "a-b", "../outside", "/leading", "closing/", "double//slash", ".", "..", "./x",
        "new\nline",
        "\x01", "tab\t", "k" * 1024, "d/" + "k" * 300, "x/" * 511 + "xx", "Grüße/日本/😀", "space in it", "back\\slash",
        "quote\"'", "-rf", "*", "percent%2F", "CON", "index", "unusual/000000/000",
    ],
    key=str.encode,
)  # fmt: skip


def make(folder: Path, keys: list[str]) -> None:
    with FolderCopy(folder) as copy:
        for key in keys:
            path = copy.place(key)
            with copy.open(path) as file:
                file.write(key.encode())
            copy.enter(Entry(key, path, {"ContentType": "text/plain"}))


def expected(key: str) -> tuple[str, str, int]:
    content = key.encode()
    return key, digest(hashlib.sha256(content).hexdigest(), {"ContentType": "text/plain"}), len(content)


def found(folder: Path) -> list[tuple[str, str, int]]:
    return [(item.name, item.digest, item.size) for item in items(folder)]


def test_every_key_has_a_place_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    make(folder, KEYS)

    assert found(folder) == [expected(key) for key in KEYS]
    assert {path.name for path in tmp_path.iterdir()} == {"copy"}
    assert (folder / OBJECTS / "Grüße" / "日本" / "😀").read_text() == "Grüße/日本/😀"
    assert (folder / OBJECTS / "a").read_text() == "a"
    assert {path.name for path in folder.iterdir()} == {"index", "objects", "unusual"}


def test_a_copy_replaces_what_an_earlier_try_has_left(tmp_path: Path) -> None:
    make(tmp_path / "copy", ["old", "both"])
    make(tmp_path / "copy", ["both"])
    assert found(tmp_path / "copy") == [expected("both")]
    discard(tmp_path / "copy")
    discard(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_what_is_changed_missing_or_added_shows(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    make(folder, ["a", "b/c", "d"])
    (folder / OBJECTS / "a").write_text("b")
    (folder / OBJECTS / "b" / "c").unlink()
    (folder / OBJECTS / "b" / "new").write_text("?")

    names = found(folder)

    assert [name for name, _, _ in names] == ["a", "d", "objects/b/new (a file that no object has)"]
    assert names[0] != expected("a")
    assert names[1] == expected("d")


def test_a_folder_without_an_index_is_no_copy(tmp_path: Path) -> None:
    with pytest.raises(NotIdentical, match="no index"):
        list(items(tmp_path))
    (tmp_path / "index").write_text("[1")
    with pytest.raises(NotIdentical, match="cannot be read"):
        list(items(tmp_path))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_safe_key_stays_below_its_folder(key: str) -> None:
    if is_safe(key):
        root = Path("/root/objects")
        path = root / key
        assert path.parts[: len(root.parts)] == root.parts
        assert len(path.parts) == len(root.parts) + key.count("/") + 1
        assert ".." not in path.parts
