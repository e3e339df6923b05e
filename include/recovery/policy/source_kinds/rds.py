"""A database on Amazon RDS, protected by snapshots that the service itself keeps in two regions."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from include.recovery.policy.base import Duration, Line, PolicyModel, Slug, Word, at_least
from include.recovery.policy.content_models import OtherSource

_INSTANCE = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
_TAG = r"^[A-Za-z0-9 +\-=._:/@]+$"


class RdsRegion(PolicyModel):
    """A region of RDS: how it is reached, and where a drill's scratch instance runs in it."""

    region: Annotated[Slug, Field(description="Name of the region.", examples=["us-east-1"])]
    connection: Annotated[
        Word,
        Field(
            description="Connection with access key and secret key (both empty: the machine's own role), and in its "
            "extra, where needed, endpoint_url, region_name, verify.",
            examples=["ksrce_lab_rds"],
        ),
    ]
    instance_class: Annotated[
        Line | None,
        Field(
            description="Instance class of a drill's scratch instance; left out, that of the snapshot.",
            examples=["db.t4g.medium"],
        ),
    ] = None
    subnet_group: Annotated[
        Line | None,
        Field(
            description="DB subnet group of a drill's scratch instance; left out, the default network.",
            examples=["drills"],
        ),
    ] = None
    security_groups: Annotated[
        tuple[Line, ...],
        Field(
            description="VPC security groups of a drill's scratch instance; they let the worker in and nobody else.",
            examples=[["sg-0a1b2c3d"]],
        ),
    ] = ()


class RdsSecondRegion(RdsRegion):
    """The region that every snapshot is copied to."""

    store: Annotated[
        Slug,
        Field(
            description="The store whose catalog lists the copies of this region, so that they are found, drilled and "
            "expired when the first region is gone.",
            examples=["offsite"],
        ),
    ]
    kms_key: Annotated[
        Line | None,
        Field(
            description="KMS key of this region (id, ARN or alias) that encrypts the copies; an encrypted snapshot "
            "cannot be copied without one.",
            examples=["alias/lifeboat-rds"],
        ),
    ] = None


class RdsSource(OtherSource):
    """A database instance of Amazon RDS, by snapshots. Aurora clusters are refused."""

    kind: Annotated[
        Literal["rds"],
        Field(description="What the source is; decides how it is backed up.", examples=["rds"]),
    ]
    instance: Annotated[
        str,
        StringConstraints(pattern=_INSTANCE, max_length=63),
        Field(description="Identifier of the database instance.", examples=["ksrce-lab"]),
    ]
    portable: Annotated[
        Slug,
        Field(
            description="The PostgreSQL source of this system that backs the same database up by pg_dump: a snapshot "
            "can be restored at Amazon alone. Its validation queries are put to restored instances.",
            examples=["main-db"],
        ),
    ]
    home: Annotated[
        RdsRegion,
        Field(
            description="The region of the instance, where snapshots are made.",
            examples=[{"region": "us-east-1", "connection": "ksrce_lab_rds"}],
        ),
    ]
    second: Annotated[
        RdsSecondRegion,
        Field(
            description="The region that every snapshot is copied to.",
            examples=[
                {
                    "region": "us-west-2",
                    "connection": "ksrce_lab_rds_west",
                    "store": "offsite",
                    "kms_key": "alias/lifeboat-rds",
                }
            ],
        ),
    ]
    patience: Annotated[
        Duration,
        at_least(timedelta(minutes=1)),
        Field(
            description="How long making a snapshot, copying it, or restoring it may each take before it counts as "
            "stuck.",
            examples=["4h"],
        ),
    ] = timedelta(hours=4)
    tags: Annotated[
        dict[
            Annotated[str, StringConstraints(pattern=_TAG, max_length=128)],
            Annotated[str, StringConstraints(pattern=_TAG, max_length=256)],
        ],
        Field(
            default_factory=dict,
            max_length=40,
            description="Tags that snapshots and scratch instances carry besides Lifeboat's own, such as for billing.",
            examples=[{"cost-center": "lab"}],
        ),
    ]

    def region_of(self, store: str) -> RdsRegion:
        """Where the snapshots are that the catalog of a store lists."""
        return self.second if store == self.second.store else self.home
