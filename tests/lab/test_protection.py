"""The lab archives WAL as production does: in order, with one folder for everybody, and it stops in order too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from include.lab import lab as lab_module
from include.lab.demo import Demo
from include.lab.lab import PGBACKREST_VARIABLE, Lab, _rank
from include.lab.steps import Step, Timing
from include.lab.systems import REGIONS, SYSTEMS, system


@pytest.fixture
def steps(tmp_path: Path) -> dict[str, Step]:
    return {step.name: step for step in Demo(Lab(tmp_path), Console(quiet=True), Timing())._servers()}


def before(steps: dict[str, Step], name: str) -> set[str]:
    """Everything that has ended when a step begins."""
    return {each for need in steps[name].needs for each in {need, *before(steps, need)}}


def test_wal_is_archived_once_database_stores_and_keys_are_there(steps: dict[str, Step]) -> None:
    for each in SYSTEMS:
        assert before(steps, f"protect {each.name}") == {each.name, "aws", *(region.name for region in REGIONS)}


def test_nobody_is_cut_off_by_the_restart(steps: dict[str, Step]) -> None:
    for step in ("applications", "heartbeats"):
        assert {f"protect {each.name}" for each in SYSTEMS} <= before(steps, step)


def test_databases_stop_while_their_stores_still_take_the_last_segment() -> None:
    order = ["heartbeats", "postgres-labdojo", "us-east-1-radosgw", "us-east-1-osd", "us-east-1-mon"]
    ranks = [_rank(name) for name in order]
    assert ranks == sorted(set(ranks))
    assert _rank("traffic") == _rank("heartbeats") < _rank("postgres-airflow") < _rank("aws")


def test_tasks_and_the_command_find_the_folder_that_the_lab_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, asked = Lab(tmp_path), []

    def protect_cluster(_workspace: Any, policy: Any, source: Any, **options: Any) -> Any:
        asked.append((policy.system, source.name, os.environ[PGBACKREST_VARIABLE], options["restart"].__self__))
        return type("Done", (), {"in_words": "done"})

    monkeypatch.setenv(PGBACKREST_VARIABLE, "/elsewhere")
    monkeypatch.setattr(lab_module, "protect_cluster", protect_cluster)
    assert lab.protect(system("labdojo")) == "done"
    assert lab.protect(system("ksrce-lab")) == "its policy has no physical protection"
    home = tmp_path / "pgbackrest"
    assert asked == [("labdojo", "main-db", str(home), lab.cluster(system("labdojo")))]
    assert lab.airflow.variables()[PGBACKREST_VARIABLE] == str(home)
    assert f"export {PGBACKREST_VARIABLE}={home}" in lab._command()
