"""A bad policy is an import error of its own file in Airflow, and no other DAG suffers from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.recovery.policy.generate import SHIPPED

DAGS = Path(__file__).parents[2] / "dags"
FILE = DAGS / "policy_problems.py"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in SHIPPED.glob("*.yaml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("LIFEBOAT_POLICIES", str(tmp_path))
    monkeypatch.delenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", raising=False)
    return tmp_path


@pytest.fixture
def broken(folder: Path) -> Path:
    """Two bad systems beside three good ones."""
    for name, old, new in (("labdojo", "rpo: 15m", "rpo: soon"), ("aiaas", "priority: 2", "prio: 2")):
        path = folder / f"{name}.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return folder


def import_errors(path: Path) -> dict[str, str]:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=path, safe_mode=True).import_errors


def test_good_policies_raise_nothing(folder: Path) -> None:
    assert import_errors(FILE) == {}


def test_all_problems_are_raised_together(broken: Path) -> None:
    (message,) = import_errors(FILE).values()

    assert "NO SCHEDULE RUNS for aiaas, labdojo: correct these and all is back" in message
    assert "labdojo.yaml:10: objectives.tier-1.rpo: found 'soon'" in message
    assert "aiaas.yaml:6: prio: unknown key 'prio'" in message
    assert "aiaas.yaml:3: priority: is missing" in message


def test_a_worker_that_runs_a_task_of_another_dag_does_not_stumble(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "backup__rylie-ai__daily")

    assert import_errors(FILE) == {}


def test_airflow_does_not_skip_the_file_as_one_without_dags() -> None:
    text = FILE.read_bytes().lower()

    assert b"airflow" in text
    assert b"dag" in text
