"""From a wish to a backup of the cluster and its log: looked for in one repository after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from include.recovery.catalog.model import Backup
from include.recovery.catalog.points import PointKey, RecoveryPoint, RecoveryPoints
from include.recovery.errors import BackupNotFound, LifeboatError, PolicyError, StoreUnavailable, Unavailable
from include.recovery.evidence.words import moment
from include.recovery.pgbackrest.choose import Choice as Reached
from include.recovery.pgbackrest.concern import Held, held
from include.recovery.pgbackrest.info import StanzaInfo
from include.recovery.pgbackrest.segments import position_of
from include.recovery.pgbackrest.stanza import open_reading
from include.recovery.pgbackrest.take_in import rows_of
from include.recovery.runbook.aim import Aim, aim
from include.recovery.runbook.assess import why_unusable
from include.recovery.runbook.methods.port import Wanted
from include.recovery.runbook.physical_plan import KnownMoment, PhysicalRecovery, physical_recovery
from include.recovery.runbook.plan import Method
from include.recovery.runbook.planning import Choice
from include.recovery.runbook.target import TargetFacts

_LOOKED_AT = 5
"""So many recovery points are opened to find one that can be read."""


@dataclass(frozen=True)
class Chosen:
    """A backup of the cluster, and the recovery from it.

    :param passed_over: repositories and newer backups that are not used, each with its reason.
    """

    source: str
    backup: Backup
    store: str
    recovery: PhysicalRecovery
    passed_over: tuple[str, ...]

    def choice(self, facts: TargetFacts, method: Method) -> Choice:
        """For the plan.

        :param facts: of what will be overwritten.
        """
        return Choice(
            self.source, self.backup, facts, (), self.store, self.passed_over, method=method, recovery=self.recovery
        )


def choose_physical(wanted: Wanted, stores: Sequence[str] = ()) -> Chosen:
    """The newest backup from which recovery reaches what was asked for, in the first store that has one.

    :param stores: look only there; empty means every store that has a repository of the source.
    :raises BackupNotFound: when the target is malformed, before the first backup, after the last WAL or in a gap; or
        when a repository cannot be used; with what each store's repository said.
    :raises StoreUnavailable: when a store did not answer, and no other one could serve.
    """
    failures: dict[str, LifeboatError] = {}
    for store in stores or wanted.system.repository_stores(wanted.source):
        try:
            found = _in_store(wanted, store)
        except PolicyError:
            raise
        except LifeboatError as error:  # a store that is gone, or whose key or index is, keeps no other from serving
            failures[store] = error
            wanted.tell(f"store {store} cannot serve: {error}")
            continue
        passed_over = tuple(f"store {name}: {error}" for name, error in failures.items())
        return replace(found, passed_over=(*passed_over, *found.passed_over))
    if not failures:
        raise BackupNotFound(
            f"{wanted.system.system}/{wanted.source.name} has no tier of method full, differential or incremental, so "
            "its cluster is in no repository"
        )
    told = dict.fromkeys(str(error) for error in failures.values())
    sentence = next(iter(told)) if len(told) == 1 else "; ".join(f"store {name}: {e}" for name, e in failures.items())
    down = next((error for error in failures.values() if isinstance(error, Unavailable)), None)
    if down is not None:
        raise StoreUnavailable(sentence) from down
    raise BackupNotFound(sentence) from next(iter(failures.values()))


def _in_store(wanted: Wanted, store: str) -> Chosen:
    system, source, workspace = wanted.system, wanted.source, wanted.workspace
    points = RecoveryPoints(workspace.store(store))
    aimed = aim(points, system.system, source.name, wanted.wish, zone=system.time_zone, now=wanted.now())
    stanza = open_reading(workspace, system, source, store)
    there = held(stanza, stanza.number(store))
    rows = {
        row.manifest.physical.label: row
        for row in rows_of(workspace.catalog(store), stanza)
        if row.manifest.physical is not None
    }
    usable, left_out = without_unfit(there.info, there.number, rows, wanted.now())
    reached = replace(there, info=usable).choose(aimed.target)
    _refuse_another_cluster(there, reached, aimed, stanza.configuration.stanza)
    backup = rows[reached.backup.label]
    known = _known(points, wanted, aimed, there, reached)
    recovery = physical_recovery(aimed, reached, there.archive, there.lineage, known=known, now=wanted.now())
    zone = system.time_zone
    wanted.tell(
        f"{system.system}/{source.name}: {recovery.words}, kept until {moment(recovery.kept_until, zone)}, from backup "
        f"{backup.manifest.id} in store {store}; the log reaches {moment(recovery.archived_until, zone)}"
    )
    newer = tuple(line for label, line in left_out.items() if label > reached.backup.label)
    return Chosen(source.name, backup, store, recovery, (*newer, *reached.skipped))


def without_unfit(
    info: StanzaInfo, number: int, rows: dict[str, Backup], now: datetime
) -> tuple[StanzaInfo, dict[str, str]]:
    """What a repository has, without the backups that the catalog knows to be damaged or does not know at all.

    :param rows: the catalog's, by label.
    :return: and the reason for each one left out, by label.
    """
    why: dict[str, str] = {}
    for backup in info.in_repository(number):
        row = rows.get(backup.label)
        reason = "the catalog does not know it; the next backup takes it in" if row is None else why_unusable(row, now)
        if reason:
            why[backup.label] = f"{backup.label if row is None else row.manifest.id}: {reason}"
    # One that nobody has entered yet may still be sound, and what stands on it as well.
    for label in [each for each in why if each in rows]:
        for dependant in info.dependants(label, number):
            why.setdefault(dependant, f"{dependant}: it stands on {label}, which is unfit")
    kept = tuple(each for each in info.backups if each.repository != number or each.label not in why)
    return replace(info, backups=kept), why


def _refuse_another_cluster(there: Held, reached: Reached, aimed: Aim, stanza: str) -> None:
    if aimed.point is None:
        return
    system = there.info.system_identifier(reached.backup.database_id, there.number)
    if system != aimed.point.system_identifier:
        raise BackupNotFound(
            f"recovery point {aimed.point.name} was made in cluster {aimed.point.system_identifier}, and stanza "
            f"{stanza}, repository {there.number} holds cluster {system}; choose another point"
        )


def _known(points: RecoveryPoints, wanted: Wanted, aimed: Aim, there: Held, reached: Reached) -> KnownMoment | None:
    """The newest recovery point that the recovery certainly reaches."""
    if aimed.point is not None:
        return _moment_of(aimed.point)
    target, last = aimed.target, reached.reach.last
    end = 0 if last is None else (last.number + 1) * there.archive.segment_bytes
    if target.lsn is not None:
        end = min(end, position_of(target.lsn))
    latest = target.at or wanted.now()
    entries = [e for e in points.listed(wanted.system.system, wanted.source.name) if e.at <= latest]
    return _first(points, entries[:_LOOKED_AT], end)


def _first(points: RecoveryPoints, entries: Sequence[PointKey], end: int) -> KnownMoment | None:
    for entry in entries:
        try:
            point = points.read(entry)
        except LifeboatError:
            continue  # A point that cannot be read is nothing to rely on; the plan does without it.
        if position_of(point.lsn) <= end:
            return _moment_of(point)
    return None


def _moment_of(point: RecoveryPoint) -> KnownMoment:
    heartbeat = None if point.heartbeat is None else point.heartbeat.at
    return KnownMoment(name=point.name, kind=point.kind, at=point.at, heartbeat_at=heartbeat)
