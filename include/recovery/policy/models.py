"""The policy of one protected system. Import every policy model from here, whichever module defines it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, TypeVar

from pydantic import Field, StrictInt

from include.recovery.errors import PolicyError
from include.recovery.policy.base import Line, PolicyModel, Slug, TimeZone, Word
from include.recovery.policy.content_models import ContentSource, OtherSource
from include.recovery.policy.objective_models import Approval, Assumable, Objective, Scenario
from include.recovery.policy.people_models import Contact, Ownership, Review, Role
from include.recovery.policy.physical_models import Compression, PhysicalOptions, RestorePointOptions, WalArchive
from include.recovery.policy.platform_models import (
    FolderStoreDefinition,
    Platform,
    Repository,
    S3StoreDefinition,
    StoreDefinition,
)
from include.recovery.policy.set_models import Reconcile
from include.recovery.policy.source_models import (
    Connections,
    Excluded,
    FingerprintOptions,
    LogicalOptions,
    PostgresSource,
    Source,
    Validation,
)
from include.recovery.policy.tier_models import LOGICAL_POINTS, PHYSICAL_POINTS, PRIMARY, Drill, Keep, Tier

__all__ = [
    "LOGICAL_POINTS",
    "PHYSICAL_POINTS",
    "PRIMARY",
    "Approval",
    "Assumable",
    "Compression",
    "Connections",
    "Contact",
    "ContentSource",
    "Drill",
    "DrillName",
    "Excluded",
    "FingerprintOptions",
    "FolderStoreDefinition",
    "Keep",
    "LogicalOptions",
    "Objective",
    "OtherSource",
    "Ownership",
    "PhysicalOptions",
    "Platform",
    "PostgresSource",
    "ProtectedSystem",
    "Reconcile",
    "Repository",
    "RestorePointOptions",
    "Review",
    "Role",
    "S3StoreDefinition",
    "Scenario",
    "ScenarioName",
    "Source",
    "StoreDefinition",
    "TaskName",
    "Tier",
    "Validation",
    "WalArchive",
]

Item = TypeVar("Item")

ScenarioName = Literal["database_corruption", "table_corruption", "point_in_time", "whole_cluster"]
DrillName = Literal["weekly", "monthly", "quarterly", "annual"]
TaskName = Literal["backup", "verification", "recovery_testing", "disaster_recovery"]


class ProtectedSystem(PolicyModel):
    """The policy of one protected system."""

    system: Annotated[Slug, Field(description="Name of the system; also the name of the file.", examples=["labdojo"])]
    title: Annotated[Line, Field(description="Name for people.", examples=["LabDojo Learning Platform"])]
    time_zone: Annotated[
        TimeZone, Field(description="IANA time zone of all its schedules.", examples=["Europe/Berlin"])
    ]
    priority: Annotated[
        StrictInt, Field(ge=1, le=99, description="Systems with lower numbers are recovered first.", examples=[1])
    ]
    depends_on: Annotated[
        tuple[Slug, ...],
        Field(description="Systems that must be back before this one.", examples=[["aiaas"]]),
    ] = ()
    objectives: Annotated[
        dict[Slug, Objective],
        Field(
            min_length=1, description="Objectives by class of data.", examples=[{"tier-1": {"rpo": "15m", "rto": "1h"}}]
        ),
    ]
    scenarios: Annotated[
        dict[ScenarioName, Scenario],
        Field(
            min_length=1,
            description="The disasters that the runbook handles, with their objectives and approvals.",
            examples=[
                {
                    "database_corruption": {
                        "rto": "2h",
                        "approval": {"role": "incident_commander"},
                        "help": "The database is damaged.",
                    }
                }
            ],
        ),
    ]
    sources: Annotated[
        tuple[Source, ...],
        Field(
            min_length=1,
            description="What is backed up.",
            examples=[
                [
                    {
                        "name": "main-db",
                        "kind": "postgres",
                        "data_class": "tier-1",
                        "database": "labdojo",
                        "connections": {"backup": "labdojo_backup", "restore": "labdojo_restore"},
                    }
                ]
            ],
        ),
    ]
    reconcile: Annotated[
        tuple[Reconcile, ...],
        Field(
            description="Which objects of another source a database names; looked at after each recovery of both.",
            examples=[[{"database": "main-db", "objects": "uploads", "sql": "select object_key from uploads"}]],
        ),
    ] = ()
    tiers: Annotated[
        tuple[Tier, ...],
        Field(
            min_length=1,
            description="The kinds of backup.",
            examples=[
                [
                    {
                        "name": "weekly-full",
                        "method": "logical",
                        "cron": "0 2 * * 0",
                        "sources": ["main-db"],
                        "keep": {"weeks": 4},
                        "stores": ["primary", "offsite"],
                        "grace": "30m",
                    }
                ]
            ],
        ),
    ]
    drills: Annotated[
        dict[DrillName, Drill],
        Field(
            min_length=1,
            description="The rehearsals by how often they run.",
            examples=[{"weekly": {"cron": "0 5 * * 0", "sources": ["main-db"]}}],
        ),
    ]
    owners: Annotated[
        dict[TaskName, Ownership],
        Field(
            min_length=1,
            description="Responsibility matrix: each task's roles.",
            examples=[{"backup": {"primary": "database_administrator", "secondary": "devops_engineer"}}],
        ),
    ]
    roles: Annotated[
        dict[Word, Role],
        Field(
            min_length=1,
            description="The roles and who holds them.",
            examples=[{"incident_commander": {"people": ["ada"], "responsible_for": "overall recovery coordination"}}],
        ),
    ]
    contacts: Annotated[
        tuple[Contact, ...],
        Field(
            min_length=1,
            description="Who is told, in this order.",
            examples=[[{"name": "Incident commander", "email": "ic@labdojo.com"}]],
        ),
    ]
    review: Annotated[
        Review,
        Field(description="Reviews of this policy.", examples=[{"last": "2026-11-02", "every": "365d"}]),
    ]

    def source(self, name: str) -> Source:
        """A source by its name.

        :raises PolicyError: with the known names.
        """
        return self._named("source", name, {source.name: source for source in self.sources})

    def database(self, name: str) -> PostgresSource:
        """A PostgreSQL source by its name.

        :raises PolicyError: with the known names; also when the source is of another kind.
        """
        return self._named("PostgreSQL source", name, {source.name: source for source in self.databases})

    def content_source(self, name: str) -> ContentSource:
        """A source that is backed up item by item, by its name.

        :raises PolicyError: with the known names; also when the source is of another kind.
        """
        known = {source.name: source for source in self.sources if isinstance(source, ContentSource)}
        return self._named("source that is backed up item by item", name, known)

    @property
    def databases(self) -> tuple[PostgresSource, ...]:
        """The PostgreSQL sources."""
        return tuple(source for source in self.sources if isinstance(source, PostgresSource))

    def tier(self, name: str) -> Tier:
        """A tier by its name.

        :raises PolicyError: with the known names.
        """
        return self._named("tier", name, {tier.name: tier for tier in self.tiers})

    def scenario(self, name: str) -> Scenario:
        """A scenario by its name.

        :raises PolicyError: with the known names.
        """
        return self._named("scenario", name, {str(key): scenario for key, scenario in self.scenarios.items()})

    def sources_of(self, tier: Tier | Drill) -> tuple[Source, ...]:
        """The sources that a tier backs up, or that a drill restores."""
        return tuple(self.source(name) for name in tier.sources)

    def tiers_of(self, source: Source) -> tuple[Tier, ...]:
        """The tiers that back a source up."""
        return tuple(tier for tier in self.tiers if source.name in tier.sources)

    @property
    def logical_tiers(self) -> tuple[Tier, ...]:
        """The tiers that ``pg_dump`` takes: those that are written to one store, fingerprinted and copied."""
        return tuple(tier for tier in self.tiers if not tier.is_physical)

    @property
    def logical_drills(self) -> dict[DrillName, Drill]:
        """The drills that restore a logical backup."""
        return {name: drill for name, drill in self.drills.items() if not drill.is_physical}

    def stanza(self, source: Source) -> str:
        """What pgBackRest calls the cluster of a source, in every repository."""
        return f"{self.system}-{source.name}"

    def repository_stores(self, source: Source) -> tuple[str, ...]:
        """The stores whose repositories hold a source's cluster, in the order of pgBackRest's numbers: the first is 1.

        ``primary`` comes first when it is among them, the others by name: so a change of the tiers' order moves none.
        """
        named = {store for tier in self.tiers_of(source) if tier.is_physical for store in tier.stores}
        return tuple(sorted(named, key=lambda store: (store != PRIMARY, store)))

    def people(self, role: str) -> tuple[str, ...]:
        """Who holds a role; nobody, when the policy does not have it."""
        return self.roles[role].people if role in self.roles else ()

    def objective(self, source: Source) -> Objective:
        """What holds for a source, by its data class."""
        return self.objectives[source.data_class]

    def rpo(self, source: Source) -> timedelta:
        """Most data, in time, that may be lost of a source."""
        return self.objective(source).rpo

    def rto(self, scenario: str) -> timedelta:
        """Longest time until the system is back in a scenario.

        :raises PolicyError: with the known scenarios.
        """
        return self.scenario(scenario).rto

    def _named(self, what: str, name: str, known: Mapping[str, Item]) -> Item:
        if name not in known:
            raise PolicyError([f"{self.system}.yaml: there is no {what} {name!r}; known are {', '.join(known)}"])
        return known[name]
