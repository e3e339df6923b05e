"""What the demo proves of the cluster: bases first, each with its point; and it waits for no DAG that nobody builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from include.lab.demo import DRILLED, Demo, wanted_dags
from include.lab.lab import Lab
from include.lab.steps import Step, Timing
from include.recovery.policy.files import load_folder
from include.recovery.workspace import Workspace

POLICIES = load_folder(Path(__file__).parents[2] / "include" / "policies")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")


@pytest.fixture
def steps(tmp_path: Path) -> dict[str, Step]:
    nothing: Any = None
    demo = Demo(Lab(tmp_path), Console(quiet=True), Timing())
    return {step.name: step for step in demo._proofs(Workspace(POLICIES, nothing), nothing)}


def test_every_system_with_physical_tiers_gets_a_base_and_one_is_drilled(steps: dict[str, Step]) -> None:
    physical = {name for name, system in POLICIES.systems.items() if any(tier.is_physical for tier in system.tiers)}
    assert {name.removeprefix("base ") for name in steps if name.startswith("base ")} == physical
    assert DRILLED in physical
    assert f"base {DRILLED}" in steps["drill cluster"].needs
    names = list(steps)
    assert names.index(f"base {DRILLED}") < names.index(f"backup {DRILLED}"), "the drill needs time behind its base"
    for step in steps.values():
        assert set(step.needs) <= set(steps), step.name


def test_it_waits_for_no_dag_that_nobody_builds() -> None:
    from recovery_airflow.dag_catalogue import load_dags

    wanted = wanted_dags(list(POLICIES.systems.values()))
    assert set(wanted) <= {dag.dag_id for dag in load_dags()}
    assert {f"drill__{DRILLED}__monthly", f"backup__{DRILLED}__weekly-full"} <= set(wanted)
