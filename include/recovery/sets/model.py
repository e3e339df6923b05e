"""A recovery set and its members."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import AwareDatetime, Field

from include.recovery.catalog.model import ProofLevel, Record

How = Literal["backup", "unchanged", "moment"]
"""A backup of its own moment; a backup that the source still held later; or any moment, which versions lead to."""


class Member(Record):
    """The recovery point of one source.

    :param backup: id; of a source whose versions lead to any moment, the backup that lists them last.
    :param at: whose state comes back.
    :param lsn: a position in the source's own log, where it has one.
    :param level: how far the backup was proven when the set was made.
    """

    source: str
    kind: str
    how: How
    backup: str
    store: str
    at: AwareDatetime
    lsn: str | None = None
    level: ProofLevel


class RecoverySet(Record):
    """One recovery point for each source of a system.

    :param at: the moment that they belong to: that of the database, or of the oldest member where there is none.
    :param lacking: sources without any usable backup, each with the reason.
    :param notes: what people should know, such as a member that is much older than the others.
    """

    schema_version: Literal[1] = 1
    system: str
    id: str
    at: AwareDatetime
    made_at: AwareDatetime
    made_by: str
    members: tuple[Member, ...]
    lacking: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def skew(self) -> timedelta:
        """Between its oldest and its youngest member."""
        times = [member.at for member in self.members]
        return max(times) - min(times) if times else timedelta()

    @property
    def whole(self) -> bool:
        """Whether every source of the system has a member."""
        return not self.lacking

    def member(self, source: str) -> Member | None:
        """The recovery point of a source; None when the set has none."""
        return next((member for member in self.members if member.source == source), None)
