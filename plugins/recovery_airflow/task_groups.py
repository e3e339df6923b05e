"""The groups of tasks that the DAG files are made of: phases are groups, task ids are verbs with the source behind."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from airflow.sdk import TaskGroup, chain

from include.recovery.pgbackrest.archive_watch import archived_sources, replayed_sources
from include.recovery.policy.models import Drill, PostgresSource, ProtectedSystem, Source, Tier
from include.recovery.policy.pools import REPLICATION_POOL, RESTORE_POOL, cluster_pool_of, pool_of
from include.recovery.policy.source_kinds.rds import RdsSource
from include.recovery.restore_points import pointed_sources
from include.recovery.retention.gather import stores_of
from recovery_airflow.content_graph import drill_contents, make_snapshot
from recovery_airflow.dag_defaults import SCRATCH_QUEUE, backups_of, on_host
from recovery_airflow.operators.archive import ReplayProofOperator, WalArchiveCheckOperator
from recovery_airflow.operators.content import ContentBackupOperator
from recovery_airflow.operators.logical_backup import AnnounceBackupsOperator, PgDumpOperator, PrecheckOperator
from recovery_airflow.operators.logical_restore import PgRestoreOperator, PickBackupOperator
from recovery_airflow.operators.offsite_copy import FindMissingCopiesOperator, S3ReplicateOperator
from recovery_airflow.operators.physical_backup import PgBackRestBackupOperator, PgBackRestCheckOperator
from recovery_airflow.operators.rds_snapshot import CheckSnapshotsOperator, EnterSnapshotOperator
from recovery_airflow.operators.recovery_point import RecoveryPointOperator
from recovery_airflow.operators.recovery_set import BindSetOperator
from recovery_airflow.operators.reports import DrillReportOperator
from recovery_airflow.operators.retention import ExpireBackupsOperator, PlanRetentionOperator
from recovery_airflow.operators.run_recovery import RunRecoveryOperator
from recovery_airflow.operators.scratch_server import ScratchServerStartOperator, ScratchServerStopOperator
from recovery_airflow.operators.verdict import VerdictOperator
from recovery_airflow.operators.verification import (
    ChecksumCompareOperator,
    StoredPartsCheckOperator,
    ValidationQueriesOperator,
)
from recovery_airflow.trigger_form import Field

BackupOperator = PgDumpOperator | PgBackRestBackupOperator | ContentBackupOperator | EnterSnapshotOperator
SCRATCH_PLACE: dict[str, Any] = {"queue": SCRATCH_QUEUE} if SCRATCH_QUEUE else {}
"""Arguments of tasks that must run on the worker where scratch servers are."""
ON_SCRATCH: dict[str, Any] = {"pool": RESTORE_POOL} | SCRATCH_PLACE
"""Arguments of tasks that work on a scratch server: a slot of the restore pool, on the worker where the server is."""


def back_up_sources(system: ProtectedSystem, tier: Tier) -> list[BackupOperator]:
    """Look at each source, back it up, and read back what is stored; sources side by side.

    :returns: the tasks that back up, whose results name the new backups.
    """
    with TaskGroup("precheck"):
        prechecks = {
            source: PrecheckOperator(
                task_id=f"inspect__{source}", system=system.system, source=source, pool=pool_of(system.system, source)
            )
            for source in tier.sources
        }
    with TaskGroup("back_up"):
        backups = [
            _back_up(system, source, tier, after=prechecks[source.name]) for source in system.sources_of(tier)
        ]
    with TaskGroup("verify"):
        for backup in backups:
            StoredPartsCheckOperator(
                task_id=f"reread__{backup.source}",
                system=system.system,
                source=backup.source,
                backup=backup.returns("backup"),
                new=backup.returns("new"),
            )
            if isinstance(backup, EnterSnapshotOperator):
                backup >> CheckSnapshotsOperator(
                    task_id=f"check__{backup.source}", system=system.system, source=backup.source
                )
    return backups


def _back_up(system: ProtectedSystem, source: Source, tier: Tier, *, after: PrecheckOperator) -> BackupOperator:
    """The task that backs a source up as its kind does, behind the look at it."""
    if isinstance(source, PostgresSource):
        operator, verb = PgDumpOperator, "dump"
    elif isinstance(source, RdsSource):
        operator, verb = EnterSnapshotOperator, "enter"
    else:
        operator, verb = ContentBackupOperator, "save"
    backup = operator(
        task_id=f"{verb}__{source.name}",
        system=system.system,
        source=source.name,
        tier=tier.name,
        note="{{ params.note or '' }}",
        hold="{{ params.hold }}",
        pool=pool_of(system.system, source.name),
    )
    if isinstance(source, RdsSource):
        chain(after, *make_snapshot(system, source, tier), backup)
    else:
        after >> backup
    return backup


def back_up_clusters(system: ProtectedSystem, tier: Tier) -> list[BackupOperator]:
    """Look at each cluster, back it up to the repository of each store, and check what arrived there.

    All tiers of a cluster share one slot, so an hourly increment that meets the daily full waits for it. A full backup
    is read back with all of its repository; of what stands on one, it is looked whether all is there.

    :returns: the tasks that back up, whose results name the new backups.
    """
    backups: list[BackupOperator] = []
    with TaskGroup("precheck"):
        prechecks = {
            source: PrecheckOperator(
                task_id=f"inspect__{source}",
                system=system.system,
                source=source,
                tier=tier.name,
                **on_host(system, source),
            )
            for source in tier.sources
        }
    with TaskGroup("back_up"):
        for source in tier.sources:
            for store in tier.stores:
                backup = PgBackRestBackupOperator(
                    task_id=f"{tier.method}__{source}__{store}",
                    system=system.system,
                    source=source,
                    tier=tier.name,
                    store=store,
                    note="{{ params.note or '' }}",
                    hold="{{ params.hold }}",
                    pool=cluster_pool_of(system.system, source),
                    **on_host(system, source),
                )
                prechecks[source] >> backup
                backups.append(backup)
    with TaskGroup("verify"):
        for backup in backups:
            PgBackRestCheckOperator(
                task_id=f"check__{backup.source}__{backup.store}",
                system=system.system,
                source=backup.source,
                store=backup.store,
                backup=backup.returns("backup"),
                read_back=tier.method == "full",
                **on_host(system, backup.source),
            )
    return backups


def announce_backups(system: ProtectedSystem, dumps: Sequence[BackupOperator]) -> None:
    """Hand the new backups over to replication, once every one of them was checked; then the verdict.

    A recovery point that could not be made reddens the run, and keeps no good backup from being copied.
    """
    announce = AnnounceBackupsOperator(
        task_id="announce",
        system=system.system,
        backups=[dump.output for dump in dumps],
        outlets=[backups_of(system.system)],
    )
    verdict = VerdictOperator(task_id="verdict", system=system.system, may_be_skipped=("announce", "bind_set"))
    for dump in dumps:
        dump >> [task for task in dump.downstream_list if task.task_id.startswith("verify.")] >> announce
    announce >> verdict
    if len(system.sources) > 1:
        # What belongs together is known best when it is new; a set that lacks a source is no failure of this backup.
        announce >> BindSetOperator(task_id="bind_set", system=system.system) >> verdict
    for point in point_after(system, dumps):
        point >> verdict


def point_after(
    system: ProtectedSystem, dumps: Sequence[BackupOperator]
) -> list[RecoveryPointOperator]:
    """After the backups of a source, a recovery point, where its policy wants verifiable ones.

    What was just backed up can then be restored to a moment that is compared row by row, without waiting for the
    schedule's next point.
    """
    points = []
    wanted = {source.name for source in pointed_sources(system)}
    with TaskGroup("point"):
        for name in dict.fromkeys(dump.source for dump in dumps if dump.source in wanted):
            point = _make_point(system, name)
            [dump for dump in dumps if dump.source == name] >> point
            points.append(point)
    return points


def copy_backups(system: ProtectedSystem) -> None:
    """Find what lacks a copy, copy each of them, and judge. Nothing to copy is a success, not a gap."""
    find = FindMissingCopiesOperator(task_id="find_missing", system=system.system, pool=REPLICATION_POOL)
    copy = S3ReplicateOperator.partial(
        task_id="copy", system=system.system, pool=REPLICATION_POOL, map_index_template="{{ task.title }}"
    ).expand(copy=find.output)
    find >> copy >> VerdictOperator(task_id="verdict", system=system.system, may_be_skipped=("copy",))


def expire_backups(system: ProtectedSystem) -> None:
    """In each store: decide, show the plan, remove what it lets go; stores side by side."""
    with TaskGroup("decide"):
        plans = {
            store: PlanRetentionOperator(task_id=f"plan__{store}", system=system.system, store=store)
            for store in stores_of(system)
        }
    verdict = VerdictOperator(task_id="verdict", system=system.system)
    # pgBackRest expires on the database's host; a system's clusters are taken to be on one.
    clusters = [source.name for source in system.sources if system.repository_stores(source)]
    host = on_host(system, clusters[0]) if clusters else {}
    with TaskGroup("expire"):
        for store, plan in plans.items():
            expire = ExpireBackupsOperator(
                task_id=f"remove__{store}",
                system=system.system,
                store=store,
                plan=plan.returns("plan"),
                dry_run=f"{{{{ params.{Field.DRY_RUN} }}}}",
                **host,
            )
            plan >> expire >> verdict


def make_points(system: ProtectedSystem) -> None:
    """A point of each source whose policy wants verifiable ones; sources side by side."""
    verdict = VerdictOperator(task_id="verdict", system=system.system)
    for source in pointed_sources(system):
        _make_point(system, source.name) >> verdict


def _make_point(system: ProtectedSystem, source: str) -> RecoveryPointOperator:
    return RecoveryPointOperator(
        task_id=f"make_point__{source}", system=system.system, source=source, pool=pool_of(system.system, source)
    )


def replay_archives(system: ProtectedSystem) -> None:
    """Ask the standby of each source that has one; sources side by side."""
    verdict = VerdictOperator(task_id="verdict", system=system.system)
    for source in replayed_sources(system):
        replay = ReplayProofOperator(
            task_id=f"replay__{source.name}", system=system.system, source=source.name, **SCRATCH_PLACE
        )
        replay >> verdict


def check_archives(system: ProtectedSystem) -> None:
    """Look through the archive of each source in each store; stores side by side."""
    verdict = VerdictOperator(task_id="verdict", system=system.system)
    with TaskGroup("check"):
        for source in archived_sources(system):
            for store in system.repository_stores(source):
                check = WalArchiveCheckOperator(
                    task_id=f"archive__{source.name}__{store}", system=system.system, source=source.name, store=store
                )
                check >> verdict


def drill_sources(system: ProtectedSystem, cadence: str, drill: Drill) -> None:
    """Restore, compare, validate, report, tear down, judge: databases on a scratch server, other sources in folders."""
    evidence: dict[str, Any] = {"system": system.system, "evidence": "drills"}
    report = DrillReportOperator(task_id="report", system=system.system, cadence=cadence, store=drill.store)
    wish = f"{{{{ params.{Field.RECOVERY_POINT} }}}}"
    drill_contents(system, drill, wish, evidence=evidence, place=ON_SCRATCH, report=report)
    known = {source.name for source in system.databases}
    if databases := [name for name in drill.sources if name in known]:
        stop = drill_databases(drill, databases, wish, evidence=evidence, report=report)
        # The report is outside what the scratch server frames, so that it is written also when no server would start.
        stop >> report
    report >> VerdictOperator(task_id="verdict", system=system.system)


def drill_databases(
    drill: Drill, databases: Sequence[str], wish: str, *, evidence: dict[str, Any], report: DrillReportOperator
) -> ScratchServerStopOperator:
    """Restore databases on one scratch server and compare every row; the task that tears the server down."""
    with TaskGroup("choose"):
        picks = {
            source: PickBackupOperator(
                task_id=f"pick__{source}", source=source, store=drill.store, wish=wish, **evidence
            )
            for source in databases
        }
    with TaskGroup("scratch"):
        start = ScratchServerStartOperator(
            task_id="start",
            versions=[pick.returns("server_version") for pick in picks.values()],
            **evidence,
            **ON_SCRATCH,
        )
        stop = ScratchServerStopOperator(task_id="stop", system=evidence["system"], **ON_SCRATCH)
    stop.as_teardown(setups=start, on_failure_fail_dagrun=True)
    with TaskGroup("restore"):
        restores = {
            source: PgRestoreOperator(
                task_id=f"load__{source}",
                source=source,
                backup=pick.returns("backup"),
                store=drill.store,
                **evidence,
                **ON_SCRATCH,
            )
            for source, pick in picks.items()
        }
    with TaskGroup("verify"):
        for source, restore in restores.items():
            of_this = {"source": source, "backup": picks[source].returns("backup"), "store": drill.store, **evidence}
            compare = ChecksumCompareOperator(task_id=f"compare__{source}", **of_this, **ON_SCRATCH)
            validate = ValidationQueriesOperator(task_id=f"query__{source}", **of_this, **ON_SCRATCH)
            chain(restore, compare, validate, [stop, report])
    chain(list(picks.values()), start, list(restores.values()))
    return stop


def recover_by_priority(systems: Sequence[ProtectedSystem]) -> None:
    """One task for each system, in levels of equal priority; a level starts when the one above has ended, however."""
    above: list[RunRecoveryOperator] = []
    everybody: list[RunRecoveryOperator] = []
    ordered = sorted(systems, key=lambda system: (system.priority, system.system))
    for priority, level in groupby(ordered, key=lambda system: system.priority):
        with TaskGroup(f"priority_{priority}"):
            tasks = [
                RunRecoveryOperator(
                    task_id=f"recover__{system.system}",
                    system=system.system,
                    depends_on=system.depends_on,
                    trigger_rule="all_done",
                )
                for system in level
            ]
        for task in tasks:
            above >> task
        above = tasks
        everybody += tasks
    everybody >> VerdictOperator(task_id="verdict", system="disaster recovery")
