"""Physical protection must agree with itself, with the platform, and with the other systems."""

from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.policy.cron import widest_gap
from include.recovery.policy.files import load_folder
from include.recovery.policy.models import Platform, ProtectedSystem
from include.recovery.policy.physical_rules import (
    clusters_shared,
    increments_have_a_full,
    physical_and_wal_go_together,
    physical_tiers_have_a_cluster,
    recoveries_have_a_cluster,
    repositories_missing,
    repositories_shared,
    the_window_has_a_base,
    wal_has_a_base,
)
from include.recovery.policy.rules import RULES, broken_rules, tiers_write_to_primary

EXAMPLE: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "policies" / "example.yaml").read_text(encoding="utf-8")
)
SHIPPED = load_folder(Path(__file__).parents[3] / "include" / "policies")
CRONS = ["0 2 * * *", "30 * * * *", "0 2 * * 0", "0 3 * * 1-6", "0 4 * * 3", "0 1 1 * *", "0 0 30 2 *"]


def system_of(**changes: Any) -> ProtectedSystem:
    """The example with other values for some of its keys."""
    return ProtectedSystem.model_validate({**copy.deepcopy(EXAMPLE), **changes})


def platform_of(**stores: dict[str, Any]) -> Platform:
    """The shipped platform with some keys of its stores changed; None takes a key away."""
    document = yaml.safe_load((SHIPPED.folder / "platform.yaml").read_text(encoding="utf-8"))
    for name, changes in stores.items():
        store = {**document["stores"].get(name, document["stores"]["offsite"]), **changes}
        document["stores"][name] = {key: value for key, value in store.items() if value is not None}
    return Platform.model_validate(document)


def test_a_locked_store_needs_a_repository_of_its_own() -> None:
    labdojo = SHIPPED.system("labdojo")

    assert list(repositories_missing(labdojo, SHIPPED.platform)) == []
    broken = list(repositories_missing(labdojo, platform_of(offsite={"repository": None})))

    assert [path for path, _ in broken] == [("tiers", 0, "stores"), ("tiers", 2, "stores"), ("tiers", 3, "stores")]
    assert {text for _, text in broken} == {
        "found 'offsite', which has object lock; pgBackRest must be able to expire its backups, so give it a "
        "'repository' of its own in platform.yaml"
    }


def test_a_locked_folder_holds_no_repository() -> None:
    folder = {"kind": "folder", "path": "/far", "site": "x", "medium": "disk", "provider": "us", "locked": True}
    document = yaml.safe_load((SHIPPED.folder / "platform.yaml").read_text(encoding="utf-8"))
    document["stores"]["offsite"] = {**folder, "replication": "copy"}

    broken = list(repositories_missing(SHIPPED.system("labdojo"), Platform.model_validate(document)))

    assert len(broken) == 3
    assert broken[0][1].endswith("so choose a store without")


def test_a_store_without_a_lock_may_hold_the_repository_in_its_own_bucket() -> None:
    platform = platform_of(primary={"repository": None})
    store = platform.stores["primary"]

    assert list(repositories_missing(SHIPPED.system("labdojo"), platform)) == []
    assert store.kind == "s3"
    assert (store.repository_place.bucket, store.repository_place.connection) == (store.bucket, store.connection)


def test_two_stores_do_not_share_a_repository() -> None:
    repository = {"bucket": "lifeboat-offsite-repo", "connection": "another"}

    (broken,) = repositories_shared(platform_of(third={"repository": repository}))

    assert broken == (
        ("stores", "third", "repository", "bucket"),
        "found 'lifeboat-offsite-repo', which is the repository of store 'offsite' too; each needs a bucket of its own",
    )
    assert list(repositories_shared(SHIPPED.platform)) == []


def test_two_sources_do_not_protect_one_cluster() -> None:
    first = {**EXAMPLE["sources"][0], "name": "c"}
    second = {**first, "name": "b-c", "physical": {"connection": "other_cluster"}}
    systems = {
        "a-b": system_of(system="a-b", sources=[first]),
        "a": system_of(system="a", sources=[second]),
        "z": system_of(system="z", sources=[first]),
    }

    assert list(clusters_shared(systems)) == [
        (
            "a",
            (
                ("sources", 0, "name"),
                "found 'b-c', whose stanza 'a-b-c' is that of source 'c' of 'a-b' too; rename one",
            ),
        ),
        (
            "z",
            (
                ("sources", 0, "physical", "connection"),
                "found 'example_cluster', which is the cluster of source 'c' of 'a-b' too; one source protects a whole "
                "cluster, so leave 'physical' out of the other",
            ),
        ),
    ]


def test_a_shared_cluster_stops_the_second_system_only(tmp_path: Path) -> None:
    for name in ("labdojo", "platform"):
        (tmp_path / f"{name}.yaml").write_bytes((SHIPPED.folder / f"{name}.yaml").read_bytes())
    text = (SHIPPED.folder / "rylie-ai.yaml").read_text(encoding="utf-8")
    (tmp_path / "rylie-ai.yaml").write_text(text.replace("rylie_ai_cluster", "labdojo_cluster"), encoding="utf-8")

    found = load_folder(tmp_path)

    assert list(found.systems) == ["labdojo"]
    (problem,) = found.problems
    assert problem.startswith("rylie-ai.yaml:")
    assert "found 'labdojo_cluster', which is the cluster of source 'main-db' of 'labdojo' too" in problem


@pytest.mark.parametrize(
    ("drill", "physical", "problem"),
    [
        ({"recovery_point": "newest point"}, {"restore_points": None}, "makes no verifiable points"),
        ({"recovery_point": "newest point"}, None, "has no 'physical' block; add it, or say 'newest'"),
        ({"recovery_point": "random second"}, {"restore_points": None}, None),
        ({"recovery_point": "newest point"}, {}, None),
        ({"recovery_point": "newest point", "store": "offsite"}, {}, "no tier of method 'full' takes 'main-db'"),
        ({"recovery_point": "newest identical"}, {}, None),
    ],
)
def test_a_drill_asks_for_what_is_there(
    drill: dict[str, Any], physical: dict[str, Any] | None, problem: str | None
) -> None:
    block = None if physical is None else {"connection": "example_cluster", **physical}
    system = system_of(
        sources=[{**EXAMPLE["sources"][0], "physical": block}],
        drills={"weekly": {**EXAMPLE["drills"]["weekly"], **drill}},
    )

    found = [text for path, text in broken_rules(system) if path[0] == "drills"]

    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]


@pytest.mark.parametrize(
    ("crons", "found"),
    [
        (["0 2 * * 0"], None),
        (["0 2 1-25/8 * *", "0 2 28 * *"], "up to 8d apart"),
        (["0 2 1 * *", "0 2 * * 0"], None),
        (["0 1 1 * *"], "up to 31d apart"),
        (["0 0 30 2 *"], "less than twice in eight years"),
    ],
)
def test_wal_has_a_full_backup_at_least_every_seven_days(crons: list[str], found: str | None) -> None:
    tiers = [{**EXAMPLE["tiers"][1], "name": f"tier-{number}", "cron": cron} for number, cron in enumerate(crons)]

    told = list(wal_has_a_base(system_of(tiers=tiers)))

    assert [path for path, _ in told] == [("sources", 0, "wal")] * (found is not None)
    assert found is None or found in told[0][1]


@pytest.mark.parametrize("scenario", ["point_in_time", "whole_cluster"])
def test_a_recovery_with_the_log_needs_a_cluster(scenario: str) -> None:
    scenarios = {scenario: {"rto": "1h", "approval": {"role": "commander"}, "help": "Back to a second."}}
    assert list(recoveries_have_a_cluster(system_of(scenarios=scenarios))) == []

    bare = {key: value for key, value in EXAMPLE["sources"][0].items() if key not in ("physical", "wal")}
    ((path, told),) = recoveries_have_a_cluster(system_of(scenarios=scenarios, sources=[bare]))
    assert path == ("scenarios", scenario)
    assert told.startswith("no source has a 'physical' block, so there is no log to recover with")
    assert recoveries_have_a_cluster in RULES


METHODS = st.sampled_from(["logical", "full", "differential", "incremental"])
STORES = st.sampled_from([["primary"], ["offsite"], ["primary", "offsite"]])
TIER = st.fixed_dictionaries({
    "method": METHODS, "cron": st.sampled_from(CRONS), "stores": STORES,
    "keep": st.fixed_dictionaries({"weeks": st.integers(1, 9)}),
})  # fmt: skip


@given(tiers=st.lists(TIER, min_size=1, max_size=4), cluster=st.booleans(), wal=st.booleans(), days=st.integers(1, 60))
def test_each_rule_is_broken_exactly_when_it_should_be(
    tiers: list[dict[str, Any]], cluster: bool, wal: bool, days: int
) -> None:
    source = {
        **EXAMPLE["sources"][0],
        "physical": {"connection": "example_cluster"} if cluster else None,
        "wal": {"archive_timeout": "60s", "push_allowance": "60s", "keep": f"{days}d"} if wal else None,
    }
    named = [{**EXAMPLE["tiers"][0], **tier, "name": f"tier-{number}"} for number, tier in enumerate(tiers)]
    system = system_of(sources=[source], tiers=named)
    fulls = [tier for tier in system.tiers if tier.method == "full"]
    increments = [tier for tier in system.tiers if tier.method in ("differential", "incremental")]
    gap = widest_gap([tier.cron for tier in fulls]) if fulls else None
    with_full = {store for tier in fulls for store in tier.stores}
    kept = max((tier.keep.reach for tier in fulls), default=None)

    keeps = {
        physical_tiers_have_a_cluster: cluster or not (fulls or increments),
        physical_and_wal_go_together: cluster == wal,
        wal_has_a_base: not wal or (gap is not None and gap <= timedelta(days=7)),
        increments_have_a_full: all(with_full.issuperset(tier.stores) for tier in increments),
        the_window_has_a_base: not wal or kept is None or kept >= timedelta(days=days),
        tiers_write_to_primary: all(tier.stores[0] == "primary" for tier in system.logical_tiers),
    }
    assert {rule.__name__: not list(rule(system)) for rule in keeps} == {
        rule.__name__: right for rule, right in keeps.items()
    }
