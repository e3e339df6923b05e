"""The operators of the cluster hand on what they were given, and put nothing but references into XCom."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from include.recovery.errors import BackupNotFound, PolicyError
from include.recovery.sources import pgbackrest
from recovery_airflow.operators.logical_backup import PrecheckOperator
from recovery_airflow.operators.physical_backup import (
    PgBackRestBackupOperator,
    PgBackRestCheckOperator,
    PgBackRestRestoreOperator,
)
from recovery_airflow.operators.step import RunFacts

NOW = datetime.now(UTC).replace(microsecond=0)
RUN = RunFacts(
    dag_id="backup__labdojo__weekly-full", run_id="by hand", task_id="t", try_number=1, requester="ada", url="",
    started_at=NOW,
)
OF = {"system": "labdojo", "source": "main-db"}


@pytest.fixture
def perform(folder_workspace: Any) -> Any:
    """An operator's work, as ``execute`` calls it."""

    def perform(operator: Any) -> Any:
        operator.workspace, operator.started, operator.stop = folder_workspace, NOW, None
        operator.validate()
        return operator.perform(RUN, {})

    return perform


def test_a_backup_is_asked_of_its_tier_and_store(
    perform: Any, make_cluster_backup: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def backup(workspace: Any, system: Any, source: Any, tier: Any, **more: Any) -> Any:
        asked.update(more, tier=tier.name, source=source.name)
        return make_cluster_backup(NOW, store="offsite", tier="weekly-full")

    monkeypatch.setattr(pgbackrest, "backup", backup)
    made = perform(PgBackRestBackupOperator(
        task_id="full__main-db__offsite", tier="weekly-full", store="offsite", note="", hold="False", **OF
    ))  # fmt: skip
    assert (asked["tier"], asked["source"], asked["store"], asked["note"], asked["hold"]) == (
        "weekly-full", "main-db", "offsite", None, False
    )
    assert asked["run"].run_id == "backup__labdojo__weekly-full/by hand"
    assert (made["kind"], made["store"]) == ("pgbackrest", "offsite")
    assert "in offsite" in made["sentence"]
    json.dumps(made)


@pytest.mark.parametrize(("read_back", "called"), [(True, "verify"), ("True", "verify"), (False, "look")])
def test_a_check_reads_back_when_it_is_told_to(
    perform: Any, make_cluster_backup: Any, monkeypatch: pytest.MonkeyPatch, read_back: bool | str, called: str
) -> None:
    calls: list[str] = []

    def verb(name: str, result: Any) -> Any:
        def run(*_: Any, **__: Any) -> Any:
            calls.append(name)
            return result

        return run

    monkeypatch.setattr(pgbackrest, "verify", verb("verify", SimpleNamespace(detail="read back")))
    monkeypatch.setattr(pgbackrest, "look", verb("look", "all is there"))
    monkeypatch.setattr(pgbackrest, "check", verb("check", "WAL arrives"))
    backup = make_cluster_backup(NOW)
    check = {"task_id": "check__main-db__primary", "store": "primary", **OF}
    done = perform(PgBackRestCheckOperator(backup=backup.id, read_back=read_back, **check))
    assert calls == [called, "check"]
    assert done["sentence"].endswith("; WAL arrives")
    with pytest.raises(BackupNotFound):
        perform(PgBackRestCheckOperator(backup="20200101T000000Z-0000", **check))


def test_a_precheck_asks_the_kind_of_its_tier(perform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgbackrest, "precheck", lambda *_: "the cluster archives")
    told = perform(PrecheckOperator(task_id="inspect__main-db", tier="weekly-full", **OF))
    assert "the cluster archives" in told["sentence"]


def test_a_restore_refuses_a_target_that_is_none(perform: Any) -> None:
    with pytest.raises(BackupNotFound, match="malformed"):
        perform(PgBackRestRestoreOperator(task_id="load", target="yesterday or so", **OF))
    with pytest.raises(PolicyError, match="target is empty"):
        perform(PgBackRestRestoreOperator(task_id="load", target="", **OF))
