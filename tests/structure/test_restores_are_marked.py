"""Nothing restores a cluster without a marker: else retention may expire the backup that is just being read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESTORES = {"restore_cluster", "restore_beside"}
"""``restore_beside`` calls ``restore_cluster`` for a caller who has the marker, so it counts as a restore itself."""
MARKERS = {"in_use", "marker", "mark"}
FILES = sorted(path for ring in ("include", "plugins", "dags") for path in (ROOT / ring).rglob("*.py"))


def name_of(call: ast.expr) -> str:
    function = call.func if isinstance(call, ast.Call) else call
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def unmarked_restores(tree: ast.AST, *, marked: bool = False) -> Iterator[int]:
    """Lines that restore a cluster outside of a marker's block."""
    for node in ast.iter_child_nodes(tree):
        inside = marked
        if isinstance(node, ast.With):
            inside = marked or any(name_of(item.context_expr) in MARKERS for item in node.items)
        elif isinstance(node, ast.FunctionDef):
            inside = node.name in RESTORES
        if isinstance(node, ast.Call) and name_of(node) in RESTORES and not marked:
            yield node.lineno
        yield from unmarked_restores(node, marked=inside)


def test_every_restore_of_a_cluster_is_inside_a_marker() -> None:
    calls = sum(path.read_text(encoding="utf-8").count("restore_cluster(") for path in FILES)
    assert calls > 3, "restore_cluster has another name: this test looks for nothing"
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in FILES
        for line in unmarked_restores(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert wrong == [], "restore inside `with in_use(...)` or a marker of pgbackrest/marker.py"


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("restore_cluster(a)", [1]),
        ("with in_use(a):\n    restore_cluster(a)", []),
        ("with drill.marker(a):\n    x = restore_cluster(a)", []),
        ("with open(a):\n    restore_cluster(a)", [2]),
        ("restore_beside(a)", [1]),
        ("def restore_beside(a):\n    restore_cluster(a)", []),
        ("with in_use(a):\n    def later():\n        restore_cluster(a)", [3]),
    ],
)
def test_the_search_itself(code: str, lines: list[int]) -> None:
    assert list(unmarked_restores(ast.parse(code))) == lines


def test_every_replay_and_proof_of_a_window_is_given_its_marker() -> None:
    """Their default marks nothing, which is right only for a repository that no catalog knows."""
    wrong = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in {"ReplayProof.start", "Place"}:
                continue
            if "marker" not in {keyword.arg for keyword in node.keywords}:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert wrong == [], "give it marker=marker_of(workspace, stanza, store, by)"
