"""The change that makes one object the other."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from include.lab.kubernetes_fields import merge
from include.recovery.kubernetes.apply import Placed, merge_patch, refusal
from include.recovery.kubernetes.client import Answered


def maps(inner: Any) -> Any:
    return st.dictionaries(st.sampled_from("abc"), inner, max_size=3)


LEAVES = st.booleans() | st.integers(0, 2) | st.sampled_from(["", "x"])
INNER = LEAVES | st.lists(LEAVES, max_size=2) | maps(LEAVES)
MAPS = maps(INNER | maps(INNER))


@settings(max_examples=60)
@given(MAPS, MAPS)
def test_the_patch_leads_from_one_to_the_other(current: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert merge(current, merge_patch(current, wanted)) == wanted


def test_one_and_true_are_not_the_same() -> None:
    assert merge_patch({"a": [1], "b": 1}, {"a": [True], "b": True}) == {"a": [True], "b": True}


@settings(max_examples=30)
@given(MAPS)
def test_nothing_to_change_is_an_empty_patch(current: dict[str, Any]) -> None:
    assert merge_patch(current, current) == {}


def test_what_a_server_says_of_a_secret_is_not_repeated() -> None:
    error = Answered("it", 422, "Invalid", ("data.password",), "Invalid value: hunter2")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "todo"}}
    assert refusal(Placed(secret, "/"), error) == "namespaces/todo/core/Secret/s: 422 Invalid (data.password)"
    assert "hunter2" in refusal(Placed({**secret, "kind": "ConfigMap"}, "/"), error)
