"""What Airflow's plugin loader may execute: nothing but plugin files, and no name that shadows another module."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
PLUGINS = Path(__file__).parents[2] / "plugins"
EXECUTED: set[str] = set()
"""Files that the loader is meant to run, by stem; each registers one AirflowPlugin."""


def executed() -> set[str]:
    """What the loader finds, by its own rules."""
    from airflow._shared.module_loading.file_discovery import find_path_from_directory

    found = find_path_from_directory(str(PLUGINS), ".airflowignore", "glob")
    return {Path(path).stem for path in found if Path(path).is_file() and Path(path).suffix == ".py"}


def test_the_loader_executes_plugin_files_only() -> None:
    assert executed() == EXECUTED


def test_no_plugin_file_shadows_a_module() -> None:
    assert not [stem for stem in EXECUTED if stem in sys.stdlib_module_names or importlib.util.find_spec(stem)]


def test_the_package_has_a_name_of_its_own() -> None:
    spec = importlib.util.find_spec("recovery_airflow")
    assert spec is not None
    assert spec.origin == str(PLUGINS / "recovery_airflow" / "__init__.py")
