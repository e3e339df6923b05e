"""The hot standby: how far is it behind, would it do for a failover, and if not, why not? Pure, but for ``watch``.

Its lag is measured by positions and by the age of the last commit that it replayed. An idle primary makes that age
grow; the heartbeat, written each minute, keeps it honest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from include.recovery.concerns import Concern, Severity, gravest_first
from include.recovery.errors import LifeboatError
from include.recovery.postgres.replication_state import PrimaryState, StandbyState, ask_primary, ask_standby
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.slots import judge_slots

State = TypeVar("State")
_LAG = "standby lag"


@dataclass(frozen=True)
class Limits:
    """What a standby may lack.

    :param lag_bytes: of WAL that is written and not replayed.
    :param lag: age of the last replayed commit, while there is something to replay.
    """

    lag_bytes: int = 64 * 1024**2
    lag: timedelta = timedelta(minutes=2)


@dataclass(frozen=True)
class StandbyReport:
    """What the watch found.

    :param lag_bytes: written on the primary and not replayed; None when that cannot be told.
    :param lag_seconds: at most so much work is missing in it; 0 when all is replayed, None when that cannot be told.
    :param timeline: the one that it follows; None when it cannot be reached.
    :param why_not: the reasons not to fail over to it now; empty for a candidate.
    """

    at: datetime
    lag_bytes: int | None
    lag_seconds: float | None
    timeline: int | None
    why_not: tuple[str, ...]
    concerns: tuple[Concern, ...] = field(default=())

    @property
    def candidate(self) -> bool:
        """Whether a failover to it is sensible now."""
        return not self.why_not

    @property
    def in_words(self) -> str:
        """One line for people."""
        behind = "nobody knows how far" if self.lag_bytes is None else f"{self.lag_bytes / 1024**2:,.1f} MiB"
        seconds = "" if self.lag_seconds is None else f" and {self.lag_seconds:,.0f} s at most"
        verdict = "a candidate for failover" if self.candidate else f"no candidate: {'; '.join(self.why_not)}"
        return f"{behind}{seconds} behind, timeline {self.timeline or 'unknown'}; {verdict}"


def watch(
    standby: PostgresServer, primary: PostgresServer, limits: Limits | None = None, *, now: datetime
) -> StandbyReport:
    """Ask both servers and judge. One that cannot be reached is a concern, and raises nothing.

    :param now: used where no server tells the time.
    """
    # The standby first: what the primary writes in between makes the lag look longer, never shorter.
    follower, follower_error = _try(lambda: ask_standby(standby))
    leader, leader_error = _try(lambda: ask_primary(primary))
    return judge_standby(
        leader, follower, limits or Limits(), now=now, where=standby.redacted, primary_where=primary.redacted,
        standby_error=follower_error, primary_error=leader_error,
    )


def judge_standby(
    primary: PrimaryState | None,
    standby: StandbyState | None,
    limits: Limits,
    *,
    now: datetime,
    where: str = "standby",
    primary_where: str = "primary",
    standby_error: str = "",
    primary_error: str = "",
) -> StandbyReport:
    """What the two states mean.

    :param primary: None when it cannot be reached: just then a candidate is wanted.
    :param standby: None when it cannot be reached.
    :param where: the standby, for messages.
    :param standby_error: why it could not be asked.
    """
    at = primary.at if primary is not None else now
    concerns: list[Concern] = []
    if primary is None:
        concerns.append(Concern(
            Severity.CRITICAL, "primary", f"the primary cannot be asked ({primary_error or primary_where}); if it is "
            "lost, fail over to a standby that is a candidate",
        ))
    else:
        concerns += judge_slots(primary.slots, where=primary_where, limit=primary.slot_limit)
    if standby is None:
        said = f"the standby cannot be asked ({standby_error or where})"
        concerns.append(Concern(Severity.CRITICAL, "standby", f"{said}; start it, or build it anew"))
        return StandbyReport(at, None, None, None, (said,), gravest_first(concerns))
    found = [*_identity(primary, standby, where), *_replay(primary, standby, where)]
    lag_bytes = _lag_bytes(primary, standby)
    lag_seconds = _lag_seconds(standby, lag_bytes, at)
    found += _lag(lag_bytes, lag_seconds, limits, where)
    why_not = [concern.sentence for concern in found if concern.severity > Severity.NOTE]
    return StandbyReport(
        at, lag_bytes, lag_seconds, standby.timeline, tuple(why_not), gravest_first([*concerns, *found])
    )


def _identity(primary: PrimaryState | None, standby: StandbyState, where: str) -> list[Concern]:
    """Is it a standby, and this primary's?"""
    if primary is not None and standby.system_identifier != primary.system_identifier:
        return [Concern(
            Severity.CRITICAL, "standby identity",
            f"{where}: this server is of system {standby.system_identifier}, and the primary is "
            f"{primary.system_identifier}: it is no copy of it; correct the connection, or build the standby anew",
        )]
    if not standby.in_recovery:
        both = " while the primary runs too, so there are two" if primary is not None else ""
        return [Concern(
            Severity.CRITICAL, "standby identity",
            f"{where}: this server is no standby any more, it takes writes on timeline {standby.timeline}{both}; find "
            "out who promoted it, and rebuild the one that is not wanted",
        )]
    if primary is not None and primary.in_recovery:
        return [Concern(
            Severity.CRITICAL, "primary",
            f"{where}: the server that the policy calls its primary is a standby itself; correct the connections",
        )]
    if primary is not None and standby.timeline != primary.timeline:
        return [Concern(
            Severity.CRITICAL, "standby timeline",
            f"{where}: the standby follows timeline {standby.timeline}, and the primary writes timeline "
            f"{primary.timeline}; point it at the present primary (recovery_target_timeline = latest), or rewind it",
        )]
    return []


def _replay(primary: PrimaryState | None, standby: StandbyState, where: str) -> list[Concern]:
    """Does it receive and replay?"""
    if not standby.in_recovery:
        return []
    found = []
    if standby.paused:
        found.append(Concern(
            Severity.CRITICAL, "standby replay",
            f"{where}: replay is paused; call pg_wal_replay_resume(), and see in its log whether a setting of the "
            "primary was raised beyond its own",
        ))
    if primary is not None and standby.receiver != "streaming":
        found.append(Concern(
            Severity.WARNING, "standby receiver",
            f"{where}: the standby does not stream ({standby.receiver or 'no WAL receiver runs'}); see in its log why "
            "it does not reach the primary",
        ))
    return found


def _lag(
    lag_bytes: int | None, lag_seconds: float | None, limits: Limits, where: str
) -> list[Concern]:
    found = []
    if lag_bytes is not None and lag_bytes > limits.lag_bytes:
        found.append(Concern(
            Severity.WARNING, _LAG,
            f"{where}: {lag_bytes / 1024**2:,.0f} MiB of WAL are not replayed, {limits.lag_bytes / 1024**2:,.0f} MiB "
            "are allowed; see what it waits for",
        ))
    if lag_seconds is not None and lag_seconds > limits.lag.total_seconds():
        found.append(Concern(
            Severity.WARNING, _LAG,
            f"{where}: the last replayed commit is {lag_seconds:,.0f} s old, {limits.lag.total_seconds():,.0f} s are "
            "allowed; see what it waits for",
        ))
    return found


def _lag_bytes(primary: PrimaryState | None, standby: StandbyState) -> int | None:
    if standby.replayed is None:
        return None
    if primary is not None:
        return max(primary.position - standby.replayed, 0)
    # Without the primary only what has come is known.
    return None if standby.received is None else max(standby.received - standby.replayed, 0)


def _lag_seconds(standby: StandbyState, lag_bytes: int | None, at: datetime) -> float | None:
    if lag_bytes == 0:
        return 0.0
    if lag_bytes is None or standby.replayed_at is None:
        return None
    return max((at - standby.replayed_at).total_seconds(), 0.0)


def _try(ask: Callable[[], State]) -> tuple[State | None, str]:
    try:
        return ask(), ""
    except LifeboatError as error:
        return None, str(error)
