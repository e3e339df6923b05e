"""What the fields of a policy must agree on with each other. Each rule yields where it is broken, and a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import chain

from include.recovery.policy.cron import widest_gap
from include.recovery.policy.durations import print_duration
from include.recovery.policy.export_rules import exports_are_kept, exports_are_unique
from include.recovery.policy.models import (
    LOGICAL_POINTS,
    PHYSICAL_POINTS,
    PRIMARY,
    Assumable,
    Platform,
    ProtectedSystem,
)
from include.recovery.policy.physical_rules import (
    PHYSICAL_RULES,
    clusters_shared,
    repositories_missing,
    repositories_shared,
)
from include.recovery.policy.rds_rules import RDS_RULES
from include.recovery.policy.rpo import worst_loss
from include.recovery.policy.yaml_source import Broken, Path

Rule = Callable[[ProtectedSystem], Iterator[Broken]]

_DRILL_PERIODS = {
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=31),
    "quarterly": timedelta(days=92),
    "annual": timedelta(days=366),
}


def names_are_unique(system: ProtectedSystem) -> Iterator[Broken]:
    """Sources, tiers and validations are found by name."""
    lists: list[tuple[Path, list[str]]] = [
        (("sources",), [source.name for source in system.sources]),
        (("tiers",), [tier.name for tier in system.tiers]),
    ]
    for number, source in enumerate(system.sources):
        lists.append((("sources", number, "validation"), [query.name for query in source.validation]))
    for path, names in lists:
        for name, count in Counter(names).items():
            if count > 1:
                yield path, f"the name {name!r} is given {count} times; each must be unique"


def references_exist(system: ProtectedSystem) -> Iterator[Broken]:
    """Every name of a source, data class or role is one that the policy defines."""
    sources = [source.name for source in system.sources]
    for number, source in enumerate(system.sources):
        yield from _known(("sources", number, "data_class"), [source.data_class], "objective", system.objectives)
    for number, tier in enumerate(system.tiers):
        yield from _known(("tiers", number, "sources"), tier.sources, "source", sources)
    for name, drill in system.drills.items():
        yield from _known(("drills", name, "sources"), drill.sources, "source", sources)
    for number, pair in enumerate(system.reconcile):
        databases = [source.name for source in system.databases]
        others = [name for name in sources if name not in databases]
        yield from _known(("reconcile", number, "database"), [pair.database], "PostgreSQL source", databases)
        yield from _known(("reconcile", number, "objects"), [pair.objects], "source of objects", others)
    for scenario_name, scenario in system.scenarios.items():
        yield from _known(
            ("scenarios", scenario_name, "approval", "role"), [scenario.approval.role], "role", system.roles
        )
    for task, owner in system.owners.items():
        yield from _known(("owners", task, "primary"), [owner.primary], "role", system.roles)
        yield from _known(("owners", task, "secondary"), [owner.secondary], "role", system.roles)
    for number, contact in enumerate(system.contacts):
        yield from _known(("contacts", number, "role"), [contact.role] if contact.role else [], "role", system.roles)


def approvals_are_possible(system: ProtectedSystem) -> Iterator[Broken]:
    """A role that must approve with two people has two."""
    for name, scenario in system.scenarios.items():
        approval = scenario.approval
        people = set(system.people(approval.role))
        if approval.role in system.roles and len(people) < approval.people:
            found = f"found {approval.people}, but the role {approval.role!r} has only {', '.join(sorted(people))}"
            yield ("scenarios", name, "approval", "people"), f"{found}; add people to the role, or ask for fewer"


def assumptions_are_explained(system: ProtectedSystem) -> Iterator[Broken]:
    """An objective that the documents do not give says whose choice it is."""
    groups: list[tuple[str, Mapping[str, Assumable]]] = [
        ("objectives", system.objectives),
        ("scenarios", {str(name): scenario for name, scenario in system.scenarios.items()}),
    ]
    for group, items in groups:
        for name, item in items.items():
            if item.assumed and item.note is None:
                yield (
                    (group, name, "note"),
                    f"{' and '.join(item.assumed)} assumed without a note; say whose choice it is and why",
                )


def scenarios_have_no_rpo(system: ProtectedSystem) -> Iterator[Broken]:
    """A scenario has only a recovery time; what may be lost goes by class of data."""
    for name, scenario in system.scenarios.items():
        if "rpo" in scenario.assumed:
            yield ("scenarios", name, "assumed"), "found 'rpo', but a scenario has no rpo; allowed is [rto]"


def tiers_write_to_primary(system: ProtectedSystem) -> Iterator[Broken]:
    """Logical backups are written to the primary store and copied from there."""
    for number, tier in enumerate(system.tiers):
        if not tier.is_physical and tier.stores[0] != PRIMARY:
            yield (
                ("tiers", number, "stores"),
                f"found {tier.stores[0]!r} first; backups are written to {PRIMARY!r}, so it comes first",
            )


def only_content_is_looked_at_first(system: ProtectedSystem) -> Iterator[Broken]:
    """Whether a database has changed cannot be seen without reading all of it."""
    databases = {source.name for source in system.databases}
    for number, tier in enumerate(system.tiers):
        found = [name for name in tier.sources if name in databases]
        if tier.only_when_changed and found:
            yield (
                ("tiers", number, "only_when_changed"),
                f"found true for {', '.join(found)}, of kind postgres; databases are backed up each time, so put them "
                "into a tier of their own",
            )


def something_is_kept(system: ProtectedSystem) -> Iterator[Broken]:
    """Every source has a tier that keeps backups as long as its data class demands."""
    for number, source in enumerate(system.sources):
        objective = system.objectives.get(source.data_class)
        wanted = objective.keep_at_least if objective else None
        tiers = system.tiers_of(source)
        reach = max((tier.keep.reach for tier in tiers), default=timedelta())
        if wanted is not None and tiers and reach < wanted:
            longest = max(tiers, key=lambda tier: tier.keep.reach)
            found = f"found tier {longest.name!r} keeping backups longest, {print_duration(reach)}"
            allowed = f"class {source.data_class!r} allows no less than {print_duration(wanted)}"
            yield ("sources", number, "data_class"), f"{found}; {allowed}, so keep longer or add a tier"


def every_source_is_drilled(system: ProtectedSystem) -> Iterator[Broken]:
    """A backup that is never restored proves nothing."""
    drilled = set(chain.from_iterable(drill.sources for drill in system.drills.values()))
    for number, source in enumerate(system.sources):
        if source.name not in drilled:
            yield ("sources", number, "name"), f"no drill restores {source.name!r}; add it to the sources of a drill"


def drills_run_as_named(system: ProtectedSystem) -> Iterator[Broken]:
    """A weekly drill runs at least weekly, and so on."""
    for name, drill in system.drills.items():
        gap, longest = widest_gap([drill.cron]), _DRILL_PERIODS[name]
        if gap is None or gap > longest:
            runs = "less than twice in eight years" if gap is None else f"up to {print_duration(gap)} apart"
            allowed = f"runs of a {name} drill are at most {print_duration(longest)} apart"
            yield ("drills", name, "cron"), f"found {drill.cron!r}, which runs {runs}; {allowed}"


def drills_name_a_recovery_point(system: ProtectedSystem) -> Iterator[Broken]:
    """What a drill restores is a standing wish, not one backup's id."""
    known = [repr(point) for point in (*LOGICAL_POINTS, *PHYSICAL_POINTS)]
    for name, drill in system.drills.items():
        if drill.recovery_point not in (*LOGICAL_POINTS, *PHYSICAL_POINTS):
            allowed = f"{', '.join(known[:-1])} and {known[-1]}"
            yield ("drills", name, "recovery_point"), f"found {drill.recovery_point!r}; allowed are {allowed}"


def rpo_is_feasible(system: ProtectedSystem) -> Iterator[Broken]:
    """The fastest path of every source meets its objective."""
    for number, source in enumerate(system.sources):
        objective = system.objectives.get(source.data_class)
        if objective is None:
            continue
        loss = worst_loss(system, source)
        if not loss.meets(objective.rpo):
            rpo = print_duration(objective.rpo)
            verdict = (
                "so nothing bounds the loss" if loss.between is None else f"{print_duration(loss.between)} > {rpo}"
            )
            where = f"source {source.name!r} cannot meet the rpo of {rpo} of class {source.data_class!r}"
            advice = "back up more often, archive WAL, or change the objective"
            yield ("sources", number), f"{where}: {loss.arithmetic}; {verdict}; {advice}"


RULES: tuple[Rule, ...] = (
    names_are_unique,
    exports_are_unique,
    exports_are_kept,
    references_exist,
    approvals_are_possible,
    assumptions_are_explained,
    scenarios_have_no_rpo,
    tiers_write_to_primary,
    only_content_is_looked_at_first,
    something_is_kept,
    every_source_is_drilled,
    drills_run_as_named,
    drills_name_a_recovery_point,
    *PHYSICAL_RULES,
    *RDS_RULES,
    rpo_is_feasible,
)


def broken_rules(system: ProtectedSystem) -> list[Broken]:
    """Everything in one policy that does not agree with itself."""
    return [broken for rule in RULES for broken in rule(system)]


def broken_with_platform(system: ProtectedSystem, platform: Platform) -> Iterator[Broken]:
    """Stores that the platform does not define, or that pgBackRest could not keep its repository in."""
    for number, tier in enumerate(system.tiers):
        yield from _known(("tiers", number, "stores"), tier.stores, "store of platform.yaml", platform.stores)
    for name, drill in system.drills.items():
        yield from _known(("drills", name, "store"), [drill.store], "store of platform.yaml", platform.stores)
    yield from repositories_missing(system, platform)


def broken_between(systems: Mapping[str, ProtectedSystem], names: Iterable[str]) -> Iterator[tuple[str, Broken]]:
    """What systems say wrongly about each other, with the system that says it.

    :param systems: the valid ones.
    :param names: every system that has a file, valid or not.
    """
    known = sorted(names)
    for name, system in systems.items():
        for broken in _known(("depends_on",), system.depends_on, "system", known):
            yield name, broken
        cycle = _cycle(name, systems)
        if cycle:
            yield name, (("depends_on",), f"systems wait for each other: {' -> '.join(cycle)}; break the circle")
    yield from clusters_shared(systems)


def platform_rules(platform: Platform) -> Iterator[Broken]:
    """Backups need a primary store that nothing is copied to, and copies need a way there."""
    if PRIMARY not in platform.stores:
        yield ("stores",), f"there is no store {PRIMARY!r}; backups are written there, so define it"
    for name, store in platform.stores.items():
        if name == PRIMARY and store.replication is not None:
            yield (
                ("stores", name, "replication"),
                f"found {store.replication!r}; backups are written to {PRIMARY!r}, so leave it out",
            )
        if name != PRIMARY and store.replication is None:
            yield (
                ("stores", name, "replication"),
                "is missing; allowed are 'copy' (by Lifeboat) and 'native' (by the store itself)",
            )
    yield from repositories_shared(platform)


def _known(path: Path, found: Iterable[str], what: str, known: Iterable[str]) -> Iterator[Broken]:
    names = list(known)
    for name in found:
        if name not in names:
            yield path, f"found {name!r}, which is no {what}; known are {', '.join(names) or 'none'}"


def _cycle(start: str, systems: Mapping[str, ProtectedSystem]) -> list[str]:
    """A circle of dependencies through a system, beginning and ending with it; empty when there is none."""
    trails = [[start]]
    seen: set[str] = set()
    while trails:
        trail = trails.pop()
        for after in systems[trail[-1]].depends_on if trail[-1] in systems else ():
            if after == start:
                return [*trail, start]
            if after not in seen:
                seen.add(after)
                trails.append([*trail, after])
    return []
