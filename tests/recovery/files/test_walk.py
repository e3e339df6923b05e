"""Walks: in the order of the paths' bytes, through no link, however deep."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.recovery.files.walk import roots_of, walk


def raising(_name: str, error: OSError) -> None:
    raise error


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def names(*roots: Path | str, skip: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    with roots_of(map(str, roots)) as found:
        return [each.name for each in walk(found, raising, skip=skip.__contains__)]


word = st.text("ab-.!~ö\n0", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."})


@settings(max_examples=40)
@given(st.sets(st.lists(word, min_size=1, max_size=4).map(tuple), max_size=12))
def test_the_order_is_that_of_the_bytes(tmp_path_factory: pytest.TempPathFactory, ways: set[tuple[str, ...]]) -> None:
    top = tmp_path_factory.mktemp("tree")
    for way in ways:
        top.joinpath(*way).mkdir(parents=True, exist_ok=True)
    found = names(top)
    assert found == sorted(found, key=os.fsencode)
    assert set(found) == {str(top)} | {str(path) for path in top.rglob("*")}


def test_roots_whose_names_begin_alike_are_mixed_rightly(tmp_path: Path) -> None:
    for name in ("a/x", "a-b/y"):
        (tmp_path / name).mkdir(parents=True)
    found = names(tmp_path / "a", tmp_path / "a-b")
    assert [name.removeprefix(f"{tmp_path}/") for name in found] == ["a", "a-b", "a-b/y", "a/x"]


def test_links_are_not_followed_and_skipped_folders_not_entered(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret").touch()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    found = names(tmp_path / "in", skip={str(tmp_path / "in" / "deep")})
    assert found == [str(tmp_path / "in"), str(tmp_path / "in" / "link")]


def test_a_missing_root_holds_nothing_and_a_file_is_a_root_too(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert names(tmp_path / "none", tmp_path / "none" / "below", tmp_path / "file") == [str(tmp_path / "file")]


def test_a_tree_deeper_than_any_path_may_be_long(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(400):
        os.mkdir("d" * 20, dir_fd=descriptor)
        os.close(os.open("f", os.O_CREAT, dir_fd=descriptor))
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    before = open_descriptors()
    most = longest = 0
    with roots_of([str(tmp_path)]) as found:
        count = 0
        for each in walk(found, raising):
            count += 1
            if count % 100 == 0:
                most = max(most, open_descriptors() - before)
            longest = max(longest, len(each.name))
    assert count == 1 + 2 * 400
    assert most < 250
    assert longest > 8000
    assert open_descriptors() == before
    os.system(f"rm -rf {tmp_path}/d*")  # noqa: S605 - pytest's own removal recurses
