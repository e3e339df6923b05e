"""Objects as text and back: the same for every parser, whatever is in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from include.recovery.errors import BackupCorrupt
from include.recovery.kubernetes.document import canonical, item_of, name_at, name_of, parsed, path_of, text_of

LETTERS = st.characters(codec="utf-8", exclude_categories=("Cs",))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(LETTERS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(LETTERS, min_size=1), inner, max_size=3),
    max_leaves=8,
)


def thing(name: str = "x", namespace: str | None = "todo", **more: Any) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, **more}


@settings(max_examples=60)
@given(VALUES)
def test_an_object_comes_back_from_its_text(value: Any) -> None:
    found = thing(spec={"value": value})
    assert parsed(text_of(found), "here") == found
    assert canonical(parsed(text_of(found), "here")) == canonical(found)


@pytest.mark.parametrize(
    "value",
    [
        "1e3",
        "0o17",
        "1_000",
        "y",
        "N",
        "off",
        "Null",
        "~",
        "",
        " x",
        "x ",
        "2026-01-01",
        "0x1F",
        "12:30",
        "1.",
        ".inf",
        "=",
        "<<",
        "a: b",
        "- a",
        "#a",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "{a",
        "a\n",
        "\n a",
        "a\n\n",
        "a \nb",
        "\ta",
        "a\x85b",
        "a\u2028b",
    ],
)
def test_text_that_another_parser_would_take_for_something_else_is_quoted(value: str) -> None:
    """Parsers of Go read more as numbers and truth than Python's does; a quoted text is a text for all."""
    text = text_of(thing(spec={"value": value}))
    assert parsed(text, "here")["spec"]["value"] == value
    (line,) = [line for line in text.splitlines() if line.startswith("  value:")]
    assert line.split(": ", 1)[1][0] in '"|'


def test_a_key_that_another_parser_would_take_for_truth_is_quoted() -> None:
    assert '  "n": a\n' in text_of(thing(spec={"n": "a"}))


def test_text_is_for_people() -> None:
    text = text_of(thing(spec={"zone": "eu-west-1", "script": "set -e\nrun\n", "aname": 1}))
    assert text.splitlines()[:3] == ["apiVersion: apps/v1", "kind: Deployment", "metadata:"]
    assert "  script: |\n    set -e\n    run\n" in text
    assert "zone: eu-west-1" in text
    assert yaml.safe_load(text)["spec"]["aname"] == 1


def test_names_and_paths() -> None:
    assert name_of(thing()) == "namespaces/todo/apps/Deployment/x"
    assert name_of({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}) == "cluster/core/Node/n"
    assert path_of("namespaces/todo/apps/Deployment/x") == "namespaces/todo/apps/Deployment/x.yaml"


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="/%"), min_size=1, max_size=300).filter(
        lambda n: n not in {".", ".."}
    )
)
def test_a_path_leads_back_to_the_name_and_fits_a_file_system(name: str) -> None:
    found = thing(name)
    path = path_of(name_of(found))
    assert name_at(path, found) == name_of(found)
    assert len(path.rpartition("/")[2]) <= 240
    assert path.isascii()
    assert "/" not in path.rpartition("Deployment/")[2]


def test_a_file_of_another_object_is_called_by_its_place() -> None:
    assert name_at("namespaces/todo/apps/Deployment/y.yaml", thing("x")) == "namespaces/todo/apps/Deployment/y"


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    one, other = {"a": 1, "b": [1, {"c": 2, "d": 3}]}, {"b": [1, {"d": 3, "c": 2}], "a": 1}
    assert item_of("n", canonical(one)) == item_of("n", canonical(other))
    assert item_of("n", canonical(one)) != item_of("n", canonical({**one, "a": 2}))


@pytest.mark.parametrize(
    "text", ["", "a: [", "- a", "a: b", "kind: X\napiVersion: v1\nmetadata: {}", "\x00", "metadata: 7"]
)
def test_what_is_no_object_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(BackupCorrupt) as refused:
        parsed(f"secret: hunter2\n{text}", "here.yaml")
    assert "here.yaml" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_date_stays_a_text() -> None:
    assert (
        json.dumps(parsed('{"apiVersion": v1, kind: X, metadata: {name: x}, at: 2026-01-01}', "h")["at"])
        == '"2026-01-01"'
    )
