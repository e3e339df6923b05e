"""Each method by its scenario; and room for a cluster before an hour is spent on it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest

from include.recovery.errors import Refused
from include.recovery.policy.models import ScenarioName
from include.recovery.postgres.server import PostgresServer
from include.recovery.runbook.methods import OF_SCENARIO, method_for, method_of, point_in_time
from include.recovery.runbook.methods.port import Job
from include.recovery.runbook.physical_plan import PhysicalRecovery
from include.recovery.runbook.plan import Method, Mode, RecoveryPlan
from include.recovery.runbook.plan_words import WORDS
from include.recovery.sources import RunInfo

MIB = 1024 * 1024


def test_a_scenario_has_a_method_and_a_method_has_words() -> None:
    assert type(method_for("database_corruption")) is type(method_for("table_corruption")) is type(method_of("logical"))
    assert type(method_for("point_in_time")) is point_in_time.PointInTime
    assert set(OF_SCENARIO) <= set(get_args(ScenarioName))
    assert {"logical", "point_in_time"} <= set(WORDS) <= set(get_args(Method))
    with pytest.raises(Refused, match="cannot recover by the method prayer"):
        method_of(cast("Method", "prayer"))


def test_only_a_source_with_a_cluster_goes_back_in_time() -> None:
    method = method_for("point_in_time")
    assert method.concerns(cast("Any", SimpleNamespace(physical=object())))
    assert not method.concerns(cast("Any", SimpleNamespace(physical=None)))


@pytest.fixture
def job(plan: Callable[..., RecoveryPlan], tmp_path: Path, now, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(point_in_time, "drop_staging", lambda _: False)
    found = PhysicalRecovery(
        label="20261121-020000F", target="newest", words="the newest archived state", based_at=now, kept_until=now,
        cluster_bytes=1000 * MIB,
    )  # fmt: skip

    def make(mode: Mode, free: int) -> Job:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free * MIB))
        source = plan().sources[0].model_copy(update={"method": "point_in_time", "recovery": found})
        made = plan(mode=mode, sources=(source,))
        staging = PostgresServer(host="db", port=5432, user="x", database="labdojo_restored_x")
        run = RunInfo(run_id="r", started_by="a test")
        return Job(
            cast("Any", None), made, source, staging, tmp_path / "scratch" / "s1", run, threading.Event(), lambda: now
        )

    return make


@pytest.mark.parametrize(("mode", "free"), [(Mode.INCIDENT, 1099), (Mode.REHEARSAL, 1200)])
def test_a_disk_that_is_too_small_is_told_before_the_restore(job, mode: Mode, free: int) -> None:
    with pytest.raises(Refused, match=r"the cluster needs .* on a scratch server, and .* free; make room there"):
        method_for("point_in_time").make_room(job(mode, free))


def test_a_folder_that_an_earlier_try_has_filled_is_room_enough(job) -> None:
    method = method_for("point_in_time")
    assert "are free for the scratch server" in method.make_room(job(Mode.INCIDENT, 1101))
    begun = job(Mode.INCIDENT, 10)
    (begun.scratch / "data").mkdir(parents=True)
    (begun.scratch / "data" / "PG_VERSION").write_text("15")
    assert "labdojo_restored_x is free" in method.make_room(begun)
