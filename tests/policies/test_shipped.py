"""The shipped policies say what the five documents say."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml

from include.recovery.policy.cron import widest_gap
from include.recovery.policy.files import PolicySet, load_folder
from include.recovery.policy.generate import SHIPPED, documents
from include.recovery.policy.models import Keep, S3StoreDefinition, Tier
from include.recovery.policy.rpo import worst_loss
from include.recovery.policy.source_kinds.files import FilesSource
from include.recovery.policy.source_kinds.git import GitSource
from include.recovery.policy.source_kinds.kubernetes import KubernetesSource
from include.recovery.policy.source_kinds.rds import RdsSource

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def shape(tier: Tier) -> tuple[str, str, Keep, tuple[str, ...]]:
    """What a document says about a kind of backup."""
    return tier.method, tier.cron, tier.keep, tier.stores


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
        assert "weekly" in system.logical_drills
        assert all(tier.stores == ("primary", "offsite") for tier in system.logical_tiers)
        assert all(tier.stores == ("primary", "offsite") for tier in system.tiers if tier.method == "full")
    assert policies.platform.stores["primary"].site != policies.platform.stores["offsite"].site
    assert policies.platform.stores["offsite"].locked


@pytest.mark.parametrize("scenario", ["database_corruption", "table_corruption"])
def test_every_system_has_both_scenarios_with_somebody_to_approve(policies: PolicySet, scenario: str) -> None:
    for system in policies.systems.values():
        assert "ada" in system.people(system.scenario(scenario).approval.role)


@pytest.mark.parametrize("scenario", ["point_in_time", "whole_cluster"])
def test_systems_with_a_cluster_recover_with_its_log_as_fast_as_the_database(
    policies: PolicySet, scenario: str
) -> None:
    """Their documents give one time for the database, however it comes back."""
    having = {name for name, system in policies.systems.items() if scenario in system.scenarios}
    assert having == {"aiaas", "aido-todo", "labdojo", "rylie-ai"}
    for name in having:
        system = policies.system(name)
        assert system.rto(scenario) == system.rto("database_corruption")
        assert system.scenario(scenario).approval == system.scenario("database_corruption").approval


@pytest.mark.demand("K8")
def test_ksrce_lab_shows_its_objectives_as_assumed(policies: PolicySet) -> None:
    system = policies.system("ksrce-lab")
    objective = system.objectives["database"]

    assert objective.in_words("rpo") == "24h (assumed)"
    assert objective.in_words("rto") == "8h (assumed)"
    assert all("(assumed)" in scenario.in_words() for scenario in system.scenarios.values())
    assert worst_loss(system, system.source("main-db")).between == DAY
    assert (system.tier("daily").cron, system.tier("daily").keep) == ("30 1 * * *", Keep(days=30))


def test_only_ksrce_lab_assumes_objectives_and_rylie_ai_how_often_it_looks(policies: PolicySet) -> None:
    assuming = {
        (name, what)
        for name, system in policies.systems.items()
        for what, item in (*system.objectives.items(), *system.scenarios.items())
        if item.assumed
    }
    ksrce = {("ksrce-lab", what) for what in ("database", "files", "database_corruption", "table_corruption")}
    assert assuming == {*ksrce, ("rylie-ai", "configuration-backup")}


def test_aiaas_has_the_three_classes_of_its_document(policies: PolicySet) -> None:
    classes = {name: (o.rto, o.rpo) for name, o in policies.system("aiaas").objectives.items()}

    assert classes == {"critical": (HOUR, 15 * MINUTE), "standard": (4 * HOUR, HOUR), "archive": (DAY, DAY)}


def test_aiaas_has_daily_fulls_and_hourly_incrementals_of_30_days_offsite(policies: PolicySet) -> None:
    system = policies.system("aiaas")
    source = system.source("main-db")

    assert shape(system.tier("daily")) == ("full", "0 1 * * *", Keep(days=30), ("primary", "offsite"))
    assert shape(system.tier("hourly")) == ("incremental", "30 * * * *", Keep(every=30 * DAY), ("primary", "offsite"))
    assert source.wal is not None
    assert source.wal.keep == 30 * DAY
    assert all(tier.keep.reach >= 30 * DAY for tier in system.tiers)
    assert all("offsite" in tier.stores for tier in system.tiers)


def test_labdojo_has_the_three_tiers_of_its_document(policies: PolicySet) -> None:
    system = policies.system("labdojo")
    classes = {name: (o.keep_at_least, o.rto, o.rpo) for name, o in system.objectives.items()}

    assert classes == {
        "tier-1": (365 * DAY, HOUR, 15 * MINUTE),
        "tier-2": (180 * DAY, 4 * HOUR, HOUR),
        "tier-3": (90 * DAY, DAY, DAY),
    }
    assert shape(system.tier("monthly-archive"))[0] == "logical"
    assert system.tier("monthly-archive").keep.reach >= 365 * DAY


def test_labdojo_has_the_backups_of_its_document(policies: PolicySet) -> None:
    """L3, L4, L5 and L6, to the letter; L10's dump is kept a week."""
    system = policies.system("labdojo")
    both, source = ("primary", "offsite"), system.source("main-db")

    assert system.time_zone == "Europe/Berlin"
    assert shape(system.tier("weekly-full")) == ("full", "0 2 * * 0", Keep(weeks=4), both)
    assert shape(system.tier("daily-incremental")) == ("incremental", "0 3 * * 1-6", Keep(every=14 * DAY), ("primary",))
    assert shape(system.tier("weekly-differential")) == ("differential", "0 4 * * 3", Keep(weeks=4), both)
    sync = system.tier("weekly-offsite-sync")
    assert (sync.method, sync.stores, widest_gap([sync.cron])) == ("incremental", ("offsite",), 7 * DAY)
    assert sync.keep == system.tier("daily-incremental").keep
    assert source.wal is not None
    assert source.wal.keep == 72 * HOUR
    assert shape(system.tier("daily-dump")) == ("logical", "30 0 * * *", Keep(days=7), both)


def test_aido_todo_keeps_30_days_and_12_months_in_two_regions(policies: PolicySet) -> None:
    system = policies.system("aido-todo")
    both, source = ("primary", "offsite"), system.source("main-db")

    assert shape(system.tier("daily")) == ("logical", "0 3 * * *", Keep(days=30, months=12), both)
    assert shape(system.tier("daily-incremental")) == ("incremental", "0 4 * * 1-6", Keep(every=30 * DAY), both)
    assert shape(system.tier("weekly-base")) == ("full", "0 4 * * 0", Keep(weeks=5), both)
    assert widest_gap([tier.cron for tier in system.tiers if tier.is_physical]) == DAY
    assert source.wal is not None
    assert source.wal.keep == 30 * DAY


@pytest.mark.demand("R15")
@pytest.mark.parametrize("name", ["labdojo", "aiaas", "rylie-ai", "aido-todo"])
def test_every_system_with_wal_has_a_weekly_base_in_both_regions_and_a_drill_of_it(
    policies: PolicySet, name: str
) -> None:
    system = policies.system(name)
    for source in system.databases:
        fulls = [tier for tier in system.tiers_of(source) if tier.method == "full"]
        gap = widest_gap([tier.cron for tier in fulls])
        assert gap is not None
        assert gap <= 7 * DAY
        assert source.wal is not None
        assert max(tier.keep.reach for tier in fulls) >= source.wal.keep + (gap if name == "rylie-ai" else 0 * DAY)
        assert system.repository_stores(source) == ("primary", "offsite")
        drills = {drill.recovery_point for drill in system.drills.values() if source.name in drill.sources}
        assert {"newest", "newest point"} <= drills


def test_ksrce_lab_has_only_what_a_managed_service_gives(policies: PolicySet) -> None:
    system = policies.system("ksrce-lab")

    assert system.logical_tiers == system.tiers
    assert all(source.physical is None and source.wal is None for source in system.sources)


def test_repositories_are_unlocked_buckets_of_their_own(policies: PolicySet) -> None:
    for store in policies.platform.stores.values():
        assert isinstance(store, S3StoreDefinition)
        assert store.repository is not None
        assert store.repository.bucket != store.bucket
        assert store.repository.connection != store.connection


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
    assert widest_gap([system.tier("weekly-base").cron]) == 7 * DAY


def test_rylie_ai_has_its_retention_and_objectives(policies: PolicySet) -> None:
    system = policies.system("rylie-ai")

    source = system.source("main-db")

    assert system.tier("daily").keep == Keep(days=14, weeks=13, months=12)
    assert shape(system.tier("weekly-base")) == ("full", "30 3 * * 0", Keep(weeks=3), ("primary", "offsite"))
    assert source.wal is not None
    assert source.wal.keep == 14 * DAY
    assert (system.rto("table_corruption"), system.rto("database_corruption")) == (30 * MINUTE, 2 * HOUR)
    assert {name: o.rpo for name, o in system.objectives.items()} == {
        "database": HOUR,
        "configuration": timedelta(),
        "configuration-backup": 5 * MINUTE,
        "uploads": DAY,
    }
    assert system.owners["backup"].primary == "database_administrator"
    assert system.owners["disaster_recovery"].secondary == "chief_technology_officer"


def kinds(policies: PolicySet, system: str) -> dict[str, str]:
    """Each source with its kind."""
    return {source.name: source.kind for source in policies.system(system).sources}


def test_every_source_that_a_document_names_is_there(policies: PolicySet) -> None:
    git = {"code": "git"}
    assert kinds(policies, "ksrce-lab") == {"main-db": "postgres", "snapshots": "rds", "uploads": "objects", **git}
    assert kinds(policies, "aiaas") == {
        "main-db": "postgres", **git, "infrastructure": "terraform", "secrets": "vault", "resources": "kubernetes",
        "monitoring": "prometheus",
    }  # fmt: skip
    assert kinds(policies, "labdojo") == {
        "main-db": "postgres", "documents": "mongodb", **git, "configuration": "files", "container-volumes": "files",
        "logs-metrics-media": "files", "history-cache-staging": "files",
    }  # fmt: skip
    assert kinds(policies, "aido-todo") == {"main-db": "postgres", "state": "redis", "resources": "kubernetes"}
    assert kinds(policies, "rylie-ai") == {
        "main-db": "postgres", "configuration": "files", "certificates": "files", "configuration-code": "git",
        "uploads": "objects",
    }  # fmt: skip


def test_every_drill_of_every_system_restores_every_source(policies: PolicySet) -> None:
    for system in policies.systems.values():
        for cadence, drill in system.drills.items():
            assert set(drill.sources) == {source.name for source in system.sources}, f"{system.system}, {cadence}"


def test_every_source_has_two_copies_and_meets_its_class(policies: PolicySet) -> None:
    for system in policies.systems.values():
        for source in system.sources:
            assert worst_loss(system, source).meets(system.rpo(source)), source.name
            assert any({"primary", "offsite"} <= set(tier.stores) for tier in system.tiers_of(source))


@pytest.mark.demand("L2")
def test_every_source_of_labdojo_says_its_tier_and_the_three_have_their_frequency_and_retention(
    policies: PolicySet,
) -> None:
    system = policies.system("labdojo")
    classes = {source.name: source.data_class for source in system.sources}

    assert classes == {
        "main-db": "tier-1", "documents": "tier-1", "code": "tier-1", "configuration": "tier-1",
        "container-volumes": "tier-2", "logs-metrics-media": "tier-2", "history-cache-staging": "tier-3",
    }  # fmt: skip
    covered = {name: " ".join(objective.covers) for name, objective in system.objectives.items()}
    assert all(word in covered["tier-2"] for word in ("logs", "metrics", "media", "preferences"))
    assert all(word in covered["tier-3"] for word in ("historical logs", "temporary", "cache", "staging"))
    rpo = {"tier-1": 15 * MINUTE, "tier-2": HOUR, "tier-3": DAY}
    kept = {"tier-1": 365 * DAY, "tier-2": 180 * DAY, "tier-3": 90 * DAY}
    for source in system.sources:
        between, reach = worst_loss(system, source).between, max(t.keep.reach for t in system.tiers_of(source))
        assert between is not None
        assert between <= rpo[source.data_class]
        assert reach >= kept[source.data_class]
    assert {name for name, tier in classes.items() if tier == "tier-1"} <= set(system.tier("monthly-archive").sources)


def test_labdojo_backs_its_documents_code_and_configuration_up_as_its_scripts_do(policies: PolicySet) -> None:
    """L11, L12, L13 and L14; what it proves is in the tests of each kind."""
    system = policies.system("labdojo")
    code, configuration, volumes = (
        system.source(name) for name in ("code", "configuration", "container-volumes")
    )

    assert system.tier("documents").keep.reach == 7 * DAY
    assert isinstance(code, GitSource)
    assert code.archive_without == (".git", "node_modules", "dist")
    assert isinstance(configuration, FilesSource)
    assert configuration.paths == ("/etc/nginx", "/etc/ssl/certs", "/opt/labdojo/config")
    tier = system.tier("code-and-configuration")
    assert (tier.keep, tier.only_when_changed) == (Keep(every=30 * DAY), True)
    assert isinstance(volumes, FilesSource)
    assert volumes.live_paths == ("/var/lib/docker/volumes",)
    assert volumes.quiesce is not None
    assert "user-progress" in {export.name for export in system.database("main-db").exports}


def test_aiaas_exports_its_configuration_weekly_and_keeps_monitoring_data_by_its_own_rule(policies: PolicySet) -> None:
    system = policies.system("aiaas")
    export, monitoring = system.tier("weekly-export"), system.tier("monitoring")

    assert widest_gap([export.cron]) == 7 * DAY
    assert set(export.sources) == {"code", "infrastructure", "secrets", "resources"}
    assert not export.only_when_changed
    assert monitoring.sources == ("monitoring",)
    assert monitoring.keep.reach > max(tier.keep.reach for tier in system.tiers if tier.name in {"daily", "daily-dump"})


def test_aido_todo_loses_no_more_than_15_minutes_of_state_and_resources(policies: PolicySet) -> None:
    system = policies.system("aido-todo")
    tier = system.tier("quarter-hourly")

    assert (tier.sources, widest_gap([tier.cron])) == (("state", "resources"), 15 * MINUTE)
    assert tier.keep == Keep(every=2 * DAY, days=30, months=12)
    resources = system.source("resources")
    assert isinstance(resources, KubernetesSource)
    assert [(each.component, each.source) for each in resources.state_stores] == [("todo/statestore", "state")]


def test_rylie_ai_backs_up_on_change_and_keeps_as_its_table_says(policies: PolicySet) -> None:
    """R5; that these tiers do so is in the tests of looks and of retention."""
    system = policies.system("rylie-ai")
    change, renewal = system.tier("on-change"), system.tier("on-renewal")

    assert change.only_when_changed
    assert renewal.only_when_changed
    assert widest_gap([change.cron]) == widest_gap([renewal.cron]) == 5 * MINUTE
    assert set(change.sources) == {"configuration", "configuration-code"}
    assert change.keep.reach > 99 * 365 * DAY
    assert (renewal.sources, renewal.keep) == (("certificates",), Keep(newest=3))


@pytest.mark.demand("R10")
def test_rylie_ai_has_an_objective_for_each_source(policies: PolicySet) -> None:
    system = policies.system("rylie-ai")
    rpo = {source.name: system.rpo(source) for source in system.sources}

    assert (rpo["main-db"], rpo["uploads"]) == (HOUR, DAY)
    # No loss is what version control gives; the backup of the files bounds what was changed past it.
    assert system.objectives["configuration"].rpo == timedelta()
    assert {rpo["configuration"], rpo["certificates"], rpo["configuration-code"]} == {5 * MINUTE}


def test_ksrce_lab_keeps_daily_snapshots_30_days_in_two_regions_beside_the_dump(policies: PolicySet) -> None:
    """K1; what makes, copies and expires them is in the tests of the kind."""
    system = policies.system("ksrce-lab")
    source, tier = system.source("snapshots"), system.tier("daily-snapshot")

    assert isinstance(source, RdsSource)
    assert shape(tier) == ("logical", "30 0 * * *", Keep(days=30), ("primary", "offsite"))
    assert (source.portable, source.home.region, source.second.region) == ("main-db", "us-east-1", "us-west-2")
    assert source.second.store == "offsite"
    assert "main-db" in system.tier("daily").sources


def test_ksrce_lab_looks_for_the_uploads_that_its_database_names(policies: PolicySet) -> None:
    system = policies.system("ksrce-lab")
    (pair,) = system.reconcile

    assert (pair.database, pair.objects) == ("main-db", "uploads")
    assert set(system.tier("daily").sources) == {"main-db", "uploads", "code"}
    assert system.tier("daily").keep.reach == 30 * DAY
