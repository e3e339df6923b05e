"""Snapshots that a managed service keeps: those that are gone, and those that no catalog lists."""

from __future__ import annotations

from collections.abc import Iterator

from include.recovery.concerns import Concern, Severity
from include.recovery.policy.source_kinds.rds import RdsSource
from include.recovery.sources import rds
from include.recovery.watchdog.look import Subject


def snapshots(subject: Subject) -> Iterator[Concern]:
    """What the service has in each region, against the catalog of that region's store."""
    source = subject.source
    if not isinstance(source, RdsSource):
        return
    for store in rds.stores_of(source):
        seen = rds.cross_checked(subject.look.workspace, subject.system, source, store=store, now=subject.now)
        for row in seen.gone:
            yield Concern(
                Severity.CRITICAL, f"snapshot {row.manifest.id} in {store}",
                f"{subject.name}: backup {row.manifest.name} has no snapshot in {seen.region} any more; recover from "
                "another one, and find out who removed it",
            )  # fmt: skip
        for found in seen.unknown:
            yield Concern(
                Severity.WARNING, f"snapshot {found.identifier} in {store}",
                f"{subject.name}: {found.where} ({found.status}) carries Lifeboat's tags and the catalog of store "
                f"{store} does not list it, so retention never removes it; the next backup takes it in, or remove it",
            )  # fmt: skip
