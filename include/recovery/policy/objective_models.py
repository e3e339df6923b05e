"""Objectives: what may be lost and how long a recovery may take, by class of data and by scenario."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StrictInt

from include.recovery.policy.base import Duration, Line, PolicyModel, Word
from include.recovery.policy.durations import print_duration


class Assumable(PolicyModel):
    """Objectives that the system's documents may not give; then the owner has chosen them, and every view says so."""

    assumed: Annotated[
        tuple[Literal["rpo", "rto"], ...],
        Field(
            description="Which of these objectives the documents do not give: the owner's choice, shown as assumed.",
            examples=[["rpo", "rto"]],
        ),
    ] = ()
    note: Annotated[
        Line | None,
        Field(
            description="Where the objectives come from; required when one is assumed.",
            examples=["the document names none; owner's choice"],
        ),
    ] = None


class Objective(Assumable):
    """What holds for one class of data."""

    rpo: Annotated[Duration, Field(description="Most data, in time, that may be lost.", examples=["15m"])]
    rto: Annotated[Duration, Field(description="Longest time until the data is back.", examples=["1h"])]
    keep_at_least: Annotated[
        Duration | None,
        Field(
            description="How far back its backups must reach; some tier of each source must keep that long.",
            examples=["365d"],
        ),
    ] = None
    covers: Annotated[
        tuple[Line, ...],
        Field(description="Which data belongs to the class.", examples=[["user accounts", "learning progress"]]),
    ] = ()

    def in_words(self, which: Literal["rpo", "rto"]) -> str:
        """One objective for people, such as ``24h (assumed)``."""
        return _in_words(self.rpo if which == "rpo" else self.rto, which in self.assumed)


class Approval(PolicyModel):
    """Who says yes before anything is overwritten. Whoever asked for the recovery never counts."""

    role: Annotated[Word, Field(description="The role whose people may approve.", examples=["incident_commander"])]
    people: Annotated[
        StrictInt, Field(ge=1, le=2, description="How many different people must approve.", examples=[1])
    ] = 1
    expires: Annotated[
        Duration,
        Field(
            description="How long the request waits for an answer, and how long an approval holds.", examples=["30m"]
        ),
    ] = timedelta(minutes=30)


class Scenario(Assumable):
    """A kind of disaster that the system's runbook handles."""

    rto: Annotated[
        Duration, Field(description="Longest time until the system is back in this scenario.", examples=["2h"])
    ]
    approval: Annotated[
        Approval, Field(description="Who approves the plan.", examples=[{"role": "incident_commander", "people": 1}])
    ]
    help: Annotated[
        Line,
        Field(
            description="One line for the trigger form: when to choose it.",
            examples=["The whole database is damaged or gone."],
        ),
    ]

    def in_words(self) -> str:
        """The objective for people, such as ``2h`` or ``2h (assumed)``."""
        return _in_words(self.rto, "rto" in self.assumed)


def _in_words(objective: timedelta, assumed: bool) -> str:
    return f"{print_duration(objective)} (assumed)" if assumed else print_duration(objective)
