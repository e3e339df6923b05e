"""The protected servers: the primary's disk, WAL queue and slots, and the hot standby that would take over."""

from __future__ import annotations

from collections.abc import Iterator

from include.recovery.concerns import Concern
from include.recovery.policy.models import PostgresSource
from include.recovery.postgres.standby import Limits, watch
from include.recovery.watchdog.look import Subject


def primary(subject: Subject) -> Iterator[Concern]:
    """Whether archiving, its queue or a slot can fill the primary's disk, and when."""
    if subject.source.physical is None or subject.source.wal is None:
        return
    protection = subject.look.protection(subject.system, subject.source)
    for concern in protection.concerns:
        yield Concern(concern.severity, concern.cause, f"{subject.name}: {concern.sentence}")


def standby(subject: Subject) -> Iterator[Concern]:
    """Whether the hot standby keeps up and would do for a failover."""
    source = subject.source
    if not isinstance(source, PostgresSource) or source.physical is None or source.physical.standby is None:
        return
    workspace = subject.look.workspace
    report = watch(workspace.cluster(source, standby=True), workspace.cluster(source), Limits(), now=subject.now)
    for concern in report.concerns:
        # The primary and its slots are judged above, with what is known of its disk.
        if concern.cause.startswith("standby"):
            yield Concern(concern.severity, concern.cause, f"{subject.name}: {concern.sentence}")
