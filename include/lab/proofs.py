"""What the demo has Airflow do with each system: back up, copy, make points, drill, rehearse. What is fresh stays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from include.lab.airflow import AirflowClient
from include.lab.errors import LabError
from include.lab.lab import Lab
from include.lab.runs import run_to_end
from include.lab.steps import Report
from include.lab.systems import system as demo_system
from include.recovery.catalog.looks import newest_look
from include.recovery.catalog.model import Backup
from include.recovery.copies import missing_copies
from include.recovery.evidence.history import AnyReport, read_reports
from include.recovery.evidence.model import DrillReport, IncidentReport
from include.recovery.evidence.verdict import verdict
from include.recovery.policy.models import ProtectedSystem, Source, Tier
from include.recovery.sources import PHYSICAL
from include.recovery.workspace import PRIMARY, Workspace

SCENARIO = "database_corruption"
WEEK, MONTH = timedelta(days=7), timedelta(days=31)
_COPY_SECONDS = 600
_ARCHIVE_SECONDS = 120


@dataclass(frozen=True)
class Proofs:
    """One system's part of the demo; each method is a step.

    :param workspace: makes a new one: catalogs are not shared between steps that run side by side.
    """

    system: ProtectedSystem
    lab: Lab
    client: AirflowClient
    workspace: Callable[[], Workspace] = field(default=Workspace.from_environment)

    @property
    def name(self) -> str:
        """The system's."""
        return self.system.system

    @property
    def full_tier(self) -> Tier | None:
        """The tier that everything else of the cluster stands on; None when the policy does not protect the cluster."""
        return next((tier for tier in self.system.tiers if tier.method == "full"), None)

    def back_up(self, report: Report) -> None:
        """A first backup of every source, or a new one of those whose newest is too old; one tier after another."""
        tiers = self.tiers_to_run(self.workspace(), datetime.now(UTC))
        for tier in tiers:
            # A note would have a tier back up what has not changed, too.
            conf = {} if tier.only_when_changed else {"note": "make demo"}
            told = partial(_told, report, tier.name)
            run_to_end(self.client, f"backup__{self.name}__{tier.name}", told, conf)
        report("all sources" if tiers else "young enough")

    def tiers_to_run(self, workspace: Workspace, now: datetime) -> list[Tier]:
        """The first tier of each source whose newest backup, or the newest look at it, is older than half its RPO."""
        policy, found = self.system, list[Tier]()
        late = {source.name for source in policy.sources if self._is_late(workspace, source, now)}
        for tier in policy.logical_tiers:
            if late & set(tier.sources):
                found.append(tier)
                late -= set(tier.sources)
        return found

    def _is_late(self, workspace: Workspace, source: Source, now: datetime) -> bool:
        newest = _newest(workspace.catalog().backups(self.name, source.name, source.kind))
        if newest is None:
            return True
        seen = [newest.manifest.snapshot_at]
        for tier in (tier for tier in self.system.tiers_of(source) if tier.only_when_changed):
            look = newest_look(workspace.store(PRIMARY), self.name, source.name, tier.name)
            seen += [look.at] if look is not None and look.backup == newest.manifest.id else []
        return max(seen) <= now - self.system.rpo(source) / 2

    def take_base(self, report: Report) -> None:
        """A full backup of the cluster in each of its stores; its DAG makes a recovery point behind it."""
        tier, workspace = self.full_tier, self.workspace()
        if tier is None:
            report("its policy does not protect the cluster")
            return
        fresh = datetime.now(UTC) - WEEK
        held = [
            _newest([base for base in self._bases(workspace, store, source) if base.manifest.parent is None])
            for store in tier.stores
            for source in tier.sources
        ]
        if all(backup is not None and backup.manifest.snapshot_at > fresh for backup in held):
            report("of this week")
            return
        run_to_end(self.client, f"backup__{self.name}__{tier.name}", report, {"note": "make demo"})

    def await_copies(self, report: Report) -> None:
        """Replication starts by itself when a backup is announced; wait for its result."""
        until, workspace = time.monotonic() + _COPY_SECONDS, self.workspace()
        while missing := missing_copies(self.system, workspace.catalog):
            report(f"{len(missing)} to come")
            if time.monotonic() > until:
                copies = ", ".join(f"{copy.backup} in {copy.to_store}" for copy in missing)
                raise LabError(
                    f"{self.name}: not copied after {_COPY_SECONDS} s: {copies}; see replicate__{self.name}"
                )
            time.sleep(3)
        report("all copied")

    def drill(self, report: Report) -> None:
        """The weekly drill, unless one of this week was green."""
        if self._proven(WEEK, lambda found: isinstance(found, DrillReport) and found.drill == "weekly"):
            report("proven")
            return
        run_to_end(self.client, f"drill__{self.name}__weekly", report)

    def drill_cluster(self, report: Report) -> None:
        """The monthly drill of the cluster, to a new recovery point and a random second; unless one was green."""
        if self._proven(MONTH, lambda found: isinstance(found, DrillReport) and found.drill == "monthly"):
            report("proven")
            return
        self._await_heartbeats(report)
        run_to_end(self.client, f"recovery_point__{self.name}", report)
        self._archive_all(report)
        run_to_end(self.client, f"drill__{self.name}__monthly", report)

    def rehearse(self, report: Report) -> None:
        """The runbook in mode rehearsal, unless one of this week was green."""
        if self._proven(WEEK, lambda found: isinstance(found, IncidentReport) and found.mode == "rehearsal"):
            report("rehearsed")
            return
        conf = {"scenario": SCENARIO, "mode": "rehearsal", "recovery_point": "newest identical", "reason": "make demo"}
        run_to_end(self.client, f"disaster_recovery__{self.name}", report, conf)

    def _proven(self, within: timedelta, fits: Callable[[AnyReport], bool]) -> bool:
        since = datetime.now(UTC) - within
        reports = read_reports(self.workspace().store(PRIMARY), self.name)
        return any(fits(each) and each.finished_at > since and not verdict(each) for each in reports)

    def _bases(self, workspace: Workspace, store: str, source: str) -> list[Backup]:
        return workspace.catalog(store).backups(self.name, source, PHYSICAL)

    def _await_heartbeats(self, report: Report) -> None:
        """The drill asks for a second that has a backup before it and a heartbeat on either side."""
        drill, workspace = self.system.drills["monthly"], self.workspace()
        ready = []
        for name in drill.sources:
            source = self.system.source(name)
            first = min(base.manifest.snapshot_at for base in self._bases(workspace, drill.store, name))
            every = source.physical.heartbeat if source.physical else timedelta(minutes=1)
            ready.append(first + 2 * every + timedelta(seconds=10))
        while (left := (max(ready) - datetime.now(UTC)).total_seconds()) > 0:
            report(f"two heartbeats, {left:.0f} s")
            time.sleep(min(left, 2))

    def _archive_all(self, report: Report) -> None:
        """Have the WAL with the point archived now: ``archive_timeout`` would do it within a minute."""
        until = time.monotonic() + _ARCHIVE_SECONDS
        with self.lab.cluster(demo_system(self.name)).connect() as connection:
            row = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
            wanted = row[0] if row else ""
            while True:
                report(f"WAL {wanted} to the archive")
                row = connection.execute("SELECT last_archived_wal FROM pg_stat_archiver").fetchone()
                if row and (row[0] or "")[:24] >= wanted:
                    return
                if time.monotonic() > until:
                    raise LabError(
                        f"{self.name}: WAL {wanted} is not archived after {_ARCHIVE_SECONDS} s; see "
                        f"{self.lab.registry.log(f'postgres-{self.name}')}"
                    )
                time.sleep(0.5)


def _told(report: Report, tier: str, words: str) -> None:
    report(f"{tier}: {words}")


def _newest(backups: list[Backup]) -> Backup | None:
    """The newest undamaged one."""
    return next((backup for backup in reversed(backups) if not backup.damaged), None)
