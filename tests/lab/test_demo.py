"""What the demo proves of the cluster: bases first, each with its point; and it waits for no DAG that nobody builds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from include.lab.demo import DRILLED, Demo, wanted_dags
from include.lab.lab import Lab
from include.lab.proofs import Proofs
from include.lab.steps import Step, Timing
from include.recovery.catalog.looks import SourceLook, keep_look
from include.recovery.policy.files import load_folder
from include.recovery.stores.folder import FolderStore
from include.recovery.workspace import Workspace

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
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


@dataclass
class Shelf:
    """Stands for a workspace: what was backed up when, and what was looked at since.

    :param made: source to the moment of its newest backup.
    """

    made: dict[str, datetime]
    folder: Path

    def catalog(self) -> Shelf:
        return self

    def backups(self, _system: str, source: str, _kind: str) -> list[Any]:
        at = self.made.get(source)
        facts = SimpleNamespace(snapshot_at=at, id="b1")
        return [SimpleNamespace(damaged=False, manifest=facts)] if at else []

    def store(self, _name: str) -> FolderStore:
        return FolderStore("primary", self.folder)


def proofs(name: str) -> Proofs:
    nothing: Any = None
    return Proofs(POLICIES.system(name), nothing, nothing)


@pytest.mark.parametrize("name", sorted(POLICIES.systems))
def test_the_first_time_every_source_is_backed_up_once(name: str, tmp_path: Path) -> None:
    nothing: Any = Shelf({}, tmp_path)
    tiers = proofs(name).tiers_to_run(nothing, NOW)
    assert {source for tier in tiers for source in tier.sources} == {s.name for s in POLICIES.system(name).sources}
    assert len(tiers) == len({tier.name for tier in tiers})
    assert not {"monthly-archive", "weekly-export"} & {tier.name for tier in tiers}


def test_what_is_young_enough_or_was_looked_at_is_left_alone(tmp_path: Path) -> None:
    system = POLICIES.system("rylie-ai")
    made = {source.name: NOW - system.rpo(source) / 3 for source in system.sources}
    young: Any = Shelf(made, tmp_path)
    assert proofs("rylie-ai").tiers_to_run(young, NOW) == []

    made["certificates"] = NOW - timedelta(days=3)
    assert [tier.name for tier in proofs("rylie-ai").tiers_to_run(young, NOW)] == ["on-renewal"]
    keep_look(young.store("primary"), SourceLook(
        system="rylie-ai", source="certificates", tier="on-renewal", kind="files", backup="b1",
        at=NOW - timedelta(minutes=1), by="x",
    ))  # fmt: skip
    assert proofs("rylie-ai").tiers_to_run(young, NOW) == []
    made["uploads"] = NOW - timedelta(days=1)
    assert [tier.name for tier in proofs("rylie-ai").tiers_to_run(young, NOW)] == ["daily"]
