"""Backups that never started, or never ended: each tier against its own rhythm, judged from the catalog alone.

A run that fails says so itself. One that never began says nothing: a paused DAG, a scheduler that stood still, a policy
that was broken over night.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.recovery.concerns import Concern, Severity
from include.recovery.evidence.words import moment
from include.recovery.policy.cron import last_due
from include.recovery.policy.durations import print_duration
from include.recovery.policy.models import PRIMARY, Tier
from include.recovery.watchdog.look import Subject

_CLOCKS = timedelta(minutes=1)
"""By how much the clocks of scheduler and worker may differ."""


@dataclass(frozen=True)
class Late:
    """A backup that is not there.

    :param due: when it had to start.
    :param again: whether the one before it is missing too.
    """

    due: datetime
    again: bool


def late(
    cron: str, time_zone: str, grace: timedelta, begun: Collection[datetime], *, known_since: datetime, now: datetime
) -> Late | None:
    """The last run of a schedule that should have left a backup by now and has not; None when all is well.

    :param grace: how long after its start a backup may take.
    :param begun: when the backups that are there were begun.
    :param known_since: what was due before is not asked for.
    """
    due = last_due(cron, time_zone, now - grace)
    if due <= known_since:
        return None
    newest = max(begun, default=None)
    if newest is not None and newest >= due - _CLOCKS:
        return None
    before = last_due(cron, time_zone, due - timedelta(seconds=1))
    return Late(due, again=before > known_since and (newest is None or newest < before - _CLOCKS))


def known_as(tier: Tier, time_zone: str) -> str:
    """How the watchdog remembers a schedule: changed, it is another one."""
    return f"tier {tier.name} {tier.cron} {time_zone}"


def late_backups(subject: Subject) -> Iterator[Concern]:
    """Each tier of a source, in each store that it is taken to."""
    system, source = subject.system, subject.source
    for tier in system.tiers_of(source):
        # Copies of a dump are made by replication, which fails loudly; pgBackRest takes one to each store by itself.
        for store in tier.stores if tier.is_physical else (PRIMARY,):
            begun = [
                backup.manifest.started_at for backup in subject.backups(store) if backup.manifest.tier == tier.name
            ]
            if tier.only_when_changed and (seen := subject.look.look_at(system.system, source.name, tier.name)):
                begun.append(seen.at)
            missing = late(
                tier.cron, system.time_zone, tier.grace, begun, now=subject.now,
                known_since=min([subject.known_since(known_as(tier, system.time_zone)), *begun]),
            )
            if missing is None:
                continue
            newest = f"the newest began {moment(max(begun), system.time_zone)}" if begun else "there is none yet"
            earlier = ", and not the one before it either" if missing.again else ""
            yield Concern(
                Severity.CRITICAL if missing.again else Severity.WARNING,
                f"backup {tier.name} in {store}",
                f"{subject.name}: the backup of tier {tier.name} that was due {moment(missing.due, system.time_zone)} "
                f"is not in store {store}{earlier} ({newest}), {print_duration(tier.grace)} are allowed; see why "
                f"backup__{system.system}__{tier.name} did not start or end, and trigger it",
            )
