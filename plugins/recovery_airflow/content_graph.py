"""The tasks of sources that are backed up item by item: the same verbs as a database's, over a folder and no server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator, TaskGroup, chain

from include.recovery.policy.models import Drill, ProtectedSystem
from recovery_airflow.operators.content import (
    ContentCompareOperator,
    ContentDiscardOperator,
    ContentQuestionsOperator,
    ContentRestoreOperator,
)
from recovery_airflow.operators.logical_restore import PickBackupOperator
from recovery_airflow.operators.scratch_server import ScratchFolderOperator


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
    databases = {source.name for source in system.databases}
    names = [name for name in drill.sources if name not in databases]
    if not names:
        return
    with TaskGroup("copies"):
        room = ScratchFolderOperator(task_id="make_room", sources=names, **evidence, **place)
        discard = ContentDiscardOperator(task_id="discard", system=system.system, sources=names, **place)
        discard.as_teardown(setups=room, on_failure_fail_dagrun=True)
        for name in names:
            pick = PickBackupOperator(
                task_id=f"pick__{name}", source=name, store=drill.store, wish=wish, **evidence
            )
            of_this = {"source": name, "backup": pick.returns("backup"), "store": drill.store, **evidence, **place}
            chain(
                [room, pick],
                ContentRestoreOperator(task_id=f"load__{name}", **of_this),
                ContentCompareOperator(task_id=f"compare__{name}", **of_this),
                ContentQuestionsOperator(task_id=f"query__{name}", **of_this),
                [discard, report],
            )
    discard >> report
