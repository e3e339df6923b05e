"""The graph of a drill of physical backups: two recoveries of each cluster, each proven in its own way."""

from __future__ import annotations

from typing import Any

from airflow.sdk import TaskGroup, chain

from include.recovery.policy.models import Drill, ProtectedSystem
from include.recovery.policy.tier_models import RANDOM_SECOND
from recovery_airflow.content_graph import drill_contents
from recovery_airflow.operators.physical_drill import (
    DrillArchiveCheckOperator,
    HeartbeatCheckOperator,
    PagesCheckOperator,
    PickPointOperator,
    PickSecondOperator,
    PointCompareOperator,
    PointQueriesOperator,
    RecoverPointOperator,
    RecoverSecondOperator,
)
from recovery_airflow.operators.physical_drill_report import PhysicalDrillReportOperator
from recovery_airflow.operators.scratch_server import ScratchRoomOperator, ScratchServerStopOperator
from recovery_airflow.operators.step import StepOperator
from recovery_airflow.operators.verdict import VerdictOperator
from recovery_airflow.task_groups import ON_SCRATCH
from recovery_airflow.trigger_form import Field

ALSO_AFTER_A_FAILURE: dict[str, Any] = {"trigger_rule": "all_done_min_one_success"}
"""A table that differs must not keep damaged pages from being found; with no copy at all, there is nothing to check."""


def drill_clusters(system: ProtectedSystem, cadence: str, drill: Drill) -> None:
    """Recover to a point, compare, ask, check pages; recover to a random second, check it; report, tear down, judge.

    A drill of random seconds alone leaves out all that is about the point. The copy of the second stands on what the
    copy of the point has left on the disk, so it comes last; it is made also when that one turned out wrong. Sources of
    other kinds are restored from their newest backup and compared in the same run.
    """
    of: dict[str, Any] = {"system": system.system, "store": drill.store, "evidence": "drills", **ON_SCRATCH}
    to_point = drill.recovery_point != RANDOM_SECOND
    report = PhysicalDrillReportOperator(task_id="report", system=system.system, cadence=cadence, store=drill.store)
    evidence = {"system": system.system, "evidence": "drills"}
    drill_contents(system, drill, "newest", evidence=evidence, place=ON_SCRATCH, report=report)
    known = {source.name for source in system.databases}
    databases = [name for name in drill.sources if name in known]
    with TaskGroup("scratch"):
        all_of = {"system": system.system, "sources": databases, **ON_SCRATCH}
        room = ScratchRoomOperator(task_id="make_room", evidence="drills", **all_of)
        stop = ScratchServerStopOperator(task_id="stop", **all_of)
    stop.as_teardown(setups=room, on_failure_fail_dagrun=True)
    wish = f"{{{{ params.{Field.RECOVERY_POINT} }}}}"
    picks = {}
    with TaskGroup("choose"):
        for source in databases:
            DrillArchiveCheckOperator(task_id=f"check_archive__{source}", source=source, **of) >> report
            if to_point:
                picks[source] = PickPointOperator(task_id=f"pick_point__{source}", source=source, wish=wish, **of)
    proven = prove_points(room, picks, of)
    with TaskGroup("second"):
        for source in databases:
            pick = PickSecondOperator(task_id=f"pick_second__{source}", source=source, **of)
            recover = RecoverSecondOperator(
                task_id=f"recover_second__{source}",
                source=source,
                second=pick.returns("second"),
                note=pick.returns("note"),
                **of,
                **(ALSO_AFTER_A_FAILURE if to_point else {}),
            )
            heartbeat = HeartbeatCheckOperator(
                task_id=f"check_heartbeat__{source}",
                source=source,
                second=pick.returns("second"),
                backup=recover.returns("backup"),
                **of,
            )
            # Behind a setup, Airflow takes no other rule than that all went well: so the draw comes between.
            chain(room, pick, recover, heartbeat, [stop, report])
            proven.get(source, []) >> recover
    # The report is outside what the scratch server frames, so that it is written also when there is no room.
    chain(stop, report, VerdictOperator(task_id="verdict", system=system.system))


def prove_points(
    room: ScratchRoomOperator, picks: dict[str, PickPointOperator], of: dict[str, Any]
) -> dict[str, list[StepOperator]]:
    """Recover each source to its point, and look at the copy in every way; the last step of each.

    Comparison and questions come before the pages, so that the time until the data is known to be right counts alone.
    """
    proven: dict[str, list[StepOperator]] = {}
    if not picks:
        return proven
    of_each = {source: {"source": source, "aim": pick.output, **of} for source, pick in picks.items()}
    with TaskGroup("restore"):
        copies = {s: RecoverPointOperator(task_id=f"recover_point__{s}", **of_each[s]) for s in picks}
    with TaskGroup("verify"):
        verified = {
            source: [
                PointCompareOperator(task_id=f"compare__{source}", **of_each[source]),
                PointQueriesOperator(task_id=f"query__{source}", **of_each[source]),
            ]
            for source in picks
        }
    with TaskGroup("pages"):
        for source, copy in copies.items():
            structure, checksums = (
                PagesCheckOperator(
                    task_id=f"check_{what}__{source}", what=what, **of_each[source], **ALSO_AFTER_A_FAILURE
                )
                for what in ("structure", "checksums")
            )
            chain([room, picks[source]], copy, verified[source], structure, checksums)
            # Each looks at the copy, so it wants one; that an earlier look went wrong does not keep it from looking.
            copy >> [structure, checksums]
            proven[source] = [checksums]
    return proven
