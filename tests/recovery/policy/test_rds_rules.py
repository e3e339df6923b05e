"""A database on RDS must agree with the rest of its policy: two regions, a portable copy, a drill that can be."""

from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.recovery.policy.files import check_text
from include.recovery.policy.models import ProtectedSystem
from include.recovery.policy.rules import broken_rules
from include.recovery.policy.source_kinds.rds import RdsSource

SHIPPED = Path(__file__).parents[3] / "include" / "policies" / "ksrce-lab.yaml"
SOURCE = {
    "name": "managed-db",
    "kind": "rds",
    "data_class": "daily",
    "instance": "ksrce-lab",
    "portable": "main-db",
    "home": {"region": "us-east-1", "connection": "ksrce_rds"},
    "second": {"region": "us-west-2", "connection": "ksrce_rds_west", "store": "offsite", "kms_key": "alias/rds"},
}


def policy(**changes: Any) -> dict[str, Any]:
    """The shipped policy of ksrce-lab with its database on RDS too.

    :param changes: of the source.
    """
    document = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    source = copy.deepcopy(SOURCE) | {"data_class": document["sources"][0]["data_class"]} | changes
    document["sources"] = [document["sources"][0], source]
    del document["reconcile"]
    for tier in document["tiers"]:
        tier["sources"] = ["main-db", "managed-db"]
    for drill in document["drills"].values():
        drill["sources"] = ["main-db", "managed-db"]
    return document


def problems(document: dict[str, Any]) -> list[str]:
    reading = check_text("ksrce-lab.yaml", yaml.safe_dump(document), ProtectedSystem, broken_rules)
    return [problem.split(": ", 1)[1] for problem in reading.problems]


def test_a_database_on_rds_beside_its_dump_is_a_valid_policy() -> None:
    document = policy(tags={"cost-center": "lab"}, patience="90m")
    assert problems(document) == []
    source = ProtectedSystem.model_validate(document).sources[1]
    assert isinstance(source, RdsSource)
    assert (source.patience, source.physical, source.wal) == (timedelta(minutes=90), None, None)
    assert (source.region_of("offsite").region, source.region_of("primary").region) == ("us-west-2", "us-east-1")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"portable": "managed-db"},
            "sources.1.portable: found 'managed-db', which is no PostgreSQL source of this system; known are main-db",
        ),
        (
            {"second": SOURCE["second"] | {"region": "us-east-1"}},  # type: ignore[operator]
            "sources.1.second.region: found 'us-east-1', where the instance itself is; allowed is another region",
        ),
        (
            {"second": SOURCE["second"] | {"store": "primary"}},  # type: ignore[operator]
            "sources.1.second.store: found 'primary', whose catalog lists the first region; name the store of the "
            "second",
        ),
    ],
)
def test_each_mistake_is_named(changes: dict[str, Any], problem: str) -> None:
    assert problem in problems(policy(**changes))


def test_a_snapshot_without_a_portable_copy_is_refused() -> None:
    document = policy()
    for tier in document["tiers"]:
        tier["sources"] = ["managed-db"]
    found = "sources.1.portable: found 'main-db', which no logical tier backs up; add it to the sources of one"
    assert found in problems(document)


def test_a_tier_that_leaves_the_second_region_out_is_refused() -> None:
    document = policy()
    document["tiers"][0]["stores"] = ["primary"]
    found = (
        "tiers.0.stores: found primary with source 'managed-db'; its snapshots go to primary and offsite, so name "
        "these two"
    )
    assert found in problems(document)


def test_a_drill_cannot_ask_for_an_identical_snapshot() -> None:
    document = policy()
    document["drills"]["weekly"]["recovery_point"] = "newest identical"
    assert any(
        each.startswith("drills.weekly.recovery_point: found 'newest identical' with source 'managed-db'")
        for each in problems(document)
    )
