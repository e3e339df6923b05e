"""Drills that are overdue: judged from the proofs that they leave in the catalog, whatever their runs say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from include.recovery.catalog.model import ProofLevel
from include.recovery.concerns import Concern, Severity
from include.recovery.evidence.words import moment
from include.recovery.policy.models import Drill
from include.recovery.sources import PHYSICAL
from include.recovery.watchdog.late_backups import late
from include.recovery.watchdog.look import Subject

GRACE = timedelta(hours=12)
"""A drill may take so long; one that fails is mended and cleared within it."""


def known_as(name: str, drill: Drill, time_zone: str) -> str:
    """How the watchdog remembers a drill's schedule."""
    return f"drill {name} {drill.cron} {time_zone}"


def drills(subject: Subject) -> Iterator[Concern]:
    """Each drill of a source: was a backup of its kind restored from its store, and found good, since it was due?"""
    system, source = subject.system, subject.source
    for name, drill in system.drills.items():
        if source.name not in drill.sources:
            continue
        kind = PHYSICAL if drill.is_physical else source.kind
        proven = [
            proof.at
            for backup in subject.backups(drill.store) if backup.manifest.kind == kind
            for proof in backup.proofs
            if proof.ok and proof.store == drill.store and proof.level.rank >= ProofLevel.RESTORED.rank
        ]
        overdue = late(
            drill.cron, system.time_zone, GRACE, proven, now=subject.now,
            known_since=subject.known_since(known_as(name, drill, system.time_zone)),
        )
        if overdue is None:
            continue
        last = f"last was {moment(max(proven), system.time_zone)}" if proven else "never was"
        yield Concern(
            Severity.CRITICAL if overdue.again else Severity.WARNING,
            f"drill {name}",
            f"{subject.name}: the {name} drill that was due {moment(overdue.due, system.time_zone)} has not proven a "
            f"recovery from store {drill.store}, which {last}; see why drill__{system.system}__{name} did not run or "
            "is red, and trigger it",
        )
