"""People: roles, who answers for what, who is told, and when the policy was last read."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from include.recovery.policy.base import Duration, Line, PolicyModel, Word


class Role(PolicyModel):
    """A role and the people who hold it."""

    people: Annotated[
        tuple[Word, ...],
        Field(min_length=1, description="Airflow user names.", examples=[["ada", "grace"]]),
    ]
    responsible_for: Annotated[
        Line, Field(description="What the role answers for.", examples=["overall recovery coordination"])
    ]


class Ownership(PolicyModel):
    """Who answers for a task."""

    primary: Annotated[Word, Field(description="The role that does it.", examples=["database_administrator"])]
    secondary: Annotated[Word, Field(description="The role that stands in.", examples=["devops_engineer"])]


class Contact(PolicyModel):
    """Someone who is told, in the order of the list."""

    name: Annotated[Line, Field(description="Person or group.", examples=["Incident commander"])]
    audience: Annotated[
        Literal["internal", "external"], Field(description="Inside or outside the organisation.", examples=["internal"])
    ] = "internal"
    role: Annotated[Word | None, Field(description="The role they hold, if any.", examples=["incident_commander"])] = (
        None
    )
    email: Annotated[
        Line | None,
        Field(pattern=r"^[^@\s]+@[^@\s]+$", description="E-mail address.", examples=["ic@labdojo.com"]),
    ] = None
    slack: Annotated[Line | None, Field(description="Slack channel or user.", examples=["#labdojo-incidents"])] = None
    phone: Annotated[Line | None, Field(description="For SMS and calls.", examples=["+49 30 5550100"])] = None


class Review(PolicyModel):
    """When people last read the policy, and how often they must."""

    last: Annotated[date, Field(description="Day of the last review.", examples=["2026-11-02"])]
    every: Annotated[Duration, Field(description="Longest time between two reviews.", examples=["365d"])]
