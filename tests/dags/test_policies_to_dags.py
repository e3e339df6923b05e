"""One bad policy harms nobody else, and a task's start builds nothing but its own DAG."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import BundleDagBag

ROOT = Path(__file__).parents[2]
DAGS = ROOT / "dags"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")


def load() -> BundleDagBag:
    return BundleDagBag(dag_folder=str(DAGS), bundle_path=DAGS, bundle_name="dags-folder")


@pytest.fixture
def policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped policies to spoil."""
    folder = tmp_path / "policies"
    shutil.copytree(ROOT / "include" / "policies", folder)
    monkeypatch.setenv("LIFEBOAT_POLICIES", str(folder))
    return folder


def test_one_bad_policy_takes_only_its_own_dags(policies: Path) -> None:
    labdojo = policies / "labdojo.yaml"
    labdojo.write_text(labdojo.read_text().replace("priority: 1", "priority: first"))
    bag = load()
    assert not [dag_id for dag_id in bag.dags if "labdojo" in dag_id]
    assert "backup__rylie-ai__daily" in bag.dags
    assert "disaster_recovery" in bag.dags
    assert list(bag.import_errors) == ["policy_problems.py"]
    assert "labdojo.yaml" in bag.import_errors["policy_problems.py"]


@pytest.mark.parametrize(
    "dag_id", ["backup__aiaas__daily-dump", "retention__aiaas", "disaster_recovery__labdojo", "disaster_recovery"]
)
def test_only_the_dag_that_is_asked_for_is_built(dag_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
    assert load().dag_ids == [dag_id]


def test_a_cluster_may_have_a_queue_of_its_own_on_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """pgBackRest reads the data directory: what it does there runs on that host, and nothing else has to."""
    monkeypatch.setattr("recovery_airflow.dag_defaults.CLUSTER_QUEUES", True)
    for dag_id in ("backup__labdojo__weekly-full", "retention__labdojo"):
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
        dag = load().dags[dag_id]
        there = {task.task_id for task in dag.tasks if task.queue == "labdojo-main-db"}
        assert there == {
            task.task_id for task in dag.tasks
            if task.task_id.startswith(("precheck.", "back_up.", "verify.", "expire."))
        }  # fmt: skip
        assert there


def test_parsing_asks_nobody_but_the_policy_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket, no Variable, no Connection while a DAG file is read."""
    import socket

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a DAG file opened a connection while it was parsed")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("airflow.sdk.Variable.get", refuse)
    monkeypatch.setattr("airflow.sdk.BaseHook.get_connection", refuse)
    assert load().import_errors == {}
