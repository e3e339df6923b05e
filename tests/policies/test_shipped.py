"""The shipped policies say what the five documents say."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml

from include.recovery.policy.files import PolicySet, load_folder
from include.recovery.policy.generate import SHIPPED, documents
from include.recovery.policy.models import Keep
from include.recovery.policy.rpo import worst_loss

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
def policies() -> PolicySet:
    return load_folder(SHIPPED)


def test_all_are_valid(policies: PolicySet) -> None:
    assert policies.problems == ()
    assert set(policies.systems) == {"ksrce-lab", "aiaas", "labdojo", "aido-todo", "rylie-ai"}


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_what_is_generated_is_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == documents()[path], "run `make docs`"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.name)
def test_every_file_names_its_schema_for_editors(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    schema = "platform" if path.stem == "platform" else "policy"
    assert first == f"# yaml-language-server: $schema={schema}.schema.json"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.name)
def test_an_editor_that_checks_the_schema_finds_nothing_wrong(path: Path) -> None:
    schema = json.loads((SHIPPED / f"{'platform' if path.stem == 'platform' else 'policy'}.schema.json").read_text())
    document = json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")), default=str))

    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    with pytest.raises(jsonschema.ValidationError, match="'tires' was unexpected"):
        jsonschema.validate({**document, "tires": []}, schema, cls=jsonschema.Draft202012Validator)


def test_every_system_is_drilled_weekly_and_kept_in_two_sites(policies: PolicySet) -> None:
    for system in policies.systems.values():
        assert "weekly" in system.drills
        assert all(tier.stores == ("primary", "offsite") for tier in system.tiers)
    assert policies.platform.stores["primary"].site != policies.platform.stores["offsite"].site
    assert policies.platform.stores["offsite"].locked


@pytest.mark.parametrize("scenario", ["database_corruption", "table_corruption"])
def test_every_system_has_both_scenarios_with_somebody_to_approve(policies: PolicySet, scenario: str) -> None:
    for system in policies.systems.values():
        assert "ada" in system.people(system.scenario(scenario).approval.role)


@pytest.mark.demand("K8")
def test_ksrce_lab_shows_its_objectives_as_assumed(policies: PolicySet) -> None:
    system = policies.system("ksrce-lab")
    objective = system.objectives["database"]

    assert objective.in_words("rpo") == "24h (assumed)"
    assert objective.in_words("rto") == "8h (assumed)"
    assert all("(assumed)" in scenario.in_words() for scenario in system.scenarios.values())
    assert worst_loss(system, system.source("main-db")).between == DAY
    assert (system.tier("daily").cron, system.tier("daily").keep) == ("30 1 * * *", Keep(days=30))


def test_only_ksrce_lab_assumes_objectives(policies: PolicySet) -> None:
    assuming = {
        name
        for name, system in policies.systems.items()
        for item in (*system.objectives.values(), *system.scenarios.values())
        if item.assumed
    }
    assert assuming == {"ksrce-lab"}


def test_aiaas_has_the_three_classes_of_its_document(policies: PolicySet) -> None:
    classes = {name: (o.rto, o.rpo) for name, o in policies.system("aiaas").objectives.items()}

    assert classes == {"critical": (HOUR, 15 * MINUTE), "standard": (4 * HOUR, HOUR), "archive": (DAY, DAY)}
    assert {tier.name for tier in policies.system("aiaas").tiers} == {"daily", "hourly"}
    assert all(tier.keep.reach >= 30 * DAY for tier in policies.system("aiaas").tiers)


def test_labdojo_has_the_three_tiers_of_its_document(policies: PolicySet) -> None:
    system = policies.system("labdojo")
    classes = {name: (o.keep_at_least, o.rto, o.rpo) for name, o in system.objectives.items()}

    assert classes == {
        "tier-1": (365 * DAY, HOUR, 15 * MINUTE),
        "tier-2": (180 * DAY, 4 * HOUR, HOUR),
        "tier-3": (90 * DAY, DAY, DAY),
    }
    assert (system.tier("weekly-full").cron, system.tier("weekly-full").keep) == ("0 2 * * 0", Keep(weeks=4))
    assert system.tier("monthly-archive").keep.reach >= 365 * DAY


def test_aido_todo_keeps_30_days_and_12_months(policies: PolicySet) -> None:
    assert policies.system("aido-todo").tier("daily").keep == Keep(days=30, months=12)


@pytest.mark.demand("D6")
def test_aido_todo_has_the_objectives_of_its_document(policies: PolicySet) -> None:
    system = policies.system("aido-todo")

    assert worst_loss(system, system.source("main-db")).meets(system.rpo(system.source("main-db")))
    assert {name: (o.rto, o.rpo) for name, o in system.objectives.items()} == {
        "critical": (HOUR, 15 * MINUTE),
        "other": (4 * HOUR, 15 * MINUTE),
    }


@pytest.mark.demand("R1")
def test_rylie_ai_is_backed_up_between_two_and_four_in_its_own_night(policies: PolicySet) -> None:
    system = policies.system("rylie-ai")
    minute, hour, *days = system.tier("daily").cron.split()

    start = int(hour) * HOUR + int(minute) * MINUTE
    assert days == ["*", "*", "*"]
    assert start >= 2 * HOUR
    assert start + system.tier("daily").grace <= 4 * HOUR
    assert system.time_zone == "America/Los_Angeles"
    assert system.tier("daily").method == "logical"


def test_rylie_ai_has_its_retention_and_objectives(policies: PolicySet) -> None:
    system = policies.system("rylie-ai")

    assert system.tier("daily").keep == Keep(days=14, weeks=13, months=12)
    assert (system.rto("table_corruption"), system.rto("database_corruption")) == (30 * MINUTE, 2 * HOUR)
    assert {name: o.rpo for name, o in system.objectives.items()} == {
        "database": HOUR,
        "configuration": timedelta(),
        "uploads": DAY,
    }
    assert system.owners["backup"].primary == "database_administrator"
    assert system.owners["disaster_recovery"].secondary == "chief_technology_officer"
