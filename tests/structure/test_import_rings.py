"""Three rings, one direction: dags -> recovery_airflow -> include.recovery, and the core knows nothing of Airflow."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

RINGS = {
    "include/recovery": {"forbidden": ("airflow", "recovery_airflow", "plugins", "dags", "include.lab", "tests")},
    "plugins/recovery_airflow": {"forbidden": ("plugins", "dags", "include.lab", "tests")},
    "dags": {"forbidden": ("plugins", "dags", "include.lab", "tests")},
}


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a file imports, at whatever depth."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("ring", RINGS)
def test_a_ring_imports_only_inwards(ring: str) -> None:
    files = sorted((ROOT / ring).rglob("*.py"))
    assert files, f"{ring} has no code: the test looks in the wrong place"
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files
        for line, name in imported(path)
        if any(within(name, forbidden) for forbidden in RINGS[ring]["forbidden"])
    ]
    assert wrong == []


def test_dag_files_do_not_reach_into_tools() -> None:
    """Graphs only: what does something is in the inner rings."""
    tools = ("boto3", "psycopg", "subprocess", "requests", "airflow.models", "airflow.settings")
    wrong = [
        f"{path.name}:{line} imports {name}"
        for path in (ROOT / "dags").glob("*.py")
        for line, name in imported(path)
        if any(within(name, tool) for tool in tools)
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", ["dags", "plugins", "tests"])
def test_path_roots_are_no_packages(folder: str) -> None:
    """With an ``__init__.py`` here every class could be imported by a second name, and would be another class."""
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize("ring", ["include/recovery", "plugins/recovery_airflow"])
def test_every_package_says_what_is_in_it(ring: str) -> None:
    missing = []
    for folder in {path.parent for path in (ROOT / ring).rglob("*.py")}:
        init = folder / "__init__.py"
        if not init.exists() or not ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))):
            missing.append(str(folder.relative_to(ROOT)))
    assert missing == []


def test_modules_stay_readable() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in ("include/recovery", "plugins", "dags")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := path.read_text(encoding="utf-8").count("\n")) > 400
    }
    assert long == {}
