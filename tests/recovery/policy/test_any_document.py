"""Whatever stands in a policy file: problems in sentences, or a valid policy; never an exception, never silence."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.policy.files import check_text
from include.recovery.policy.models import Platform, ProtectedSystem
from include.recovery.policy.rules import broken_rules, platform_rules

EXAMPLE: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "policies" / "example.yaml").read_text(encoding="utf-8")
)
ODD = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 10**20),
        st.floats(allow_nan=False),
        st.dates(),
        st.binary(max_size=3),
        st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20),
        st.sampled_from(["main-db", "0 2 * * *", "15m", "commander", "primary"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.text(max_size=8), st.integers()), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """The example with up to three things replaced, removed or added."""
    document = copy.deepcopy(EXAMPLE)
    for _ in range(draw(st.integers(0, 3))):
        *parents, last = draw(st.sampled_from([place for place in places(document) if place]))
        around = document
        for key in parents:
            around = around[key]
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "remove":
            del around[last]
        elif change == "add" and isinstance(around, dict):
            around[draw(st.text(alphabet="abcdeimnorst", min_size=1, max_size=6))] = draw(ODD)
        else:
            around[last] = draw(ODD)
    return document


def assert_told(problems: tuple[str, ...], valid: bool) -> None:
    assert bool(problems) != valid
    for problem in problems:
        assert problem.startswith("x.yaml:")
        assert "\n" not in problem


@given(documents())
def test_a_mutated_policy_is_valid_or_told(document: Any) -> None:
    text = yaml.safe_dump(document, allow_unicode=True)

    reading = check_text("x.yaml", text, ProtectedSystem, broken_rules)

    assert_told(reading.problems, reading.model is not None)


@given(ODD)
def test_an_odd_document_is_told(document: Any) -> None:
    text = yaml.safe_dump(document, allow_unicode=True)

    for reading in (
        check_text("x.yaml", text, ProtectedSystem, broken_rules),
        check_text("x.yaml", text, Platform, platform_rules),
    ):
        assert_told(reading.problems, reading.model is not None)
