"""YAML becomes plain values, with the line of everything."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.policy.yaml_source import BrokenYaml, read_yaml


def test_every_key_and_item_has_its_line() -> None:
    document = read_yaml("a: 1\nb:\n  - x\n  - y: 2\n")

    assert document.value == {"a": 1, "b": ["x", {"y": 2}]}
    assert [document.line(path) for path in [("a",), ("b",), ("b", 0), ("b", 1, "y")]] == [1, 2, 3, 4]


def test_what_is_not_there_has_the_line_of_what_is_around_it() -> None:
    document = read_yaml("a: 1\nb:\n  c: 2\n")

    assert document.line(("b", "missing", "deeper")) == 2
    assert document.line(("nowhere",)) == 1


def test_keys_given_twice_are_found_at_every_depth() -> None:
    document = read_yaml("a: 1\nb:\n  - {c: 1, c: 2}\na: 3\n")

    assert [(twice.path, twice.line, twice.first_line) for twice in document.duplicates] == [
        (("b", 0, "c"), 3, 3),
        (("a",), 4, 1),
    ]


@pytest.mark.parametrize(
    "text", ["a: [1", "a: b: c", "\t- a", "a: !!python/name:os.system x", "? [a]: b\n: {", "a: &x *y"]
)
def test_broken_text_is_one_sentence(text: str) -> None:
    with pytest.raises(BrokenYaml) as caught:
        read_yaml(text)
    assert str(caught.value).startswith("this is not YAML: ")
    assert "\n" not in str(caught.value)
    assert caught.value.line >= 1


@given(st.text(max_size=200))
def test_no_text_raises_anything_else(text: str) -> None:
    with suppress(BrokenYaml):
        read_yaml(text)
