"""The tasks of sources that are no PostgreSQL that Lifeboat reaches into: backed up item by item, or by the service."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from airflow.sdk import BaseOperator, TaskGroup, chain

from include.recovery.policy.models import Drill, PostgresSource, ProtectedSystem, Tier
from include.recovery.policy.source_kinds.rds import RdsSource
from recovery_airflow.operators.content import (
    ContentCompareOperator,
    ContentDiscardOperator,
    ContentQuestionsOperator,
    ContentRestoreOperator,
)
from recovery_airflow.operators.logical_restore import PickBackupOperator
from recovery_airflow.operators.rds_snapshot import (
    AskSnapshotOperator,
    DiscardInstancesOperator,
    MakeSnapshotOperator,
    NameSnapshotOperator,
    RestoreSnapshotOperator,
)
from recovery_airflow.operators.scratch_server import ScratchFolderOperator


def make_snapshot(system: ProtectedSystem, source: RdsSource, tier: Tier) -> list[BaseOperator]:
    """Name the snapshot of a run, and have the Amazon provider make it and wait for it."""
    name = NameSnapshotOperator(
        task_id=f"name__{source.name}", system=system.system, source=source.name, tier=tier.name
    )
    make = MakeSnapshotOperator(
        task_id=f"snapshot__{source.name}",
        db_type="instance",
        db_identifier=source.instance,
        db_snapshot_identifier=name.returns("identifier"),
        tags=name.returns("tags"),
        aws_conn_id=source.home.connection,
        region_name=source.home.region,
    )
    return [name, make]


def drill_contents(
    system: ProtectedSystem,
    drill: Drill,
    wish: str,
    *,
    evidence: Mapping[str, Any],
    place: Mapping[str, Any],
    report: BaseOperator,
) -> None:
    """Restore each such source to a copy, compare it item by item, ask its kind's questions, and remove the copies.

    :param wish: which backup; a template.
    :param evidence: arguments of every task: system and evidence folder.
    :param place: arguments of tasks that work on a copy: pool and queue.
    :param report: the drill's, which waits for all of it, also where it failed.
    """
    others = [source for source in system.sources_of(drill) if not isinstance(source, PostgresSource)]
    managed = [source.name for source in others if isinstance(source, RdsSource)]
    contents = [source.name for source in others if source.name not in managed]
    with TaskGroup("copies") if others else nullcontext():
        picks = {
            source.name: PickBackupOperator(
                task_id=f"pick__{source.name}", source=source.name, store=drill.store, wish=wish, **evidence
            )
            for source in others
        }
        of_each = {
            name: {"source": name, "backup": pick.returns("backup"), "store": drill.store, **evidence, **place}
            for name, pick in picks.items()
        }
        if contents:
            room = ScratchFolderOperator(task_id="make_room", sources=contents, **evidence, **place)
            discard = ContentDiscardOperator(task_id="discard", system=system.system, sources=contents, **place)
            discard.as_teardown(setups=room, on_failure_fail_dagrun=True)
            discard >> report
        for name in contents:
            chain(
                [room, picks[name]],
                ContentRestoreOperator(task_id=f"load__{name}", **of_each[name]),
                ContentCompareOperator(task_id=f"compare__{name}", **of_each[name]),
                ContentQuestionsOperator(task_id=f"query__{name}", **of_each[name]),
                [discard, report],
            )
        for name in managed:
            load = RestoreSnapshotOperator(task_id=f"load__{name}", **of_each[name])
            away = DiscardInstancesOperator(
                task_id=f"discard__{name}", system=system.system, picked={name: picks[name].output}, store=drill.store
            )
            # An instance costs money until it is gone: it goes whatever happened to the restore.
            away.as_teardown(setups=picks[name], on_failure_fail_dagrun=True)
            chain(picks[name], load, AskSnapshotOperator(task_id=f"query__{name}", **of_each[name]), [away, report])
            away >> report

