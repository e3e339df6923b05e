"""The forms: safe by default, closed where there is a choice, explained everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from airflow.sdk import Param
from airflow.sdk.exceptions import ParamValidationError

from include.recovery.policy.files import load_folder
from include.recovery.policy.models import ScenarioName
from recovery_airflow.trigger_form import (
    SCENARIOS,
    Field,
    backup_form,
    button_form,
    drill_form,
    retention_form,
    runbook_form,
)

POLICIES = load_folder(Path(__file__).parents[2] / "include" / "policies")
LABDOJO = POLICIES.systems["labdojo"]
FORMS = {
    "backup": backup_form(),
    "drill": drill_form("newest"),
    "drill of the cluster": drill_form("newest point"),
    "retention": retention_form(),
    "runbook": runbook_form(LABDOJO),
    "button": button_form(POLICIES.systems.values()),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_field_has_a_title_and_an_explanation(name: str) -> None:
    for field, param in FORMS[name].items():
        assert param.schema.get("title"), field
        assert param.description or param.schema.get("description_md"), field
        param.resolve()


@pytest.mark.parametrize("name", ["runbook", "button"])
def test_nobody_starts_an_incident_by_accident(name: str) -> None:
    assert FORMS[name][Field.MODE].value == "rehearsal"


def test_the_button_chooses_no_system_by_itself() -> None:
    assert FORMS["button"][Field.SYSTEMS].value == []
    assert list(FORMS["button"][Field.SYSTEMS].schema["values_display"]) == list(POLICIES.systems)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field.SCENARIO, "fire"),
        (Field.MODE, "panic"),
        (Field.RECOVERY_POINT, ""),
        (Field.SYSTEMS, ["unknown"]),
        (Field.TABLES, [1]),
        (Field.REASON, "x" * 501),
    ],
)
def test_what_is_not_offered_is_refused(field: Field, value: object) -> None:
    param: Param = FORMS["button"][field]
    with pytest.raises(ParamValidationError):
        param.resolve(value)


def test_a_drill_of_the_cluster_takes_a_point_and_no_backup() -> None:
    field = FORMS["drill of the cluster"][Field.RECOVERY_POINT]
    assert field.value == "newest point"
    assert field.resolve("lifeboat_20261121T070003Z_5fb0")
    assert all(wish.startswith("newest point") for wish in field.schema["examples"])
    assert drill_form("random second") == {}


def test_scenarios_are_those_of_the_policy_with_their_objectives() -> None:
    field = FORMS["runbook"][Field.SCENARIO]
    assert field.schema["enum"] == list(LABDOJO.scenarios)
    assert all("RTO" in label for label in field.schema["values_display"].values())
    assert all(scenario.help in field.schema["description_md"] for scenario in LABDOJO.scenarios.values())


def test_every_scenario_has_a_label_and_the_moments_are_explained() -> None:
    assert set(SCENARIOS) == set(get_args(ScenarioName))
    text = FORMS["runbook"][Field.RECOVERY_POINT].schema["description_md"]
    for words in ("2026-11-21 14:03:07", "lsn:0/3000028", "newest point", "newest point before", "time zone"):
        assert words in text
    assert "newest point" in FORMS["button"][Field.RECOVERY_POINT].schema["values_display"]
    assert FORMS["runbook"][Field.RECOVERY_POINT].resolve("2026-11-21 14:03:07") == "2026-11-21 14:03:07"
    assert "point_in_time" not in runbook_form(POLICIES.systems["ksrce-lab"])[Field.SCENARIO].schema["enum"]
