"""What the policy of a physically protected source must agree on: bases, increments, WAL, repositories, drills."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from include.recovery.policy.cron import widest_gap
from include.recovery.policy.durations import print_duration
from include.recovery.policy.models import (
    ContentSource,
    Drill,
    Platform,
    ProtectedSystem,
    S3StoreDefinition,
    Source,
    Tier,
)
from include.recovery.policy.yaml_source import Broken, Path

NEED_A_CLUSTER = ("point_in_time", "whole_cluster")
"""The scenarios that recover from a backup of the cluster and its log."""
_LONGEST_BETWEEN_FULLS = timedelta(days=7)


def physical_tiers_have_a_cluster(system: ProtectedSystem) -> Iterator[Broken]:
    """Only a source that says how its cluster is reached can be backed up by pgBackRest."""
    for number, tier in enumerate(system.tiers):
        for source in _sources(system, tier) if tier.is_physical else ():
            if source.physical is None:
                yield (
                    ("tiers", number, "method"),
                    f"found {tier.method!r}, but source {source.name!r} has no 'physical' block; add it to the source, "
                    "or use method 'logical'",
                )


def physical_and_wal_go_together(system: ProtectedSystem) -> Iterator[Broken]:
    """WAL needs a base to roll forward, and a base is consistent only with the WAL of the time it took."""
    for number, source in enumerate(system.sources):
        if source.wal is not None and source.physical is None:
            yield (
                ("sources", number, "wal"),
                f"source {source.name!r} archives WAL without a 'physical' block; WAL rolls only a physical base "
                "forward, never a pg_dump, so add the block, or leave 'wal' out",
            )
        if source.physical is not None and source.wal is None:
            yield (
                ("sources", number, "physical"),
                f"source {source.name!r} has no 'wal' block; a physical backup is consistent only with the WAL that "
                "was written while it was taken, so add the block, or leave 'physical' out",
            )


def wal_has_a_base(system: ProtectedSystem) -> Iterator[Broken]:
    """A source with WAL has a full physical backup at least weekly."""
    for number, source in enumerate(system.sources):
        if source.wal is None:
            continue
        fulls = _fulls(system, source)
        gap = widest_gap([tier.cron for tier in fulls]) if fulls else None
        if gap is not None and gap <= _LONGEST_BETWEEN_FULLS:
            continue
        names = " and ".join(f"{tier.name!r} ({tier.cron})" for tier in fulls)
        apart = "less than twice in eight years" if gap is None else f"up to {print_duration(gap)} apart"
        runs = f"found {names}, which run{'s' if len(fulls) == 1 else ''} {apart}; run it more often"
        needed = f"the WAL of {source.name!r} needs a tier of method 'full' at least every 7d"
        yield ("sources", number, "wal"), f"{needed}; {runs if fulls else 'found none; add one'}"


def increments_have_a_full(system: ProtectedSystem) -> Iterator[Broken]:
    """A differential or incremental backup builds on a full one of the same source in the same repository."""
    for number, tier in enumerate(system.tiers):
        if tier.method not in ("differential", "incremental"):
            continue
        for source in _sources(system, tier):
            with_full = {store for full in _fulls(system, source) for store in full.stores}
            lacking = [store for store in tier.stores if store not in with_full]
            if lacking:
                where = " and ".join(repr(store) for store in lacking)
                yield (
                    ("tiers", number, "stores"),
                    f"found {where}, where no tier of method 'full' takes {source.name!r}; {tier.method} backups build "
                    "on a full one there, so add the store to such a tier, or remove it here",
                )


def the_window_has_a_base(system: ProtectedSystem) -> Iterator[Broken]:
    """Full backups are kept at least as long as the window of point-in-time recovery reaches back."""
    for number, source in enumerate(system.sources):
        fulls = _fulls(system, source)
        if source.wal is None or not fulls:
            continue
        longest = max(fulls, key=lambda tier: tier.keep.reach)
        if longest.keep.reach < source.wal.keep:
            kept, window = print_duration(longest.keep.reach), print_duration(source.wal.keep)
            yield (
                ("sources", number, "wal", "keep"),
                f"found {window}, but full backups of {source.name!r} are kept {kept} at most (tier {longest.name!r}); "
                "keep them as long as their WAL, or shorten the window",
            )


def standbys_are_named(system: ProtectedSystem) -> Iterator[Broken]:
    """Backups are read from a standby only where the policy says which one, and it is another server."""
    for number, source in enumerate(system.sources):
        physical = source.physical
        if physical is None:
            continue
        if physical.backup_from == "standby" and physical.standby is None:
            yield (
                ("sources", number, "physical", "backup_from"),
                "found 'standby', but no standby is named; add its connection as 'standby', or back up from 'primary'",
            )
        if physical.standby == physical.connection:
            yield (
                ("sources", number, "physical", "standby"),
                f"found {physical.standby!r}, which is the connection of the primary; name the standby's own",
            )


def drills_find_what_they_restore(system: ProtectedSystem) -> Iterator[Broken]:
    """A drill asks for something that its sources' tiers make, in a store where they make it."""
    for name, drill in system.drills.items():
        wish = repr(drill.recovery_point)
        for source in _sources(system, drill):
            if isinstance(source, ContentSource):
                continue  # it is restored from its newest backup, whatever its system's databases are restored to
            physical = [tier for tier in system.tiers_of(source) if tier.is_physical]
            logical = [tier for tier in system.tiers_of(source) if not tier.is_physical]
            point: Path = ("drills", name, "recovery_point")
            if drill.is_physical and source.physical is None:
                yield (
                    point,
                    f"found {wish}, but source {source.name!r} has no 'physical' block; add it, or say 'newest'",
                )
            elif drill.recovery_point == "newest point" and source.physical and source.physical.restore_points is None:
                yield (
                    point,
                    f"found {wish}, but source {source.name!r} makes no verifiable points (restore_points is null); "
                    "allowed is 'random second'",
                )
            elif not drill.is_physical and physical and not logical:
                yield (
                    point,
                    f"found {wish}, but no tier of method 'logical' takes {source.name!r}; allowed are 'newest point' "
                    "and 'random second'",
                )
            elif drill.is_physical and drill.store not in (based := _stores_with_full(system, source)):
                yield (
                    ("drills", name, "store"),
                    f"found {drill.store!r}, where no tier of method 'full' takes {source.name!r}; known are "
                    f"{', '.join(based) or 'none'}",
                )


def recoveries_have_a_cluster(system: ProtectedSystem) -> Iterator[Broken]:
    """The log is rolled forward from a backup of the cluster: point_in_time and whole_cluster need such a source."""
    for name in system.scenarios:
        if name in NEED_A_CLUSTER and not any(source.physical for source in system.sources):
            yield (
                ("scenarios", name),
                "no source has a 'physical' block, so there is no log to recover with; add the block to a source, or "
                "leave this scenario out",
            )


PHYSICAL_RULES: tuple[Callable[[ProtectedSystem], Iterator[Broken]], ...] = (
    physical_tiers_have_a_cluster,
    physical_and_wal_go_together,
    wal_has_a_base,
    increments_have_a_full,
    the_window_has_a_base,
    standbys_are_named,
    drills_find_what_they_restore,
    recoveries_have_a_cluster,
)


def repositories_missing(system: ProtectedSystem, platform: Platform) -> Iterator[Broken]:
    """Physical tiers whose stores lock every object: pgBackRest could not expire what it keeps there."""
    for number, tier in enumerate(system.tiers):
        for name in tier.stores if tier.is_physical else ():
            store = platform.stores.get(name)
            if store is None or not store.locked or getattr(store, "repository", None) is not None:
                continue
            advice = (
                "give it a 'repository' of its own in platform.yaml"
                if isinstance(store, S3StoreDefinition)
                else "choose a store without"
            )
            yield (
                ("tiers", number, "stores"),
                f"found {name!r}, which has object lock; pgBackRest must be able to expire its backups, so {advice}",
            )


def repositories_shared(platform: Platform) -> Iterator[Broken]:
    """Repositories of two stores in one bucket: one disaster, or one expiry, would take both."""
    seen: dict[tuple[str, str], str] = {}
    for name, store in platform.stores.items():
        if not isinstance(store, S3StoreDefinition) or store.repository is None:
            continue
        place = (store.repository.bucket, store.region)
        if place in seen:
            yield (
                ("stores", name, "repository", "bucket"),
                f"found {place[0]!r}, which is the repository of store {seen[place]!r} too; each needs a bucket of its "
                "own",
            )
        seen.setdefault(place, name)


def clusters_shared(systems: Mapping[str, ProtectedSystem]) -> Iterator[tuple[str, Broken]]:
    """Clusters that two sources protect, and stanzas of one name; with the system that says it second.

    A server pushes its WAL to one stanza only, and two clusters under one name would overwrite each other.
    """
    clusters: dict[str, str] = {}
    stanzas: dict[str, str] = {}
    for name, system in systems.items():
        for number, source in enumerate(system.sources):
            if source.physical is None:
                continue
            stanza, cluster = system.stanza(source), source.physical.connection
            here = f"source {source.name!r} of {name!r}"
            if cluster in clusters:
                yield (
                    name,
                    (
                        ("sources", number, "physical", "connection"),
                        f"found {cluster!r}, which is the cluster of {clusters[cluster]} too; one source protects a "
                        "whole cluster, so leave 'physical' out of the other",
                    ),
                )
            if stanza in stanzas:
                yield (
                    name,
                    (
                        ("sources", number, "name"),
                        f"found {source.name!r}, whose stanza {stanza!r} is that of {stanzas[stanza]} too; rename one",
                    ),
                )
            clusters.setdefault(cluster, here)
            stanzas.setdefault(stanza, here)


def _sources(system: ProtectedSystem, asking: Tier | Drill) -> list[Source]:
    """The sources that a tier or a drill names, as far as they exist: another rule tells of the others."""
    return [source for source in system.sources if source.name in asking.sources]


def _fulls(system: ProtectedSystem, source: Source) -> list[Tier]:
    return [tier for tier in system.tiers_of(source) if tier.method == "full"]


def _stores_with_full(system: ProtectedSystem, source: Source) -> list[str]:
    return list(dict.fromkeys(store for tier in _fulls(system, source) for store in tier.stores))
