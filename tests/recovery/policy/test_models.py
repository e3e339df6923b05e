"""Every field of every model is explained, with an example that the model takes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from include.recovery.errors import PolicyError
from include.recovery.policy.base import PolicyModel
from include.recovery.policy.files import load_folder, policies_folder
from include.recovery.policy.models import Keep, PhysicalOptions, ProtectedSystem, RestorePointOptions, Validation


def all_fields(model: type[PolicyModel] = PolicyModel) -> Iterator[tuple[str, FieldInfo]]:
    for child in model.__subclasses__():
        yield from ((f"{child.__name__}.{name}", info) for name, info in child.model_fields.items())
        yield from all_fields(child)


FIELDS = dict(all_fields())


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_is_explained_by_a_sentence_and_a_valid_example(name: str) -> None:
    info = FIELDS[name]

    assert info.description
    assert info.description.endswith(".")
    assert info.examples
    adapter: TypeAdapter[object] = TypeAdapter(FIELDS[name].rebuild_annotation())
    for example in info.examples:
        adapter.validate_python(example)


def test_models_are_frozen_and_refuse_unknown_keys() -> None:
    keep = Keep(days=3)

    with pytest.raises(ValidationError, match="frozen"):
        keep.days = 4  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Keep.model_validate({"dys": 3})


@pytest.mark.parametrize(
    ("keep", "reach"),
    [
        (Keep(days=14, weeks=13, months=12), timedelta(days=365)),
        (Keep(every=timedelta(days=30)), timedelta(days=30)),
        (Keep(weeks=4), timedelta(days=28)),
        (Keep(years=7), timedelta(days=2555)),
        (Keep(), timedelta()),
    ],
)
def test_retention_reaches_as_far_as_its_longest_line(keep: Keep, reach: timedelta) -> None:
    assert keep.reach == reach


@pytest.mark.parametrize(
    ("expectation", "found", "right"),
    [
        ({"expect": 0}, 0, True),
        ({"expect": 0}, 1, False),
        ({"expect": 0}, None, False),
        ({"expect": "ok"}, "ok", True),
        ({"expect": True}, True, True),
        ({"expect": 5}, "5", True),
        ({"at_least": 1}, 1, True),
        ({"at_least": 1}, 0, False),
        ({"at_least": 1}, None, False),
        ({"at_least": 1}, "many", False),
    ],
)
def test_a_validation_accepts_what_it_expects(expectation: dict[str, object], found: object, right: bool) -> None:
    query = Validation.model_validate({"name": "q", "sql": "select 1", **expectation})

    assert query.accepts(found) is right


@pytest.fixture(scope="module")
def labdojo() -> ProtectedSystem:
    return load_folder(policies_folder()).system("labdojo")


def test_things_are_found_by_name(labdojo: ProtectedSystem) -> None:
    source = labdojo.source("main-db")

    assert labdojo.sources_of(labdojo.tier("weekly-full")) == (source,)
    assert [tier.name for tier in labdojo.tiers_of(source)] == [
        "weekly-full", "daily-incremental", "weekly-offsite-sync", "weekly-differential", "daily-dump",
        "monthly-archive",
    ]  # fmt: skip
    assert labdojo.rpo(source) == timedelta(minutes=15)
    assert labdojo.rto("table_corruption") == timedelta(hours=1)
    assert labdojo.people("incident_commander") == ("ada", "grace")
    assert labdojo.people("nobody") == ()


def test_an_unknown_name_is_refused_with_the_known_ones(labdojo: ProtectedSystem) -> None:
    with pytest.raises(PolicyError, match="labdojo.yaml: there is no source 'main'; known are main-db"):
        labdojo.source("main")
    with pytest.raises(PolicyError, match="known are weekly-full, daily-incremental, weekly-offsite-sync"):
        labdojo.tier("nightly")
    with pytest.raises(PolicyError, match="known are database_corruption, table_corruption"):
        labdojo.rto("flood")


def test_physical_and_logical_are_told_apart(labdojo: ProtectedSystem) -> None:
    source = labdojo.source("main-db")

    assert [tier.name for tier in labdojo.logical_tiers] == [
        "daily-dump", "documents", "code-and-configuration", "hourly", "daily", "monthly-archive",
    ]  # fmt: skip
    assert set(labdojo.logical_drills) == {"weekly"}
    assert labdojo.stanza(source) == "labdojo-main-db"


def test_repositories_are_numbered_whatever_the_order_of_the_tiers(labdojo: ProtectedSystem) -> None:
    source = labdojo.source("main-db")
    backwards = labdojo.model_copy(update={"tiers": tuple(reversed(labdojo.tiers))})

    assert labdojo.repository_stores(source) == ("primary", "offsite")
    assert backwards.repository_stores(source) == ("primary", "offsite")
    assert labdojo.model_copy(update={"tiers": labdojo.logical_tiers}).repository_stores(source) == ()


def test_physical_protection_has_fast_and_safe_defaults() -> None:
    found = PhysicalOptions(connection="x_cluster")

    assert (found.compress.type, found.compress.level, found.process_max) == ("zst", 3, None)
    assert (found.queue_max, found.backup_from, found.standby) == (1 << 30, "primary", None)
    assert found.restore_points == RestorePointOptions(lock_timeout=timedelta(milliseconds=200))
    assert found.heartbeat == timedelta(minutes=1)
