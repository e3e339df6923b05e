"""The WAL archive of a source, watched: replayed all the time by a standby, and looked through every hour.

The standby stays up between two runs: it is a server of its own, which no task takes with it when it ends. A run asks
it, brings it back when it has died, and begins anew from a newer backup when the archive will never let it go on. What
was found is kept beside the backups (``catalog/archive_proofs.py``), where the watchdog reads it and tells it once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from include.recovery.catalog.archive_proofs import ArchiveProof, ArchiveProofs, found
from include.recovery.catalog.model import Backup
from include.recovery.concerns import Concern, Severity, gravest_first
from include.recovery.errors import BackupCorrupt, BackupNotFound, LifeboatError, PolicyError, SourceError, Unavailable
from include.recovery.pgbackrest import commands
from include.recovery.pgbackrest.archiver import ask_archiver, judge_archiver
from include.recovery.pgbackrest.check import check_archive, of_info
from include.recovery.pgbackrest.cipher import KIND
from include.recovery.pgbackrest.marker import marker_of
from include.recovery.pgbackrest.opened import Opened
from include.recovery.pgbackrest.replay import ReplayProof
from include.recovery.pgbackrest.replay_state import ReplayReport
from include.recovery.pgbackrest.stanza import Stanza, open_reading, open_stanza, physical_of_policy
from include.recovery.policy.models import PRIMARY, PostgresSource, ProtectedSystem
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.tools import major_of

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace

ALLOWANCE = timedelta(minutes=2)
"""An archived segment may wait so long for its replay; a standby that is well needs seconds."""
_OPENED = 2
_STILL = 6.0
"""Seconds without any progress after which a replay is taken to wait for something; it asks every two."""
_LAG = "replay lag"


def _now() -> datetime:
    return datetime.now(UTC)


def archived_sources(system: ProtectedSystem) -> tuple[PostgresSource, ...]:
    """The sources whose log is archived to a repository."""
    return tuple(each for each in system.sources if each.wal and system.repository_stores(each))


def replayed_sources(system: ProtectedSystem) -> tuple[PostgresSource, ...]:
    """The sources whose archive is replayed all the time."""
    return tuple(each for each in archived_sources(system) if each.wal and each.wal.replay_proof)


def replay_interval(system: ProtectedSystem) -> timedelta | None:
    """How often the replay is looked at: as often as the most demanding source wants; None when none does."""
    return min((each.wal.replay_proof for each in replayed_sources(system) if each.wal and each.wal.replay_proof),
               default=None)


def prove_replay(
    workspace: Workspace,
    system: ProtectedSystem,
    source: PostgresSource,
    directory: Path,
    *,
    by: str = "replay proof",
    patience: float = 60,
    stop: threading.Event | None = None,
    now: Callable[[], datetime] = _now,
) -> ArchiveProof:
    """One look of the continuous replay proof; kept in the primary store, and returned.

    :param directory: of the standby; it is made when there is none.
    :param by: the run or person, for whoever asks why a backup stays while the standby is made from it.
    :param patience: seconds to wait for segments that it has not replayed yet, while it gets on.
    :raises PolicyError: when the source's log is not archived.
    :raises StoreUnavailable, WrongKey: when the archive cannot be looked at.
    """
    stores = system.repository_stores(source)
    if source.wal is None or not stores:
        raise PolicyError(
            [f"{system.system}.yaml: source {source.name!r} has no 'wal' block with a physical tier, so there is no "
             "archive to replay; add both, or leave 'replay_proof' out"]
        )
    store = stores[0]
    kept = ArchiveProofs(workspace.store(PRIMARY), workspace.deleter(PRIMARY))
    before = kept.newest(system.system, source.name, store, "replay")
    base = _base(workspace, system, source, store)
    if base is None:
        words = f"{system.system}/{source.name}: store {store} has no backup of the cluster yet, so no WAL is replayed"
        proof = _proof(system, source, store, now(), concerns=(Concern(Severity.NOTE, "replay base", words),))
        kept.keep(proof)
        return proof
    stanza = open_reading(workspace, system, source, store)

    def begin() -> ReplayProof:
        return ReplayProof.start(
            stanza.configuration, directory, repository=stanza.number(store), now=now(),
            major=major_of(base.manifest.server_version), superuser=workspace.cluster(source).user,
            segment_bytes=stanza.segment_bytes, marker=marker_of(workspace, stanza, store, by),
        )

    running = _runs(directory)
    try:
        replay = begin()
        report = _settle(replay, patience, stop, now)
        if _is_stuck(replay, report, now()):
            ScratchServer.end(directory)
            running = False
            replay = begin()
            report = _settle(replay, patience, stop, now)
    except (BackupNotFound, BackupCorrupt, SourceError) as error:
        concern = Concern(Severity.CRITICAL, "replay standby", f"{system.system}/{source.name}: {error}")
        proof = _proof(system, source, store, now(), before=before, concerns=(concern,))
    else:
        proof = _proof_of(report, system, source, store, before if running else None)
    kept.keep(proof)
    return proof


def check_wal(
    workspace: Workspace,
    system: ProtectedSystem,
    source: PostgresSource,
    store: str,
    *,
    stop: threading.Event | None = None,
    now: Callable[[], datetime] = _now,
) -> ArchiveProof:
    """Whether WAL reaches every repository now, and a store's archive has no hole; kept in the primary store.

    :raises SourceUnavailable, StoreUnavailable: when it cannot be told.
    """
    stanza = open_stanza(workspace, system, source, needed=store)
    window = source.wal.keep if source.wal else timedelta()
    concerns = list(_pushed(workspace, stanza, stop))
    try:
        report = check_archive(
            stanza.tool, stanza.number(store), since=now() - window, segment_bytes=stanza.segment_bytes,
            open_newest=_OPENED, opened=Opened.of(stanza.configuration.folders.root, stanza.number(store)),
        )
        concerns += [
            Concern(Severity.CRITICAL, f"wal {finding.trouble}", finding.sentence) for finding in report.findings
        ]
    except BackupNotFound as error:
        concerns.append(Concern(Severity.CRITICAL, "wal archive", str(error)))
    proof = _proof(system, source, store, now(), by="check", concerns=gravest_first(concerns))
    ArchiveProofs(workspace.store(PRIMARY), workspace.deleter(PRIMARY)).keep(proof)
    return proof


def _pushed(workspace: Workspace, stanza: Stanza, stop: threading.Event | None) -> list[Concern]:
    """What keeps a segment that is closed now from reaching every repository."""
    tool, source, where = stanza.tool, stanza.source, f"{stanza.system.system}/{stanza.source.name}"
    try:
        tool.run(commands.check(tool.call), "the check of archiving", stop=stop)
        troubles = list(of_info(tool.info()))
    except Unavailable:
        raise
    except LifeboatError as error:
        troubles = [str(error)]
    if not troubles:
        return []
    if source.wal is not None:
        queue = physical_of_policy(stanza.system, source).queue_max
        verdict = judge_archiver(
            ask_archiver(workspace.cluster(source)), allowance=source.wal.push_allowance, queue_max=queue
        )
        if verdict.concerns:
            # By the names that the watch of the primary gives them: one cause is one alarm.
            return [Concern(each.severity, each.cause, f"{where}: {each.sentence}") for each in verdict.concerns]
    return [Concern(Severity.CRITICAL, "wal push", f"{where}: {'; '.join(troubles)}")]


def _settle(
    replay: ReplayProof, patience: float, stop: threading.Event | None, now: Callable[[], datetime]
) -> ReplayReport:
    """What it has come to, after it was given the time to replay what waits."""
    end, still, position = time.monotonic() + patience, time.monotonic() + _STILL, None
    waiting = stop or threading.Event()
    while time.monotonic() < min(end, still) and not waiting.wait(0.5):
        state = replay.state(now())
        if not state.running or state.paused:
            break
        if state.position != position:
            position, still = state.position, time.monotonic() + _STILL
    return replay.ask(now(), allowance=ALLOWANCE)


def _is_stuck(replay: ReplayProof, report: ReplayReport, now: datetime) -> bool:
    """Whether it will never get on by itself, and beginning anew helps."""
    causes = {concern.cause for concern in report.concerns}
    if "replay paused" in causes:
        return True
    if not any(cause.startswith("wal ") or cause == "replay timeline" for cause in causes):
        return False
    return replay.newer_backup(now) is not None


def _proof_of(
    report: ReplayReport, system: ProtectedSystem, source: PostgresSource, store: str, before: ArchiveProof | None
) -> ArchiveProof:
    """What a look has shown.

    :param before: the look before this one, at the same standby.
    """
    caught_up = before.caught_up_at if before else None
    concerns = report.concerns
    if caught_up is None and report.waiting:
        # It began with a backup of hours ago, and has the log since then to replay.
        concerns = tuple(
            Concern(Severity.NOTE, each.cause, each.sentence) if each.cause == _LAG else each for each in concerns
        )
    elif caught_up is None and report.lsn is not None:
        caught_up = report.at
    return ArchiveProof(
        system=system.system, source=source.name, store=store, by="replay", at=report.at,
        recoverable_at=report.replayed_at, lsn=report.lsn, waiting=report.waiting,
        since=before.since if before else report.at, caught_up_at=caught_up, proven_from=report.proven_from,
        found=found(concerns),
    )  # fmt: skip


def _proof(
    system: ProtectedSystem,
    source: PostgresSource,
    store: str,
    at: datetime,
    *,
    concerns: tuple[Concern, ...],
    by: str = "replay",
    before: ArchiveProof | None = None,
) -> ArchiveProof:
    values = {
        "system": system.system, "source": source.name, "store": store, "by": by, "at": at, "found": found(concerns),
        "recoverable_at": before.recoverable_at if before else None,
        "caught_up_at": before.caught_up_at if before else None,
    }  # fmt: skip
    return ArchiveProof.model_validate(values)


def _base(workspace: Workspace, system: ProtectedSystem, source: PostgresSource, store: str) -> Backup | None:
    """The newest backup of the cluster that a store's catalog has."""
    return max(
        workspace.catalog(store).backups(system.system, source.name, KIND),
        key=lambda backup: backup.manifest.snapshot_at, default=None,
    )


def _runs(directory: Path) -> bool:
    try:
        ScratchServer.attach(directory)
    except LifeboatError:
        return False
    return True
