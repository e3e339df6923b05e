"""A point is made as the policy says and recorded in each store; who did not get it is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.recovery import restore_points
from include.recovery.catalog.points import Heartbeat, RecoveryPoint, RecoveryPoints
from include.recovery.errors import PolicyError, StoreError, StoreUnavailable
from include.recovery.policy.physical_models import RestorePointOptions
from include.recovery.policy.source_models import Excluded
from include.recovery.restore_points import keep_point, options_of, point_interval, pointed_sources

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


def point(**facts: Any) -> RecoveryPoint:
    values: dict[str, Any] = {
        "system": "labdojo", "source": "main-db", "name": "lifeboat_20261121T090000Z_5fb0aa", "kind": "heartbeat",
        "at": NOW, "lsn": "0/A7000110", "timeline": 1, "system_identifier": "7710618046853830516", "waited_ms": 204.32,
        "attempts": 5, "fingerprint": None, "note": "only a heartbeat: no moment without writers in 5 attempts",
        "heartbeat": Heartbeat(beat=7, at=NOW - timedelta(seconds=30)),
    }  # fmt: skip
    return RecoveryPoint(**(values | facts))


@pytest.fixture
def policy(folder_workspace: Any) -> Any:
    found = folder_workspace.connections("signing")
    folder_workspace.connections = lambda name: found
    return folder_workspace.system("labdojo")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Decide what the next point is."""

    def next_is(**facts: Any) -> None:
        monkeypatch.setattr(restore_points, "make_point", lambda *_, **__: point(**facts))

    next_is()
    return next_is


def broken(workspace: Any, monkeypatch: pytest.MonkeyPatch, **errors: Exception) -> None:
    """Stores that do not take what they are given."""
    stores = {name: workspace.store(name) for name in ("primary", "offsite")}
    for name, error in errors.items():

        def refuse(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr(stores[name], "put", refuse)


def test_each_store_gets_the_point(folder_workspace: Any, policy: Any, made: Any) -> None:
    kept = keep_point(folder_workspace, policy, policy.sources[0])
    for store in ("primary", "offsite"):
        (entry,) = RecoveryPoints(folder_workspace.store(store)).listed("labdojo", "main-db")
        assert RecoveryPoints(folder_workspace.store(store)).read(entry) == kept.point
    assert kept.in_words == (
        "heartbeat point lifeboat_20261121T090000Z_5fb0aa of main-db at 0/A7000110: "
        "writers waited 204.3 ms at most (5 attempts); in primary and offsite"
    )


def test_one_that_proves_less_than_the_policy_wants_says_why(folder_workspace: Any, policy: Any, made: Any) -> None:
    (warning,) = keep_point(folder_workspace, policy, policy.sources[0]).warnings
    assert warning.startswith("lifeboat_20261121T090000Z_5fb0aa cannot prove rows: only a heartbeat: no moment")
    physical = policy.sources[0].physical.model_copy(update={"restore_points": None})
    modest = policy.sources[0].model_copy(update={"physical": physical})
    assert keep_point(folder_workspace, policy, modest).warnings == (), "it wants no more than that"


@pytest.mark.parametrize(
    ("heartbeat", "told"),
    [
        (None, "main-db has no heartbeat, so no restore can tell what it lost"),
        (Heartbeat(beat=7, at=NOW - timedelta(minutes=10)), "is 10m old, and one is due each 1m"),
        (Heartbeat(beat=7, at=NOW - timedelta(minutes=2)), None),
    ],
)
def test_heartbeats_that_stopped_are_noticed(
    folder_workspace: Any, policy: Any, made: Any, heartbeat: Heartbeat | None, told: str | None
) -> None:
    made(heartbeat=heartbeat)
    warnings = " ".join(keep_point(folder_workspace, policy, policy.sources[0]).warnings)
    assert ("heartbeat of main-db" in warnings or "no heartbeat" in warnings) == (told is not None)
    assert told is None or told in warnings


def test_a_store_that_is_away_keeps_the_others_from_nothing(
    folder_workspace: Any, policy: Any, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(folder_workspace, monkeypatch, primary=StoreUnavailable("it does not answer"))
    with pytest.raises(
        StoreUnavailable, match="is recorded in offsite; primary did not get it: it does not answer"
    ):
        keep_point(folder_workspace, policy, policy.sources[0])
    assert len(RecoveryPoints(folder_workspace.store("offsite")).listed("labdojo", "main-db")) == 1


def test_what_trying_again_does_not_mend_is_not_called_away(
    folder_workspace: Any, policy: Any, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(folder_workspace, monkeypatch, primary=StoreError("it refuses"), offsite=StoreError("it refuses too"))
    with pytest.raises(StoreError, match="is recorded in no store; primary .* offsite did not get it: it refuses too"):
        keep_point(folder_workspace, policy, policy.sources[0])


def test_a_source_whose_log_is_not_archived_gets_no_point(folder_workspace: Any, policy: Any, made: Any) -> None:
    bare = policy.sources[0].model_copy(update={"physical": None})
    with pytest.raises(PolicyError, match="nothing could be restored to a recovery point"):
        keep_point(folder_workspace, policy, bare)


def test_options_are_the_policys(policy: Any) -> None:
    source = policy.sources[0]
    options = options_of(source.model_copy(update={"exclude": (Excluded(table="public.cache", why="rebuilt"),)}))
    assert (options.lock_timeout_ms, options.attempts, options.coverage, options.workers) == (200, 5, "full", 2)
    assert options.exclude == {"public.cache": "rebuilt"}
    without = source.model_copy(update={"physical": source.physical.model_copy(update={"restore_points": None})})
    assert options_of(without).lock_timeout_ms == 0, "no locks at all"


def test_the_most_demanding_source_decides_how_often(policy: Any) -> None:
    assert point_interval(policy) == timedelta(hours=1)
    (source,) = pointed_sources(policy)
    quick = source.physical.model_copy(update={"restore_points": RestorePointOptions(every="15m")})
    none = source.physical.model_copy(update={"restore_points": None})
    second = source.model_copy(update={"name": "other-db", "physical": quick})
    third = source.model_copy(update={"name": "third-db", "physical": none})
    assert point_interval(policy.model_copy(update={"sources": (source, second, third)})) == timedelta(minutes=15)
    assert point_interval(policy.model_copy(update={"sources": (third,)})) is None
