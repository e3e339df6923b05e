"""What the policy of a database on RDS must agree on with the rest of its system."""

from __future__ import annotations

from collections.abc import Iterator

from include.recovery.policy.models import LOGICAL_POINTS, PRIMARY, PostgresSource, ProtectedSystem
from include.recovery.policy.source_kinds.rds import RdsSource
from include.recovery.policy.yaml_source import Broken


def snapshots_have_a_portable_copy(system: ProtectedSystem) -> Iterator[Broken]:
    """A snapshot can be restored at Amazon alone, so the same database is also dumped."""
    for number, source in enumerate(system.sources):
        if not isinstance(source, RdsSource):
            continue
        other = next((each for each in system.sources if each.name == source.portable), None)
        path = ("sources", number, "portable")
        dumped = [tier for tier in system.tiers if source.portable in tier.sources and not tier.is_physical]
        if not isinstance(other, PostgresSource):
            known = ", ".join(each.name for each in system.databases) or "none"
            yield path, f"found {source.portable!r}, which is no PostgreSQL source of this system; known are {known}"
        elif not dumped:
            yield path, f"found {source.portable!r}, which no logical tier backs up; add it to the sources of one"


def snapshots_go_to_two_regions(system: ProtectedSystem) -> Iterator[Broken]:
    """Each tier of such a source names the primary store and the one that stands for the second region."""
    for number, source in enumerate(system.sources):
        if not isinstance(source, RdsSource):
            continue
        second = source.second
        if second.region == source.home.region:
            yield (
                ("sources", number, "second", "region"),
                f"found {second.region!r}, where the instance itself is; allowed is another region",
            )
        if second.store == PRIMARY:
            yield (
                ("sources", number, "second", "store"),
                f"found {PRIMARY!r}, whose catalog lists the first region; name the store of the second",
            )
        for place, tier in enumerate(system.tiers):
            if source.name in tier.sources and not tier.is_physical and set(tier.stores) != {PRIMARY, second.store}:
                yield (
                    ("tiers", place, "stores"),
                    f"found {', '.join(tier.stores)} with source {source.name!r}; its snapshots go to "
                    f"{PRIMARY} and {second.store}, so name these two",
                )


def snapshots_are_drilled_as_they_can_be(system: ProtectedSystem) -> Iterator[Broken]:
    """A snapshot is never proven identical, since nobody sees what the database held in its moment."""
    snapshots = {source.name for source in system.sources if isinstance(source, RdsSource)}
    for name, drill in system.drills.items():
        for source in drill.sources:
            if source in snapshots and drill.recovery_point == LOGICAL_POINTS[1]:
                yield (
                    ("drills", name, "recovery_point"),
                    f"found {drill.recovery_point!r} with source {source!r}, whose snapshots can be restored and "
                    "asked, and never compared row by row; allowed is 'newest'",
                )


RDS_RULES = (snapshots_have_a_portable_copy, snapshots_go_to_two_regions, snapshots_are_drilled_as_they_can_be)
