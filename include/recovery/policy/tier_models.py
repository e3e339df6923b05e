"""Tiers, which say what is backed up when and kept how long, and the drills that restore it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt

from include.recovery.policy.base import Cron, Duration, Line, PolicyModel, Slug

PRIMARY = "primary"
"""The store that logical backups are written to."""
LOGICAL_POINTS = ("newest", "newest identical")
"""What a drill may restore of the logical backups."""
NEWEST_POINT, RANDOM_SECOND = "newest point", "random second"
PHYSICAL_POINTS = (NEWEST_POINT, RANDOM_SECOND)
"""What a drill may restore of a cluster, by base backup and WAL."""


class Keep(PolicyModel):
    """Which backups of a tier are kept; what any line wants is kept, and the newest good backup always is.

    The running day, week, month or year does not count against the numbers.
    """

    newest: Annotated[
        StrictInt, Field(ge=1, le=1000, description="The newest so many backups, whatever their age.", examples=[7])
    ] = 1
    every: Annotated[
        Duration | None, Field(description="Every backup that is younger than this.", examples=["30d"])
    ] = None
    days: Annotated[
        StrictInt,
        Field(ge=0, le=3660, description="The newest backup of each of so many days.", examples=[14]),
    ] = 0
    weeks: Annotated[
        StrictInt,
        Field(ge=0, le=530, description="The newest backup of each of so many weeks.", examples=[13]),
    ] = 0
    months: Annotated[
        StrictInt,
        Field(ge=0, le=120, description="The newest backup of each of so many months.", examples=[12]),
    ] = 0
    years: Annotated[
        StrictInt, Field(ge=0, le=10, description="The newest backup of each of so many years.", examples=[7])
    ] = 0

    @property
    def reach(self) -> timedelta:
        """How far back the kept backups reach at least; counted by the shortest month and year."""
        return max(
            self.every or timedelta(),
            timedelta(days=self.days),
            timedelta(weeks=self.weeks),
            timedelta(days=self.months * 365 // 12),
            timedelta(days=self.years * 365),
        )


class Tier(PolicyModel):
    """A kind of backup with its schedule, retention and stores."""

    name: Annotated[
        Slug,
        Field(description="Name of the tier, unique in the system; part of the DAG's id.", examples=["weekly-full"]),
    ]
    method: Annotated[
        Literal["logical", "full", "differential", "incremental"],
        Field(
            description="How it is taken: 'logical' is what the source's kind does, such as pg_dump of a database, an "
            "archive of files, a bundle of a repository; the others are pgBackRest's of the whole cluster: everything "
            "('full'), what changed since the last full ('differential'), or since the last backup of any kind "
            "('incremental').",
            examples=["full"],
        ),
    ]
    cron: Annotated[
        Cron, Field(description="When it starts, five cron fields in the system's time zone.", examples=["0 2 * * 0"])
    ]
    sources: Annotated[
        tuple[Slug, ...],
        Field(min_length=1, description="Names of the sources it backs up, in parallel.", examples=[["main-db"]]),
    ]
    keep: Annotated[Keep, Field(description="Which of its backups are kept.", examples=[{"weeks": 4}])]
    stores: Annotated[
        tuple[Slug, ...],
        Field(
            min_length=1,
            description="Stores that hold its backups. Logical ones are written to 'primary', which comes first, and "
            "copied to the others; of the physical methods one is taken into the repository of each.",
            examples=[["primary", "offsite"]],
        ),
    ]
    grace: Annotated[
        Duration,
        Field(description="How long after its start a backup may take before it counts as late.", examples=["30m"]),
    ]
    only_when_changed: Annotated[
        StrictBool,
        Field(
            description="Look at the source each time, and back it up only when it is not what its newest backup "
            "holds. Not for PostgreSQL.",
            examples=[True],
        ),
    ] = False
    note: Annotated[
        Line | None, Field(description="Why the tier is as it is.", examples=["Sundays 02:00, kept 4 weeks"])
    ] = None

    @property
    def is_physical(self) -> bool:
        """Whether pgBackRest takes it, of the whole cluster."""
        return self.method != "logical"


class Drill(PolicyModel):
    """A recovery that is rehearsed on a schedule: restored on a scratch server, compared row by row, measured."""

    cron: Annotated[
        Cron, Field(description="When it starts, five cron fields in the system's time zone.", examples=["0 5 * * 0"])
    ]
    sources: Annotated[
        tuple[Slug, ...],
        Field(min_length=1, description="Names of the sources it restores.", examples=[["main-db"]]),
    ]
    recovery_point: Annotated[
        Line,
        Field(
            description="What: of the logical backups 'newest', or 'newest identical' (the newest that a drill has "
            "proven); of the cluster, by base backup and WAL, 'newest point' (the newest verifiable point, compared "
            "row by row) or 'random second' (any second of the window, checked by its heartbeat).",
            examples=["newest", "newest point"],
        ),
    ] = "newest"
    store: Annotated[Slug, Field(description="The store it restores from.", examples=["primary"])] = "primary"
    note: Annotated[
        Line | None,
        Field(description="Why the drill is as it is.", examples=["from the offsite copy, as after a lost region"]),
    ] = None

    @property
    def is_physical(self) -> bool:
        """Whether it restores the whole cluster from pgBackRest's repository."""
        return self.recovery_point in PHYSICAL_POINTS
