"""Sizes to bytes and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.policy.sizes import parse_size, print_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("1KiB", 1024), ("512MiB", 512 << 20), ("1GiB", 1 << 30), ("1024TiB", 1 << 50), ("0KiB", 0)],
)
def test_a_size_is_read_and_written(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert parse_size(print_size(size)) == size


def test_the_largest_unit_is_written() -> None:
    assert [print_size(size) for size in (0, 1536 << 20, 1 << 30, 3 << 40)] == ["0KiB", "1536MiB", "1GiB", "3TiB"]


@pytest.mark.parametrize(
    "text", ["", "1", "1GB", "1 GiB", "1.5GiB", "-1GiB", "GiB", "1gib", "1GiB\n", "\N{ARABIC-INDIC DIGIT ONE}GiB"]
)
def test_nonsense_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="a size is a whole number of KiB, MiB, GiB or TiB, such as '512MiB'"):
        parse_size(text)


def test_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="found '1025TiB'; a size is at most 1024TiB"):
        parse_size("1025TiB")


@pytest.mark.parametrize("size", [-1024, 1, 1025])
def test_what_has_no_text_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"found {size} bytes"):
        print_size(size)


@given(st.integers(0, 1 << 40))
def test_every_size_survives(kibibytes: int) -> None:
    assert parse_size(print_size(kibibytes * 1024)) == kibibytes * 1024
